"""What a model is and what flows through it: captures, statistics, the formula and the drawings."""

from oneblock.inspect.capture import Captured, capture

__all__ = ["Captured", "capture"]
