"""Drawing tasks: a graph or a mask as text, graded as a graph or a mask, with the misconception named."""

from oneblock.learn.course.drawings.tasks import DRAWINGS

__all__ = ["DRAWINGS"]
