"""A table in a terminal: a word or a number is never cut, and what is too wide for that stands row below row."""

from __future__ import annotations

from collections.abc import Iterator

from rich import box
from rich.console import Console, ConsoleOptions, RenderableType, RenderResult
from rich.markdown import TableElement
from rich.measure import Measurement
from rich.padding import Padding
from rich.table import Table
from rich.text import Text


class Grid(TableElement):
    """The table of a text, as wide as there is room."""

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        heads = [] if self.header is None or self.header.row is None else [c.content for c in self.header.row.cells]
        rows = [] if self.body is None else [[cell.content for cell in row.cells] for row in self.body.rows]
        columns = list(zip(heads, *rows, strict=True))
        table = Table(box=box.SIMPLE, pad_edge=False, style="markdown.table.border", collapse_padding=True)
        for head in heads:
            table.add_column(_bold(head), overflow="fold")
        for row in rows:
            table.add_row(*row)
        measured = [[Measurement.get(console, options, cell) for cell in column] for column in columns]
        least, most = ([max(getattr(m, end) for m in column) for column in measured] for end in ("minimum", "maximum"))
        # Borders and the space between columns.
        besides = table.__rich_measure__(console, options.update(width=10_000)).maximum - sum(most)
        widths = fitted(least, most, options.max_width - besides)
        if widths is None:
            yield from _stacked(heads, rows)
            return
        for column, width in zip(table.columns, widths, strict=True):
            column.width = width
        yield table


def fitted(least: list[int], most: list[int], room: int) -> list[int] | None:
    """Widths of columns that need `least` and would like `most`; None where there is no room for the least."""
    if sum(least) > room:
        return None
    widths = list(least)
    for _ in range(min(room, sum(most)) - sum(least)):
        # The one that has the smallest part of what it would like.
        at = max(range(len(widths)), key=lambda at: most[at] / max(1, widths[at]))
        widths[at] += 1
    return widths


def _stacked(heads: list[Text], rows: list[list[Text]]) -> Iterator[RenderableType]:
    """Each row as lines `head: cell`, the first of them in front."""
    for number, row in enumerate(rows):
        if number:
            yield Text()
        for at, (head, cell) in enumerate(zip(heads, row, strict=True)):
            if not cell.plain.strip():
                continue
            line = Text.assemble(_bold(head), ": " if head.plain.strip() else "", cell)
            yield Padding(line, (0, 0, 0, 0 if at == 0 else 2))


def _bold(head: Text) -> Text:
    head = head.copy()
    head.stylize("markdown.table.header")
    return head
