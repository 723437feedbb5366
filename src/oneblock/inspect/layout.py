"""Where everything stands in the drawing of a dataflow; the unit is the drawer's: character cells or pixels.

The stream runs down the main line; a branch leaves it to the right, runs down, and comes back to its ⊕.
"""

from __future__ import annotations

import textwrap
from dataclasses import dataclass, field

from oneblock.inspect.blocks import BlockFlow, Box, Row, Step
from oneblock.inspect.dataflow import Dataflow

WRAP = 22
"""Characters in a line of a box: two branches beside the main line fit into 80 columns."""

DROPPED = "dropped"


@dataclass(frozen=True, kw_only=True)
class Metrics:
    """Sizes of text and boxes, and distances. In cells borders take room, and neighbours share one."""

    char: float
    line: float
    pad_x: float
    pad_y: float
    gap: float  # between boxes one under the other
    row: float  # between turns of a line
    beside: float  # between things side by side
    head: float  # from a block's upper border to its first turn
    cell: float  # 1: a box's last line and column are its border; 0: its edge has no width


@dataclass(frozen=True, kw_only=True)
class Rect:
    """A box in its place."""

    box: Box
    x: float
    y: float
    w: float
    h: float
    lines: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class Frame:
    """A block's border, with its title, and where the stream runs through it."""

    x: float
    y: float
    w: float
    h: float
    title: str
    main: float


@dataclass(frozen=True, kw_only=True)
class Line:
    """What flows along these points; `arrow`: into what stands at the end; `stream`: it is the main line."""

    points: tuple[tuple[float, float], ...]
    arrow: bool = False
    stream: bool = False


@dataclass(frozen=True, kw_only=True)
class Label:
    """Words: to the right of x, or (`across`) centred on it, above a horizontal line."""

    x: float
    y: float
    text: str
    across: bool = False


@dataclass(kw_only=True)
class Picture:
    """All that is drawn. `joins` are the ⊕, `stops` where the stream is dropped, `main` where it runs."""

    main: float = 0
    width: float = 0
    height: float = 0
    rects: list[Rect] = field(default_factory=list)
    frames: list[Frame] = field(default_factory=list)
    lines: list[Line] = field(default_factory=list)
    labels: list[Label] = field(default_factory=list)
    joins: list[tuple[float, float]] = field(default_factory=list)
    stops: list[tuple[float, float]] = field(default_factory=list)


def lay_out(flow: Dataflow, metrics: Metrics) -> Picture:
    """Give everything its place, from the top down."""
    return _Layout(flow, metrics).draw()


def wrapped(box: Box) -> tuple[str, ...]:
    """A box's details, in lines that fit."""
    return tuple(line for text in box.details for line in textwrap.wrap(text, WRAP))


class _Layout:
    """`drawn` is how far down the main line has come."""

    def __init__(self, flow: Dataflow, m: Metrics) -> None:
        self.flow, self.m, self.picture, self.drawn = flow, m, Picture(), 0.0
        steps = [step for block in flow.blocks for step in block.steps]
        outside = self.widest([*flow.before, *flow.entry, *flow.after])
        inside = self.widest([box for step in steps for box in (*step.skip, *step.stream)])
        self.main = max(self.half(outside), self.half(inside) + 2 * m.beside)
        self.lane = self.widest(
            [box for step in steps for row in (step.shared, step.scale, *step.branches) for box in row]
            + list(flow.condition)
        )
        # The size of the stream stands on the way to the first branch's middle.
        way = self.text(flow.size) + 3 * m.beside - self.half(self.lane)
        stopped = 0 if all(step.keeps for step in steps) else m.pad_x + self.text(DROPPED)
        # What makes the condition stands beside the beginning.
        begins = max(self.half(self.widest(list(flow.before))), m.pad_x + self.text(flow.given))
        above = begins + m.beside if flow.condition else 0
        self.first = self.main + max(self.half(inside) + m.beside, way, stopped + m.beside, 2 * m.beside, above)
        lanes = max(len(step.branches) for step in steps)
        beside = self.widest(list(flow.added))
        titles = [m.beside + self.text(block.title) for block in flow.blocks]
        self.right = max(
            self.first + max(lanes * (self.lane + m.beside), beside + m.beside),
            self.main + max(*titles, self.text(flow.size + flow.repeats) + m.beside) + 2 * m.beside,
        )

    def draw(self) -> Picture:
        """The whole picture."""
        flow, m = self.flow, self.m
        self.column(flow.before[:1], 0)
        self.label(self.drawn + m.row, flow.given)
        self.column(flow.before[1:], self.drawn + 2 * m.row)
        if flow.condition:
            self.to(max(self.drawn, self.condition(flow.condition) + m.row))
        if flow.added:
            self.add(flow.added[0], self.drawn + m.row)
        if flow.entry:
            self.column(flow.entry, self.drawn + m.row)
        for block in flow.blocks:
            self.label(self.drawn + m.row, flow.size)
            self.block(block, self.drawn + 2 * m.row)
        self.label(self.drawn + m.row, f"{flow.size}{flow.repeats and f'   ({flow.repeats})'}")
        self.column(flow.after[:-1], self.drawn + 2 * m.row)
        self.label(self.drawn + m.row, flow.answer)
        self.column(flow.after[-1:], self.drawn + 2 * m.row)
        self.picture.main, self.picture.width = self.main, self.right + m.cell
        self.picture.height = self.drawn + m.cell
        return self.picture

    def block(self, block: BlockFlow, top: float) -> None:
        """A frame, and the steps in it."""
        y = top + self.m.head
        for step in block.steps:
            y = self.step(step, y) + 2 * self.m.row
        y -= self.m.row
        self.picture.frames.append(
            Frame(
                x=0,
                y=top,
                w=self.right + self.m.cell,
                h=y - top + self.m.cell,
                title=block.title,
                main=self.main,
            )
        )
        self.to(y)

    def step(self, step: Step, fork: float) -> float:
        """Branches that leave the main line at height `fork`; gives where the step ends."""
        m, first = self.m, self.centre(0)
        self.to(fork)
        self.label(fork, self.flow.size, across=True)
        self.line((self.main, fork), (first, fork), (first, fork + m.row), arrow=True)
        turn, top = fork, fork + m.row
        if step.shared:
            turn = self.lane_of(step.shared, 0, top) + m.row
            top = turn + m.row
            self.line((first, turn - m.row), (first, top), arrow=True)
        ends = []
        for lane, branch in enumerate(step.branches):
            if lane:
                self.line((first, turn), (self.centre(lane), turn), (self.centre(lane), top), arrow=True)
            ends.append(self.lane_of(branch, lane, top))
        y, end = max(ends) + m.row, ends[0]
        for lane in range(1, len(ends)):
            self.line((self.centre(lane), ends[lane]), (self.centre(lane), y), (first, y), arrow=lane == 1)
        if len(ends) > 1:
            self.line((first, end), (first, y), arrow=True)
            self.picture.joins.append((first, y))
            end = y
        if step.scale:
            top = y + (m.row if len(ends) > 1 else 0)
            self.line((first, end), (first, top), arrow=True)
            end = self.lane_of(step.scale, 0, top)
            y = end + m.row
        return self.back(step, fork, (first, end), y)

    def back(self, step: Step, fork: float, start: tuple[float, float], y: float) -> float:
        """The contribution from `start` to the main line at height y, and what becomes of the stream."""
        if step.keeps:
            if step.skip:
                self.column(step.skip, fork + self.half(y - fork - self.height_of(step.skip[0])))
            self.to(y, arrow=True)
            self.picture.joins.append((self.main, y))
        else:
            self.to(fork + self.m.row)
            self.picture.stops.append((self.main, self.drawn))
            self.label(self.drawn, DROPPED)
            self.drawn = y
        self.line(start, (start[0], y), (self.main, y), arrow=step.keeps)
        return self.column(step.stream, y + self.m.row) if step.stream else y

    def condition(self, row: Row) -> float:
        """What modulated blocks read, made beside the beginning; gives where that ends."""
        x, end = self.centre(0), self.lane_of(row[:1], 0, 0)
        for part in (row[1:-1], row[-1:]):
            self.line((x, end), (x, end + 2 * self.m.row), arrow=True)
            end = self.lane_of(part, 0, end + 2 * self.m.row)
        return end

    def add(self, box: Box, y: float) -> None:
        """A box that joins the main line from beside it."""
        height, width = self.height_of(box), self.width_of(box)
        middle = y + self.half(height)
        self.place(box, self.first, y, width)
        self.to(middle, arrow=True)
        self.line((self.first, middle), (self.main, middle), arrow=True)
        self.picture.joins.append((self.main, middle))
        self.to(y + height - self.m.cell)

    def column(self, row: Row, y: float) -> float:
        """Boxes on the main line, from y down; gives where they end."""
        if not row:
            return y
        width = 2 * self.half(self.widest(list(row))) + self.m.cell
        for box in row:
            self.to(y, arrow=True)
            self.drawn = self.place(box, self.main - self.half(width), y, width)
            y = self.drawn + self.m.gap
        return self.drawn

    def lane_of(self, row: Row, lane: int, y: float) -> float:
        """A branch's boxes from y down; gives where they end."""
        end = y
        for index, box in enumerate(row):
            if index:
                self.line((self.centre(lane), end), (self.centre(lane), y), arrow=True)
            end = self.place(box, self.first + lane * (self.lane + self.m.beside), y, self.lane)
            y = end + self.m.gap
        return end

    def place(self, box: Box, x: float, y: float, w: float) -> float:
        """Put a box down; gives where it ends."""
        height = self.height_of(box)
        self.picture.rects.append(Rect(box=box, x=x, y=y, w=w, h=height, lines=(box.name, *wrapped(box))))
        return y + height - self.m.cell

    def to(self, y: float, *, arrow: bool = False) -> None:
        """Draw the main line on to height y."""
        if y > self.drawn:
            points = ((self.main, self.drawn), (self.main, y))
            self.picture.lines.append(Line(points=points, arrow=arrow, stream=True))
        self.drawn = y

    def line(self, *points: tuple[float, float], arrow: bool = False) -> None:
        self.picture.lines.append(Line(points=points, arrow=arrow))

    def label(self, y: float, text: str, *, across: bool = False) -> None:
        """A size beside the main line, or on the way to the first branch."""
        x = self.main + self.half(self.centre(0) - self.main) if across else self.main + self.m.pad_x
        self.picture.labels.append(Label(x=x, y=y, text=text, across=across))

    def centre(self, lane: int) -> float:
        return self.first + lane * (self.lane + self.m.beside) + self.half(self.lane)

    def half(self, length: float) -> float:
        """Half of a length; whole cells where the unit is one."""
        return length // 2 if self.m.cell else length / 2

    def text(self, words: str) -> float:
        return len(words) * self.m.char

    def widest(self, boxes: list[Box]) -> float:
        return max(map(self.width_of, boxes), default=0)

    def width_of(self, box: Box) -> float:
        return max(map(self.text, (box.name, *wrapped(box)))) + 2 * self.m.pad_x

    def height_of(self, box: Box) -> float:
        padding = 0 if box.kind == "end" else 2 * self.m.pad_y
        return (1 + len(wrapped(box))) * self.m.line + padding
