"""Round numbers along an axis, and how numbers are written there."""

from __future__ import annotations

import math
from collections.abc import Sequence


def linear_ticks(low: float, high: float, *, most: int = 6, whole: bool = False) -> list[float]:
    """At most `most` multiples of 1, 2 or 5 times a power of ten in a range; `whole`: only whole numbers."""
    span = high - low
    exponent = math.floor(math.log10(span / most)) - 1
    candidates = (digit * 10.0 ** (exponent + n) for n in range(4) for digit in (1, 2, 5))
    for step in candidates:
        first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
        if last - first + 1 <= most and not (whole and step < 1):
            # Rounded, because 3 · 0.1 is not 0.3.
            decimals = max(0, -math.floor(math.log10(step)))
            return [round(n * step, decimals) for n in range(first, last + 1)]
    return [low, high]


def log_ticks(low: float, high: float, *, most: int = 7) -> list[float]:
    """Powers of ten in a range, with multiples where they are few; in less than one power, round numbers."""
    first, last = math.floor(math.log10(low)), math.ceil(math.log10(high))
    for digits in ((1, 2, 5), (1, 3), (1,)):
        found = [d * 10.0**n for n in range(first, last + 1) for d in digits]
        found = [float(f"{value:.6g}") for value in found if low <= value <= high]
        if 3 <= len(found) <= most:
            return found
    if len(found) > most:
        return found[:: math.ceil(len(found) / most)]
    return [value for value in linear_ticks(low, high, most=4) if value > 0]


def label(value: float) -> str:
    """A number as people write it: four digits, an exponent only where there would be many zeros."""
    if not math.isfinite(value):
        return "not a number" if math.isnan(value) else "∞" if value > 0 else "−∞"
    if value == 0:
        return "0"
    if abs(value) >= 1e6 or abs(value) < 1e-4:
        exponent = math.floor(math.log10(abs(value)))
        return f"{value / 10.0**exponent:.4g}e{exponent}".replace("-", "−")
    digits = f"{value:,.0f}" if abs(value) >= 1e4 else f"{value:.4g}"
    return digits.replace("-", "−")


def labels(ticks: Sequence[float]) -> list[str]:
    """The ticks of one linear axis, all with as many decimals as the one that needs most."""
    words = [label(tick) for tick in ticks]
    if any("e" in word for word in words):
        return words
    decimals = max((len(word.partition(".")[2]) for word in words), default=0)
    return [f"{tick:,.{decimals}f}".replace("-", "−") if tick else "0" for tick in ticks]
