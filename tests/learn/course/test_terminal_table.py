"""Tables in a terminal: as wide as there is room, and no word or number cut."""

import io
import re

import pytest
from rich.console import Console

from oneblock.learn.course.terminal import THEME
from oneblock.learn.course.terminal_page import Page
from oneblock.learn.course.terminal_table import fitted

HEADS = ["query", "weights, all open", "output", "standard deviation", "kept"]
ROWS = [
    ["0", "[0.401, 0.402, 0.198]", "[2.593, 3.593]", "11.31", "1,234.500"],
    ["1", "[0.284, 0.140, 0.576]", "[3.584, −4.584]", "128", "1.23 × 10⁻⁵"],
]


def table(heads, rows):
    lines = [heads, ["---", *["---:"] * (len(heads) - 1)], *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def shown(text, width):
    console = Console(theme=THEME, highlight=False, width=width, file=io.StringIO())
    console.print(Page(f"Before.\n\n{text}\n\nAfter.", {}))
    return console.file.getvalue()


def test_a_table_that_fits_is_one():
    lines = shown(table(HEADS, ROWS), 90).splitlines()
    assert any(
        re.search(r"^ ?0 .*\[0\.401, 0\.402, 0\.198\].*\[2\.593, 3\.593\].*11\.31.*1,234\.500", line) for line in lines
    )


@pytest.mark.parametrize("width", range(20, 100, 3))
def test_no_word_or_number_is_cut(width):
    text = shown(table(HEADS, ROWS), width)
    assert "…" not in text and all(len(line) <= width for line in text.splitlines())
    words = text.replace(":", " ").split()
    for word in " ".join([*HEADS, *(cell for row in ROWS for cell in row)]).split():
        assert word in words, (word, text)


def test_one_that_is_too_wide_stands_row_below_row():
    lines = [line.rstrip() for line in shown(table(HEADS, ROWS), 40).splitlines()]
    at = lines.index("query: 0")
    assert lines[at + 1 : at + 4] == ["  weights, all open: [0.401, 0.402,", "  0.198]", "  output: [2.593, 3.593]"]
    assert lines[lines.index("query: 1") - 1] == "" and lines.index("query: 1") > at
    empty = shown(table(["", "long_word_of_a_head", "another_long_head"], [["name", "1", ""]]), 24)
    assert [line.strip() for line in empty.splitlines()][2:-2] == ["name", "long_word_of_a_head: 1"]


@pytest.mark.parametrize(
    ("least", "most", "room", "widths"),
    [
        ([3, 3], [3, 3], 10, [3, 3]),
        ([3, 3], [3, 10], 10, [3, 7]),
        ([3, 3], [10, 3], 13, [10, 3]),
        ([3, 3], [3, 3], 5, None),
        ([2, 2], [20, 10], 12, [8, 4]),
    ],
)
def test_widths(least, most, room, widths):
    assert fitted(least, most, room) == widths
