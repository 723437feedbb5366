"""The picture that lasts through the course: a belt, a parcel on it, and stations that add slips to it."""

from __future__ import annotations

from collections.abc import Sequence

from oneblock.learn.course.figures.canvas import (
    CHAR,
    COLOURS,
    INK,
    RULE,
    SOFT,
    STRONG,
    SUNK,
    arrow,
    box,
    line,
    svg,
    tag,
    tinted,
    words,
)

PARCEL, STATION, HEAD, DEEP = 34.0, 168.0, 24.0, 78.0
"""A parcel's side; the room of a bench; of the words above; how far below the belt the benches stand."""
BENCH = {"attention": COLOURS[1], "feed-forward": COLOURS[0]}


def belt(
    title: str,
    *,
    stations: Sequence[str] = ("attention", "feed-forward"),
    parcel: str = "x",
    after: str = "",
    slips: Sequence[str] | bool = True,
    inspected: bool = True,
    bypass: bool = True,
    before: int = 0,
    frame: str = "",
    told: str = "",
) -> str:
    """A belt from left to right with a bench for each word of `stations`.

    parcel, after: what is written on the parcel as it comes and as it leaves; slips: what each bench writes (False: no
    words); inspected: an inspector stands before each bench; bypass=False: the parcel itself goes through the benches;
    before: so many earlier parcels, which the first bench may read; frame: words of a frame around all stations.
    """
    notes = list(slips) if not isinstance(slips, bool) else ["slip"] * len(stations) if slips else [""] * len(stations)
    behind = 20.0 + (PARCEL + 10) * before
    left = behind + PARCEL + 34
    room = max(STATION, CHAR * max((len(word) for word in (*stations, *notes)), default=1) + 70)
    right = left + room * len(stations)
    width = right + max(PARCEL, CHAR * len(after) + 14) + 44
    level = HEAD + (26 if frame else 0) + PARCEL / 2 + 8
    bottom = level + DEEP + 66
    parts = [_belt(level, width)] if bypass else []
    if frame:
        around = (left - 8, HEAD - 12, room * len(stations) + 4, bottom - HEAD + 8)
        parts += [box(*around, fill="none", stroke=STRONG, rx=9, stroke_dasharray="5 4")]
        parts += [words(left + 4, HEAD + 4, frame, at="start", fill=SOFT, font_weight=600)]
    parts += [_parcel(20 + (PARCEL + 10) * index, level, "", faint=True) for index in range(before)]
    parts += [_parcel(behind, level, parcel)]
    for index, (name, note) in enumerate(zip(stations, notes, strict=True)):
        x = left + room * index
        parts += _bench(x, level, room, name, note, inspected) if bypass else _through(x, level, room, name, index)
    if before and stations and bypass:
        # The first bench reads what lies before: lines from those parcels to it.
        foot = level + DEEP + 22
        for index in range(before):
            x = 20 + (PARCEL + 10) * index + PARCEL / 2
            path = [(x, level + PARCEL / 2 + 14), (x, foot), (left + 16, foot)]
            parts += [arrow(path, COLOURS[1], 1.2, stroke_dasharray="3 3")]
        parts += [words(behind - 8, foot + 12, "reads", at="end", fill=SOFT, size=11)]
    end = right + (4 if bypass else 22)
    parts += [_parcel(end, level, after or parcel, wide=CHAR * len(after) + 14, stripes=len(stations) if bypass else 0)]
    if not bypass:
        parts += [arrow([(behind + PARCEL, level), (left + 6, level)], INK, 1.6)]
    told = told or _told(stations, notes, parcel, after, inspected, bypass, before)
    return svg(title, told, width, bottom, *parts)


def _belt(level: float, width: float) -> str:
    low = level + PARCEL / 2
    rollers = [tag("circle", cx=x, cy=low + 8, r=3.4, fill=SUNK, stroke=STRONG) for x in _steps(18.0, width - 10, 22.0)]
    top = line([(6, low + 3), (width - 14, low + 3)], INK, 2.4)
    return "".join([top, line([(6, low + 13), (width - 14, low + 13)], RULE, 1.5), *rollers]) + arrow(
        [(width - 24, low + 3), (width - 5, low + 3)], INK, 2.4
    )


def _parcel(x: float, level: float, text: str, *, wide: float = 0.0, faint: bool = False, stripes: int = 0) -> str:
    wide = max(PARCEL, wide, CHAR * len(text) + 12)
    colour = COLOURS[5] if faint else COLOURS[2]
    top = level - PARCEL / 2
    drawn = box(x, top, wide, PARCEL, stroke="none", rx=4) + tinted(x, top, wide, PARCEL, colour, share=0.16, rx=4)
    # A slip that was added shows as a strip on the parcel's edge.
    for index in range(stripes):
        drawn += tag("rect", x=x + 4 + 8 * index, y=top - 5, width=6, height=10, rx=1, fill=COLOURS[(1, 0)[index % 2]])
    return drawn + words(x + wide / 2, level, text, font_weight=600)


def _bench(x: float, level: float, room: float, name: str, note: str, inspected: bool) -> list[str]:
    """A copy goes down on the left, past the inspector to the bench; its slip comes up on the right and is added."""
    colour = BENCH.get(name, COLOURS[3])
    down, up = x + 16, x + room - 22
    low, foot = level + PARCEL / 2 + 14, level + DEEP + 22
    parts = [tag("circle", cx=down, cy=level + PARCEL / 2 + 3, r=3, fill=INK)]
    parts += [line([(down, low - 10), (down, foot), (down + 14, foot)], INK, 1.5, stroke_dasharray="4 3")]
    parts += [words(down + 6, low + 10, "copy", at="start", fill=SOFT, size=11)]
    if inspected:
        parts += [_inspector(down, level + DEEP - 10)]
    left, right = down + 20, up - 2
    parts += [box(left, foot - 19, right - left, 38, stroke="none"), tinted(left, foot - 19, right - left, 38, colour)]
    parts += [words((left + right) / 2, foot, name, font_weight=600)]
    # The bench's legs.
    parts += [line([(at, foot + 19), (at, foot + 30)], colour, 2) for at in (left + 10, right - 10)]
    parts += [arrow([(up - 12, foot - 19), (up - 12, level + PARCEL / 2 + 16)], INK, 1.5)]
    parts += [
        tag(
            "circle",
            cx=up - 12,
            cy=level + PARCEL / 2 + 3,
            r=9,
            fill="var(--raised,#ffffff)",
            stroke=INK,
            stroke_width=1.6,
        )
    ]
    parts += [words(up - 12, level + PARCEL / 2 + 2.5, "+", size=14, font_weight=600)]
    if note:
        wide = CHAR * len(note) + 10
        middle = (low + foot - 19) / 2 + 4
        parts += [box(up - 20 - wide, middle - 9, wide, 18, stroke=colour, rx=2)]
        parts += [words(up - 20 - wide / 2, middle, note, size=11)]
    return parts


def _inspector(x: float, y: float) -> str:
    """The norm: a gauge on the way down, through which a copy passes at a standard size."""
    colour = COLOURS[2]
    plate = box(x - 17, y - 9, 34, 18, stroke="none", rx=9) + tinted(x - 17, y - 9, 34, 18, colour, rx=9)
    return plate + words(x, y, "norm", size=10.5)


def _through(x: float, level: float, room: float, name: str, index: int) -> list[str]:
    """Without a bypass: the bench takes the parcel itself and passes on what it has made of it."""
    colour = BENCH.get(name, COLOURS[3])
    wide = room - 34
    parts = [box(x + 6, level - 22, wide, 44, stroke="none"), tinted(x + 6, level - 22, wide, 44, colour)]
    parts += [words(x + 6 + wide / 2, level, name, font_weight=600)]
    return [*parts, arrow([(x + 6 + wide, level), (x + room + 6, level)], INK, 1.6)]


def _steps(low: float, high: float, step: float) -> list[float]:
    return [low + step * index for index in range(int((high - low) / step))]


def _told(
    stations: Sequence[str], notes: Sequence[str], parcel: str, after: str, inspected: bool, bypass: bool, before: int
) -> str:
    if not bypass:
        return f"The parcel {parcel} goes through {' and '.join(stations)} itself; what comes out is all there is."
    each = [
        f"{'an inspector sets a copy to size, ' if inspected else 'a copy goes down, '}the bench {name} writes "
        f"{'a slip' if note in ('', 'slip') else note}, which is added to the parcel"
        for name, note in zip(stations, notes, strict=True)
    ]
    reads = f" The first bench reads {before} parcels that came before." if before else ""
    leaves = f" It leaves as {after}." if after else ""
    return f"The parcel {parcel} rides on the belt and stays on it: {'; then '.join(each)}.{reads}{leaves}"
