"""The drawing of a whole model: one column, or two with the memory that goes from the first to the second."""

from __future__ import annotations

from dataclasses import replace

from oneblock.inspect.blocks import MEMORY
from oneblock.inspect.dataflow import Dataflow
from oneblock.inspect.layout import Label, Line, Metrics, Picture, Rect, lay_out


def lay_out_all(flow: Dataflow, metrics: Metrics) -> Picture:
    """Every column: one under the other in cells, of which a line has 80; else beside one another."""
    picture = lay_out(flow, metrics)
    if flow.source is None:
        return picture
    _bring_memory(picture, metrics)
    first = lay_out(flow.source, metrics)
    if metrics.cell:
        return _together(first, _moved(picture, 0, first.height + metrics.row))
    return _together(first, _moved(picture, first.width + 2 * metrics.beside, 0))


def _bring_memory(picture: Picture, m: Metrics) -> None:
    """An arrow from the right into each cross-attention, unless another branch stands there."""
    edge = picture.width + (1 if m.cell else m.beside)
    for rect in picture.rects:
        if rect.box.kind == "cross_attention":
            y = rect.y + (rect.h // 2 if m.cell else rect.h / 2)
            if not any(_stands_between(other, rect, y) for other in picture.rects):
                points = ((edge, y), (rect.x + rect.w - m.cell, y))
                picture.lines.append(Line(points=points, arrow=True))
                picture.labels.append(Label(x=edge + m.pad_x - m.cell, y=y, text=MEMORY))
                picture.width = edge + m.pad_x - m.cell + len(MEMORY) * m.char


def _stands_between(other: Rect, rect: Rect, y: float) -> bool:
    return other.x > rect.x and other.y <= y <= other.y + other.h


def _moved(picture: Picture, x: float, y: float) -> Picture:
    return Picture(
        main=picture.main + x,
        width=picture.width + x,
        height=picture.height + y,
        rects=[replace(rect, x=rect.x + x, y=rect.y + y) for rect in picture.rects],
        frames=[replace(frame, x=frame.x + x, y=frame.y + y, main=frame.main + x) for frame in picture.frames],
        lines=[replace(line, points=tuple((a + x, b + y) for a, b in line.points)) for line in picture.lines],
        labels=[replace(label, x=label.x + x, y=label.y + y) for label in picture.labels],
        joins=[(a + x, b + y) for a, b in picture.joins],
        stops=[(a + x, b + y) for a, b in picture.stops],
    )


def _together(first: Picture, second: Picture) -> Picture:
    return Picture(
        main=first.main,
        width=max(first.width, second.width),
        height=max(first.height, second.height),
        rects=first.rects + second.rects,
        frames=first.frames + second.frames,
        lines=first.lines + second.lines,
        labels=first.labels + second.labels,
        joins=first.joins + second.joins,
        stops=first.stops + second.stops,
    )
