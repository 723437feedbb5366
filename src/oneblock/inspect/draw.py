"""A model drawn in the terminal, with box-drawing characters."""

from __future__ import annotations

from itertools import groupby
from operator import itemgetter
from typing import TYPE_CHECKING

from oneblock.config.config import Config, Model
from oneblock.inspect.dataflow import dataflow
from oneblock.inspect.joined import lay_out_all
from oneblock.inspect.layout import Line, Metrics, Picture

if TYPE_CHECKING:
    from rich.text import Text

CELLS = Metrics(char=1, line=1, pad_x=2, pad_y=1, gap=0, row=1, beside=2, head=2, cell=1)

STYLES = {
    "norm": "cyan",
    "attention": "yellow",
    "cross_attention": "yellow",
    "feed_forward": "green",
    "scale": "magenta",
    "dropout": "dim",
    "position": "magenta",
    "embedding": "blue",
    "head": "blue",
    "modulation": "magenta",
    "frame": "dim",
    "label": "dim",
    "join": "bold red",
    "line": "",
    "end": "bold",
}
_UP, _DOWN, _LEFT, _RIGHT = 1, 2, 4, 8
_CROSSINGS = " ╵╷│╴┘┐┤╶└┌├─┴┬┼"
"""A character for each set of arms, in the order of the bits above."""


class Canvas:
    """Cells with lines that join where they meet, and text on top."""

    def __init__(self, width: int, height: int) -> None:
        self.arms = [[0] * width for _ in range(height)]
        self.text: list[list[str]] = [[""] * width for _ in range(height)]
        self.styles = [[""] * width for _ in range(height)]

    def segment(self, a: tuple[int, int], b: tuple[int, int], style: str) -> None:
        """A straight line between two cells, both included."""
        (x0, y0), (x1, y1) = sorted((a, b))
        for x in range(x0, x1 + 1):
            for y in range(y0, y1 + 1):
                arms = (_LEFT * (x > x0)) | (_RIGHT * (x < x1)) | (_UP * (y > y0)) | (_DOWN * (y < y1))
                self.arms[y][x] |= arms
                self.styles[y][x] = self.styles[y][x] or style

    def write(self, x: int, y: int, text: str, style: str) -> None:
        """Text over whatever lines are there."""
        for offset, character in enumerate(text):
            if 0 <= x + offset < len(self.text[y]):
                self.text[y][x + offset], self.styles[y][x + offset] = character, style

    def rows(self) -> list[list[tuple[str, str]]]:
        """Every row as (character, style)."""
        return [
            [(text or _CROSSINGS[arms], style) for text, arms, style in zip(*row, strict=True)]
            for row in zip(self.text, self.arms, self.styles, strict=True)
        ]


def draw(config: Config | Model) -> Text:
    """The dataflow of a model as styled text, 80 columns at most; `.plain` is without styles."""
    from rich.text import Text

    drawing = Text(no_wrap=True, overflow="crop")
    for number, row in enumerate(_canvas(lay_out_all(dataflow(config), CELLS)).rows()):
        drawing.append("\n" if number else "")
        while row and row[-1][0] == " ":
            row.pop()
        for style, run in groupby(row, key=itemgetter(1)):
            drawing.append("".join(character for character, _ in run), style=style or None)
    return drawing


def _canvas(picture: Picture) -> Canvas:
    canvas = Canvas(int(picture.width), int(picture.height))
    for frame in picture.frames:
        _outline(canvas, frame.x, frame.y, frame.w, frame.h, "frame")
    for rect in picture.rects:
        if rect.box.kind != "end":
            _outline(canvas, rect.x, rect.y, rect.w, rect.h, rect.box.kind)
    for line in picture.lines:
        for a, b in zip(line.points, line.points[1:], strict=False):
            canvas.segment(_cell(a), _cell(b), STYLES["line"])
    for frame in picture.frames:
        canvas.write(int(frame.main) + 3, int(frame.y), f" {frame.title} ", "bold")
    for label in picture.labels:
        start = label.x - len(label.text) // 2 - 1 if label.across else label.x - 1
        canvas.write(int(start), int(label.y), f" {label.text} ", STYLES["label"])
    for rect in picture.rects:
        style, bare = STYLES[rect.box.kind], rect.box.kind == "end"
        for index, text in enumerate(rect.lines):
            x = rect.x + (rect.w - len(text)) // 2
            canvas.write(int(x), int(rect.y) + index + (not bare), text, f"bold {style}" if index == 0 else style)
    for line in picture.lines:
        _arrow(canvas, line)
    for join in picture.joins:
        canvas.write(*_cell(join), "⊕", STYLES["join"])
    for stop in picture.stops:
        canvas.write(*_cell(stop), "✕", STYLES["join"])
    return canvas


def _outline(canvas: Canvas, x: float, y: float, w: float, h: float, kind: str) -> None:
    left, top, right, bottom = int(x), int(y), int(x + w - 1), int(y + h - 1)
    for a, b in (((left, top), (right, top)), ((left, bottom), (right, bottom))):
        canvas.segment(a, b, STYLES[kind])
    for a, b in (((left, top), (left, bottom)), ((right, top), (right, bottom))):
        canvas.segment(a, b, STYLES[kind])


def _arrow(canvas: Canvas, line: Line) -> None:
    """A head where a horizontal line comes back to a ⊕; that the rest runs down needs no sign."""
    (from_x, from_y), (x, y) = map(_cell, line.points[-2:])
    if line.arrow and from_y == y and from_x > x:
        canvas.write(x + 1, y, "◄", "")


def _cell(point: tuple[float, float]) -> tuple[int, int]:
    return int(point[0]), int(point[1])
