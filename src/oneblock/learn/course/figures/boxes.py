"""Boxes and arrows: a dataflow, a block, what leads to what."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

from oneblock.learn.course.figures.canvas import (
    BAD,
    CHAR,
    COLOURS,
    INK,
    PAPER,
    SOFT,
    arrow,
    box,
    line,
    svg,
    tag,
    tinted,
    words,
)
from oneblock.learn.errors import LearnError

KINDS = {
    "end": "", "plain": SOFT, "norm": COLOURS[2], "attention": COLOURS[1], "feed_forward": COLOURS[0], "add": INK,
    "bad": BAD, "other": COLOURS[3], "dot": INK,
}  # fmt: skip
ACROSS, DOWN, LANE, ROUND = 40.0, 26.0, 20.0, 10.0
"""Between columns, between rows, between a box and what is led around it; and half a ⊕."""


@dataclass(frozen=True, kw_only=True)
class Box:
    """A box. at: column and row, which may lie between two (0.5); kind: of KINDS, `add` a ⊕, `dot` a parting."""

    id: str
    text: str = ""
    at: tuple[float, float]
    kind: str = "plain"


@dataclass(frozen=True, kw_only=True)
class Arrow:
    """An arrow. bend: how far it is led around what lies between, to the left (−1, −2) or right (1, 2); 0: straight."""

    start: str
    to: str
    words: str = ""
    bend: int = 0
    dashed: bool = False
    thick: bool = False


@dataclass(frozen=True, kw_only=True)
class _Place:
    """A box on the page: its middle, and half its width and height."""

    x: float
    y: float
    w: float
    h: float


def flow(title: str, boxes: Sequence[Box], arrows: Sequence[Arrow], *, told: str = "") -> str:
    """Boxes at (column, row) and arrows between them."""
    known = {each.id: each for each in boxes}
    for name in (name for each in arrows for name in (each.start, each.to)):
        if name not in known:
            raise LearnError(f"flow: {name} is not a box; there are {', '.join(known)}")
    for kind in (each.kind for each in boxes):
        if kind not in KINDS:
            raise LearnError(f"flow: kind {kind} is none of {', '.join(KINDS)}")
    places = _placed(boxes)
    paths = [(each, _path(each, places, known)) for each in arrows]
    xs = [p.x - p.w for p in places.values()] + [p.x + p.w for p in places.values()]
    xs += [x for _, path in paths for x, _ in path]
    for each, path in paths:
        if each.words:
            x, _, at = _beside(each, path)
            reach = CHAR * len(each.words)
            xs += [
                x - reach if at == "end" else x - reach / 2 if at == "middle" else x,
                x + (0 if at == "end" else reach),
            ]
    low, high = min(xs) - 14, max(xs) + 14
    bottom = max(p.y + p.h for p in places.values()) + 12
    parts = [_arrow(each, path) for each, path in paths] + [_box(each, places[each.id]) for each in boxes]
    parts += [_label(each, path) for each, path in paths if each.words]
    told = told or ". ".join(_sentence(each, known) for each in arrows)
    moved = tag("g", *parts, transform=f"translate({-low:.1f} 0)")
    return svg(title, told, high - low, bottom, moved)


def _placed(boxes: Sequence[Box]) -> dict[str, _Place]:
    sizes = {each.id: _size(each) for each in boxes}
    columns = sorted({each.at[0] for each in boxes})
    rows = sorted({each.at[1] for each in boxes})

    def middles(marks: list[float], halves: dict[float, float], gap: float) -> dict[float, float]:
        """Each whole place follows the one before it; those between two stand in their middle."""
        found: dict[float, float] = {}
        at = 12.0
        for mark in [m for m in marks if m == int(m)] or marks:
            found[mark] = at + halves[mark]
            at += 2 * halves[mark] + gap
        for mark in marks:
            if mark not in found:
                below = max((m for m in found if m < mark), default=min(found))
                above = min((m for m in found if m > mark), default=max(found))
                share = (mark - below) / (above - below) if above > below else 0.0
                found[mark] = found[below] + share * (found[above] - found[below])
        return found

    wide = {c: max(sizes[b.id][0] for b in boxes if b.at[0] == c) for c in columns}
    high = {r: max(sizes[b.id][1] for b in boxes if b.at[1] == r) for r in rows}
    xs, ys = middles(columns, wide, ACROSS), middles(rows, high, DOWN)
    return {
        each.id: _Place(x=xs[each.at[0]], y=ys[each.at[1]], w=sizes[each.id][0], h=sizes[each.id][1]) for each in boxes
    }


def _size(each: Box) -> tuple[float, float]:
    if each.kind == "add":
        return ROUND, ROUND
    if each.kind == "dot":
        return 2.5, 2.5
    rows = each.text.split("\n")
    pad = 9.0 if each.kind == "end" else 13.0
    return CHAR * max(len(row) for row in rows) / 2 + pad, 8.5 * len(rows) + (2.0 if each.kind == "end" else 6.0)


def _path(each: Arrow, places: dict[str, _Place], known: dict[str, Box]) -> list[tuple[float, float]]:
    a, b = places[each.start], places[each.to]
    if each.bend:
        side = 1 if each.bend > 0 else -1
        low, high = sorted((a.y, b.y))
        between = [p for p in places.values() if low - 1 <= p.y <= high + 1 and abs(p.x - a.x) < 2 * max(a.w, b.w, p.w)]
        edge = max(side * (p.x + side * p.w) for p in between)
        lane = side * (edge + LANE * abs(each.bend))
        if abs(a.y - b.y) < 1:
            return [(a.x + side * a.w, a.y), (lane, a.y), (lane, b.y), (b.x + side * b.w, b.y)]
        # It parts from the line that goes on to the next box, as a copy does.
        start = a.y + (1 if b.y > a.y else -1) * (a.h + 6)
        return [(a.x, start), (lane, start), (lane, b.y), (b.x + side * b.w, b.y)]
    if abs(a.y - b.y) < 1:
        side = 1 if b.x > a.x else -1
        return [(a.x + side * a.w, a.y), (b.x - side * b.w, b.y)]
    down = 1 if b.y > a.y else -1
    if abs(a.x - b.x) < 1:
        return [(a.x, a.y + down * a.h), (b.x, b.y - down * b.h)]
    if known[each.to].kind in ("add", "dot"):
        # Into a sum from the side: what runs through it keeps top and bottom.
        side = 1 if b.x > a.x else -1
        return [(a.x, a.y + down * a.h), (a.x, b.y), (b.x - side * b.w, b.y)]
    if known[each.start].kind in ("add", "dot"):
        side = 1 if b.x > a.x else -1
        return [(a.x + side * a.w, a.y), (b.x, a.y), (b.x, b.y - down * b.h)]
    middle = b.y - down * (b.h + DOWN / 2)
    return [(a.x, a.y + down * a.h), (a.x, middle), (b.x, middle), (b.x, b.y - down * b.h)]


def _arrow(each: Arrow, path: list[tuple[float, float]]) -> str:
    drawn = arrow(path, INK, 2.6 if each.thick else 1.5, stroke_dasharray="5 3" if each.dashed else None)
    parting = each.bend and path[0][0] != path[-1][0] and path[0][1] != path[-1][1]
    return drawn + (tag("circle", cx=path[0][0], cy=path[0][1], r=2.8, fill=INK) if parting else "")


def _beside(each: Arrow, path: list[tuple[float, float]]) -> tuple[float, float, str]:
    """Where an arrow's words stand: at the middle of its longest part."""
    (x0, y0), (x1, y1) = max(itertools.pairwise(path), key=lambda p: abs(p[0][0] - p[1][0]) + abs(p[0][1] - p[1][1]))
    if abs(x0 - x1) > abs(y0 - y1):
        return (x0 + x1) / 2, y0 - 9, "middle"
    left = each.bend < 0
    return (x0 + (-7 if left else 7)), (y0 + y1) / 2, "end" if left else "start"


def _label(each: Arrow, path: list[tuple[float, float]]) -> str:
    x, y, at = _beside(each, path)
    return words(x, y, each.words, at=at, fill=SOFT, size=11.5)


def _box(each: Box, place: _Place) -> str:
    if each.kind == "dot":
        return tag("circle", cx=place.x, cy=place.y, r=2.5, fill=INK)
    if each.kind == "add":
        x, y = place.x, place.y
        ring = tag("circle", cx=x, cy=y, r=ROUND, fill=PAPER, stroke=INK, stroke_width=1.6)
        cross = line([(x - 5, y), (x + 5, y)], INK, 1.6) + line([(x, y - 5), (x, y + 5)], INK, 1.6)
        return (
            ring
            + cross
            + (words(x + ROUND + 6, y - 9, each.text, at="start", fill=SOFT, size=11.5) if each.text else "")
        )
    rows = each.text.split("\n")
    written = [
        words(place.x, place.y + 17 * (row - (len(rows) - 1) / 2), text, font_weight=600 if row == 0 else None)
        for row, text in enumerate(rows)
    ]
    if each.kind == "end":
        return "".join(written)
    at = (place.x - place.w, place.y - place.h, 2 * place.w, 2 * place.h)
    return box(*at, stroke="none") + tinted(*at, KINDS[each.kind]) + "".join(written)


def _sentence(each: Arrow, known: dict[str, Box]) -> str:
    def named(name: str) -> str:
        return (known[name].text or {"add": "a sum", "dot": "a branching"}.get(known[name].kind, name)).replace(
            "\n", ", "
        )

    return f"{named(each.start)} to {named(each.to)}" + (f" ({each.words})" if each.words else "")
