"""Pieces a page is made of: sections, tables, and evenly chosen entries of a long list."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

from oneblock.train.report.markup import Markup, element

T = TypeVar("T")


def section(title: str, *children: object) -> Markup:
    """A part of the page under its heading."""
    return element("section", element("h2", title), *children, id=title.lower().replace(" ", "-"))


def table(names: Sequence[str], rows: Sequence[Sequence[object]], *, numbers: int = 0) -> Markup:
    """A table; the first cell of a row names it, and columns 1 to `numbers` - 1 stand to the right.

    Without `names` it has no head.
    """

    def style(column: int) -> str | None:
        return "number" if 0 < column < numbers else None

    head = element("tr", *(element("th", name, scope="col", class_=style(i)) for i, name in enumerate(names)))
    lines = [
        element(
            "tr",
            *(
                element("td", cell, class_="bars" if isinstance(cell, Markup) else style(i))
                if i
                else element("th", cell, scope="row")
                for i, cell in enumerate(row)
            ),
        )
        for row in rows
    ]
    kind = None if numbers else "words"
    return element("table", element("thead", head) if names else None, element("tbody", *lines), class_=kind)


def even(entries: Sequence[T], most: int) -> list[T]:
    """At most `most` of the entries, evenly chosen, the first and the last among them."""
    if len(entries) <= most:
        return list(entries)
    last = len(entries) - 1
    return [entries[round(n * last / (most - 1))] for n in range(most)]
