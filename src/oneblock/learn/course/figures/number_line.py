"""Points on a line, and steps between them."""

from __future__ import annotations

import itertools
from collections.abc import Mapping

from oneblock.learn.course.figures.canvas import (
    CHAR,
    COLOURS,
    INK,
    SOFT,
    STRONG,
    WIDTH,
    arrow,
    line,
    number,
    short,
    svg,
    tag,
    ticks,
    words,
)


def number_line(
    title: str,
    points: Mapping[str, float],
    *,
    digits: int = 2,
    steps: bool = False,
    span: tuple[float, float] | None = None,
    told: str = "",
) -> str:
    """Each point with its words above the line; steps: an arrow from each to the next."""
    values = [float(value) for value in points.values()]
    low, high = span or (min(0.0, *values), max(0.0, *values)) if len(values) > 1 else span or (0.0, values[0] or 1.0)
    if low == high:
        high = low + 1
    left, right = 40.0, WIDTH - 40

    def across(value: float) -> float:
        return left + (right - left) * (value - low) / (high - low)

    # Words that would touch go one row higher each.
    rows: list[list[tuple[float, float]]] = []
    places = []
    for name, value in zip(points, values, strict=True):
        half = CHAR * max(len(name), len(number(value, digits))) / 2 + 5
        x = min(max(across(value), half), WIDTH - half)
        row = next(
            (i for i, taken in enumerate(rows) if all(x + half < a or b < x - half for a, b in taken)), len(rows)
        )
        if row == len(rows):
            rows.append([])
        rows[row].append((x - half, x + half))
        places.append((x, row))
    base = 20.0 + 32 * len(rows) + (26 if steps else 0)
    parts = [arrow([(left - 22, base), (right + 26, base)], INK, 1.4)]
    for tick in ticks(low, high, 8):
        parts += [line([(across(tick), base), (across(tick), base + 5)], STRONG, 1.2)]
        parts += [words(across(tick), base + 16, short(tick), fill=SOFT, size=11.5)]
    above = base - (26 if steps else 0)
    for (x, row), (name, value) in zip(places, zip(points, values, strict=True), strict=True):
        y = above - 22 - 32 * row
        parts += [line([(across(value), base - 5), (across(value), y + 20), (x, y + 14)], STRONG, 1)]
        parts += [words(x, y - 7, name, size=11.5), words(x, y + 7, number(value, digits), font_weight=600)]
    if steps:
        for index, (start, end) in enumerate(itertools.pairwise(values)):
            a, b = across(start), across(end)
            lift = base - 12 - 6 * (index % 2)
            parts += (
                [arrow([(a, base - 4), (a, lift), (b, lift), (b, base - 4)], COLOURS[1], 1.6)] if abs(a - b) > 1 else []
            )
    parts += [tag("circle", cx=across(value), cy=base, r=4, fill=COLOURS[0]) for value in values]
    told = told or "On a line: " + "; ".join(f"{name} at {number(value, digits)}" for name, value in points.items())
    return svg(title, told, WIDTH, base + 30, *parts)
