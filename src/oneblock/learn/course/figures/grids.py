"""A matrix by shade and number; vectors as small bars from zero."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from oneblock.learn.course.figures.canvas import (
    CHAR,
    COLOURS,
    INK,
    RULE,
    SOFT,
    STRONG,
    SUNK,
    WIDTH,
    bar,
    box,
    line,
    number,
    svg,
    tag,
    words,
)


def heat(
    title: str,
    rows: Any,
    *,
    digits: int = 2,
    sides: Sequence[str] = (),
    heads: Sequence[str] = (),
    x: str = "",
    y: str = "",
    show: bool = True,
    mark: Sequence[tuple[int, int]] = (),
    most: float | None = None,
    told: str = "",
) -> str:
    """A matrix, each cell shaded by its share of the largest; below zero in the second colour; None is closed.

    Where rows sum to 1, by its share of 1; where all are above zero and much alike, from the smallest on. most: the
    number of the darkest shade, so that two figures can be compared.
    """
    table = [list(row) for row in (rows.tolist() if hasattr(rows, "tolist") else rows)]
    whole = all(isinstance(value, int) for row in table for value in row if _is_number(value))
    texts = [[_entry(value, 0 if whole else digits) for value in row] for row in table]
    low, most = (0.0, most) if most else _shades(table)
    longest = max(len(text) for row in texts for text in row) if show else 1
    longest = max(longest, *(len(head) for head in heads), 1)
    side = 14 + CHAR * max((len(text) for text in sides), default=0) + (20 if y else 0)
    wide = min(max(30.0, CHAR * longest + 12), max(24.0, (1.6 * WIDTH - side) / len(table[0])))
    high = 30.0
    top = 12.0 + (18 if x else 0) + (20 if heads else 0)
    parts = []
    for column, head in enumerate(heads):
        parts += [words(side + wide * (column + 0.5), top - 11, head, size=11.5)]
    parts += [words(side + wide * len(table[0]) / 2, 12, x, fill=SOFT)] if x else []
    if y:
        middle = top + high * len(table) / 2
        parts += [words(11, middle, y, fill=SOFT, transform=f"rotate(-90 11 {middle:.1f})")]
    for row, values in enumerate(table):
        if sides:
            parts += [words(side - 7, top + high * (row + 0.5), sides[row], at="end", size=11.5)]
        for column, value in enumerate(values):
            at = (side + wide * column, top + high * row)
            parts += [_cell(at, wide, high, value, low, most)]
            if show and not _closed(value):
                parts += [words(at[0] + wide / 2, at[1] + high / 2, texts[row][column], size=11.5)]
    for row, column in mark:
        parts += [box(side + wide * column + 1, top + high * row + 1, wide - 2, high - 2, fill="none", stroke=INK,
                      stroke_width=2.2, rx=3)]  # fmt: skip
    told = told or _told(texts, sides)
    return svg(title, told, side + wide * len(table[0]) + 12, top + high * len(table) + 10, *parts)


def columns(title: str, vectors: Mapping[str, Sequence[float]], *, digits: int = 1, told: str = "") -> str:
    """Vectors side by side, each entry a bar up or down from zero, all on one scale."""
    given = {name: [float(v) for v in values] for name, values in vectors.items()}
    entries = [v for values in given.values() for v in values if math.isfinite(v)]
    low, high = min(0.0, *entries), max(0.0, *entries)
    span = high - low or 1.0
    field, top = 110.0, 26.0

    def level(value: float) -> float:
        return top + field * (high - value) / span

    longest = max(len(number(v, digits)) for v in entries)
    step = max(22.0, 6.2 * longest + 5)
    parts, x = [], 12.0
    for index, (name, values) in enumerate(given.items()):
        wide = max(step * len(values), CHAR * len(name))
        left = x + (wide - step * len(values)) / 2
        colour = COLOURS[index % len(COLOURS)]
        for place, value in enumerate(values):
            at = left + step * place
            parts += [bar(at + 3, min(level(value), level(0)), step - 6, abs(level(0) - level(value)), colour)]
            above = -8 if value >= 0 else 9
            parts += [words(at + step / 2, level(value) + above, number(value, digits), size=11)]
        parts += [line([(left - 2, level(0)), (left + step * len(values) + 2, level(0))], INK, 1.2)]
        parts += [words(x + wide / 2, top + field + 32, name, size=11.5)]
        x += wide + 26
    told = told or "; ".join(f"{name}: {', '.join(number(v, digits) for v in vs)}" for name, vs in given.items())
    return svg(title, told, x - 14, top + field + 46, *parts)


def _cell(at: tuple[float, float], wide: float, high: float, value: Any, low: float, most: float) -> str:
    x, y = at
    if _closed(value):
        cross = line([(x + wide / 2 - 4, y + high / 2 - 4), (x + wide / 2 + 4, y + high / 2 + 4)], STRONG, 1.5)
        cross += line([(x + wide / 2 - 4, y + high / 2 + 4), (x + wide / 2 + 4, y + high / 2 - 4)], STRONG, 1.5)
        return box(x, y, wide, high, fill=SUNK, stroke=RULE, rx=0) + cross
    if not _is_number(value):
        return box(x, y, wide, high, fill="none", stroke=STRONG, rx=0)
    share = min((abs(value) - low) / (most - low), 1.0) * 0.62
    shade = tag(
        "rect", x=x, y=y, width=wide, height=high, fill=COLOURS[0 if value >= 0 else 1], fill_opacity=f"{share:.3f}"
    )
    return shade + box(x, y, wide, high, fill="none", stroke=STRONG, rx=0)


def _shades(table: list[list[Any]]) -> tuple[float, float]:
    """The number without a shade, and that of the darkest."""
    numbers = [[value for value in row if _is_number(value)] for row in table]
    flat = [value for row in numbers for value in row]
    if not any(flat):
        return 0.0, 1.0
    if min(flat) >= 0 and all(abs(sum(row) - 1) < 1e-3 for row in numbers) and len(flat) > 1:
        return 0.0, 1.0
    low, most = min(flat), max(abs(value) for value in flat)
    # Half a step below the smallest, so that it is not taken for an empty cell.
    return (low - (most - low) / 8, most) if low > 0.4 * most and most > low else (0.0, most)


def _closed(value: Any) -> bool:
    return value is None or value == -math.inf


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and math.isfinite(value)


def _entry(value: Any, digits: int) -> str:
    if _closed(value):
        return "closed"
    if isinstance(value, str):
        return value
    return number(float(value), digits)


def _told(texts: list[list[str]], sides: Sequence[str]) -> str:
    names = sides or [f"row {index + 1}" for index in range(len(texts))]
    return "; ".join(f"{name}: {', '.join(row)}" for name, row in zip(names, texts, strict=True))
