"""Lines and bars over axes."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from oneblock.learn.course.figures.canvas import (
    CHAR,
    COLOURS,
    DASHES,
    INK,
    RULE,
    SOFT,
    STRONG,
    WIDTH,
    bar,
    key,
    line,
    log_ticks,
    number,
    ringed,
    short,
    svg,
    tag,
    ticks,
    words,
)

HIGH = 190.0
"""Of the field between the axes."""


class _Axis:
    """Where a value lies up or down in the field; a logarithmic one puts 0 at its foot."""

    def __init__(self, values: Sequence[float], *, log: bool, fixed: tuple[float, float] | None, zero: bool) -> None:
        finite = [value for value in values if math.isfinite(value) and (value > 0 or not log)]
        low, high = fixed or ((min(finite), max(finite)) if finite else (0.0, 1.0))
        if zero and not fixed:
            low, high = min(low, 0.0), max(high, 0.0)
        if low == high:
            low, high = (low / 2, high * 2) if log else (low - 0.5, high + 0.5)
        self.log = log
        self.ticks = (log_ticks if log else ticks)(low, high)
        if not fixed and not log:
            pad = 0.06 * (high - low)
            low, high = (low if zero and low == 0 else low - pad), (high if zero and high == 0 else high + pad)
        elif not fixed:
            low, high = low / 1.3, high * 1.3
        self.low, self.high = (math.log10(low), math.log10(high)) if log else (low, high)

    def __call__(self, value: float) -> float:
        if self.log:
            value = math.log10(value) if value > 0 else self.low
        share = (value - self.low) / (self.high - self.low)
        return HIGH * (1 - min(max(share, 0.0), 1.0))


def lines(
    title: str,
    series: Mapping[str, Sequence[float]],
    *,
    x: str = "",
    y: str = "",
    log: bool = False,
    xs: Sequence[float] | None = None,
    start: int = 0,
    marks: bool = True,
    rule: tuple[float, str] | None = None,
    y_range: tuple[float, float] | None = None,
    told: str = "",
) -> str:
    """Numbers over 0, 1, 2, … or over xs, a line each."""
    longest = max(len(values) for values in series.values())
    over = list(xs) if xs is not None else [float(start + index) for index in range(longest)]
    everything = [float(v) for values in series.values() for v in values] + ([rule[0]] if rule else [])
    axis = _Axis(everything, log=log, fixed=y_range, zero=False)
    left, top, head = _frame(series, axis, y)
    first, last = over[0], over[-1] if over[-1] != over[0] else over[0] + 1
    wide = WIDTH - left - max(14.0, CHAR * len(short(ticks(first, last, 8)[-1])) / 2)

    def across(value: float) -> float:
        return left + wide * (value - first) / (last - first)

    parts = [*head, *_rows(axis, left, top, wide)]
    for value in ticks(first, last, 8):
        if xs is None and value != round(value):
            continue
        parts += [line([(across(value), top + HIGH), (across(value), top + HIGH + 4)], STRONG, 1)]
        parts += [words(across(value), top + HIGH + 14, short(value), fill=SOFT, size=11.5)]
    if rule:
        level = top + axis(rule[0])
        parts += [line([(left, level), (left + wide, level)], SOFT, 1.2, stroke_dasharray="4 3")]
    for index, values in enumerate(series.values()):
        points = [(across(at), top + axis(float(v))) for at, v in zip(over, values, strict=False)]
        finite = [p for p, v in zip(points, values, strict=True) if math.isfinite(float(v)) or float(v) > 0]
        parts += [_curve(finite, index)]
        parts += [_mark(point, index) for point in finite] if marks and longest <= 40 else []
    parts += [words(left + wide / 2, top + HIGH + 32, x, fill=SOFT)] if x else []
    parts += [ringed(left + wide, top + axis(rule[0]) - 8, rule[1], at="end", fill=SOFT, size=11.5)] if rule else []
    told = told or "; ".join(
        f"{name or title}: from {short(float(v[0]))} to {short(float(v[-1]))} over {len(v)} points"
        for name, v in series.items()
    )
    return svg(title, told, WIDTH, top + HIGH + (44 if x else 26), *parts)


def bars(
    title: str,
    values: Mapping[str, float | Sequence[float]],
    *,
    y: str = "",
    digits: int = 2,
    series: Sequence[str] = (),
    log: bool = False,
    told: str = "",
) -> str:
    """A bar for each word, or several side by side, with their numbers."""
    groups = {
        name: [float(v) for v in (given if isinstance(given, Sequence) else [given])] for name, given in values.items()
    }
    count = max(len(group) for group in groups.values())
    axis = _Axis([v for group in groups.values() for v in group], log=log, fixed=None, zero=not log)
    left, top, head = _frame(dict.fromkeys(series, ()), axis, y, swatch="bar")
    top += 8
    wide = WIDTH - left - 14
    each = wide / len(groups)
    thick = min(46.0, each * (0.74 if count == 1 else 0.88) / count)
    longest = max(len(number(v, digits)) for group in groups.values() for v in group)
    size = max(min(11.0, 1.7 * (thick + 1) / longest), 8.0) if count > 1 else 11.0
    foot = HIGH if log else axis(0.0)
    parts = [*head, *_rows(axis, left, top, wide)]
    room = max(int(each / (CHAR * 0.95)), 3)
    deepest = 1
    for index, (name, group) in enumerate(groups.items()):
        middle = left + each * (index + 0.5)
        for number_, value in enumerate(group):
            x = middle + thick * (number_ - count / 2)
            end = axis(value)
            colour = COLOURS[(number_ if count > 1 else 0) % len(COLOURS)]
            parts += [bar(x + 1, top + min(end, foot), thick - 2, abs(foot - end), colour)]
            above = -8 if value >= 0 or log else 9
            parts += [words(x + thick / 2, top + end + above, number(value, digits), size=size)]
        cut = _cut(name, room)
        deepest = max(deepest, len(cut))
        parts += [words(middle, top + HIGH + 14 + 14 * row, text, size=11.5) for row, text in enumerate(cut)]
    parts += [line([(left, top + foot), (left + wide, top + foot)], INK, 1.2)]
    told = told or "; ".join(f"{name}: {', '.join(number(v, digits) for v in group)}" for name, group in groups.items())
    return svg(title, told, WIDTH, top + HIGH + 12 + 14 * deepest, *parts)


def _frame(series: Mapping[str, object], axis: _Axis, y: str, swatch: str = "line") -> tuple[float, float, list[str]]:
    """The left edge and the top of the field, and what stands above it: the key, the word of the axis."""
    left = 14 + 6.6 * max((len(short(tick)) for tick in axis.ticks), default=1)
    parts, top = [], 12.0
    names = list(series)
    if len(names) > 1 or (names and names[0]):
        entries = [
            (
                _mark((9, 0), i, size=4.5)
                if swatch == "bar"
                else _curve([(0.0, 0.0), (20.0, 0.0)], i) + _mark((10, 0), i),
                name,
            )
            for i, name in enumerate(names)
        ]
        drawn, high = key(entries, 8.0, top)
        parts, top = [drawn], top + high
    if y:
        parts, top = [*parts, words(8, top, y, at="start", fill=SOFT)], top + 18
    return left, top, parts


def _rows(axis: _Axis, left: float, top: float, wide: float) -> list[str]:
    parts = []
    for tick in axis.ticks:
        level = top + axis(tick)
        parts += [line([(left, level), (left + wide, level)], RULE, 1)]
        parts += [words(left - 6, level, short(tick), at="end", fill=SOFT, size=11.5)]
    return parts


def _curve(points: list[tuple[float, float]], index: int) -> str:
    return line(points, COLOURS[index % len(COLOURS)], 2, stroke_dasharray=DASHES[index % len(DASHES)])


def _mark(point: tuple[float, float], index: int, size: float = 3.0) -> str:
    x, y = point
    colour = COLOURS[index % len(COLOURS)]
    if index % 3 == 0:
        return tag("circle", cx=x, cy=y, r=size, fill=colour)
    if index % 3 == 1:
        return tag("rect", x=x - size, y=y - size, width=2 * size, height=2 * size, fill=colour)
    corners = " ".join(f"{a:.1f},{b:.1f}" for a, b in ((x, y - 4), (x + 4, y), (x, y + 4), (x - 4, y)))
    return tag("polygon", points=corners, fill=colour)


def _cut(text: str, room: int) -> list[str]:
    """Words below a bar in lines of so many letters, at the gaps."""
    rows: list[str] = []
    for word in text.split():
        if rows and len(rows[-1]) + 1 + len(word) <= room:
            rows[-1] += f" {word}"
        else:
            rows.append(word)
    return rows or [""]
