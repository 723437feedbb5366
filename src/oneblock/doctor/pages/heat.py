"""Heat maps as inline SVG: cells stretch with the page, words keep their size."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from oneblock.train.report.markup import Markup, element, join

LOW, TALL = 9, 24
MOST_NAMES = 17


@dataclass(frozen=True, kw_only=True)
class Cell:
    """How strong (0 to 1) in which colour of the page, what a pointer reads, and what stands in it ("" nothing)."""

    strength: float
    words: str
    color: str = "c1"
    text: str = ""


@dataclass(frozen=True, kw_only=True)
class Heat:
    """Rows of cells with their names. across, down: what columns and rows are; legend: colour, strength, words."""

    key: str
    title: str
    description: str
    cells: Sequence[Sequence[Cell]]
    row_names: Sequence[str]
    column_names: Sequence[str]
    across: str
    down: str
    legend: Sequence[tuple[str, float, str]] = ()
    square: bool = False


def draw_heat(heat: Heat) -> Markup:
    """The map with its title, legend and axes."""
    many, wide = len(heat.cells), len(heat.cells[0])
    # Whole pixels, or there are seams between the rows.
    side = max(LOW, min(TALL, (400 if heat.square else 340) // many))
    high = side * many
    drawing = element(
        "svg",
        element("title", heat.title, id=f"{heat.key}-title"),
        element("desc", heat.description, id=f"{heat.key}-text"),
        element("rect", width="100%", height=high, class_="bed"),
        *(_row(row, n, wide, side) for n, row in enumerate(heat.cells)),
        *_names(heat, side, high),
        class_="chart heat",
        height=high,
        role="img",
        aria_labelledby=f"{heat.key}-title {heat.key}-text",
    )
    legend = [element("li", _swatch(color, strength), join(" ", words)) for color, strength, words in heat.legend]
    return element(
        "figure",
        element(
            "figcaption",
            element("h3", heat.title),
            element("p", heat.description, class_="soft"),
            element("ul", *legend, class_="legend") if legend else None,
        ),
        drawing,
        class_="square" if heat.square else None,
    )


def _row(row: Sequence[Cell], number: int, wide: int, side: int) -> Markup:
    drawn = []
    for n, cell in enumerate(row):
        x, y = f"{100 * n / wide:.2f}%", number * side
        shown = {"x": x, "y": y, "width": f"{100 / wide:.2f}%", "height": side}
        opacity = f"{min(max(cell.strength, 0.0), 1.0):.2f}"
        drawn.append(element("rect", element("title", cell.words), **shown, class_=cell.color, fill_opacity=opacity))
        if cell.text:
            kind = "cell strong" if cell.strength > 0.55 else "cell"
            middle = f"{100 * (n + 0.5) / wide:.2f}%"
            drawn.append(
                element("text", cell.text, x=middle, y=y, dy=f"{side / 2 + 4:.1f}", text_anchor="middle", class_=kind)
            )
    return element("g", *drawn)


def _names(heat: Heat, side: int, high: int) -> list[Markup]:
    rows, columns = heat.row_names, heat.column_names
    every, step = -(-len(rows) // MOST_NAMES), -(-len(columns) // MOST_NAMES)
    made = [
        element("text", name, x=-8, y=f"{(n + 0.5) * side:.1f}", dy=".35em", text_anchor="end")
        for n, name in enumerate(rows)
        if n % every == 0
    ]
    made += [
        element("text", name, x=f"{100 * (n + 0.5) / len(columns):.2f}%", y=high + 15, text_anchor="middle")
        for n, name in enumerate(columns)
        if n % step == 0
    ]
    made.append(element("text", heat.across, x="100%", y=high + 31, text_anchor="end"))
    made.append(element("text", heat.down, x=-8, y=-7, text_anchor="start"))
    return made


def _swatch(color: str, strength: float) -> Markup:
    box = element("rect", width=24, height=12, class_=color, fill_opacity=f"{strength:.2f}")
    return element("svg", box, width=24, height=12, class_="swatch heat", aria_hidden="true")
