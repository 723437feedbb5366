"""Markdown as this course has it: one parser for what is checked, what the terminal shows and what the site is made of.

In a filled page a figure, a prediction and a picture to play with stand as a fenced block whose word is `piece` and
whose content is a key of `Filled.pieces`:

    ```piece
    figure:grow
    ```

So the whole page is one Markdown text; whoever renders it treats a token with `type == "fence"` and `info == "piece"`
itself, and the rest as usual. Links keep their own addresses (`lesson:norm#slug`, `check:C1`, …); whoever renders them
turns them into its own.
"""

from __future__ import annotations

import functools
import itertools
import re
from collections.abc import Iterator
from dataclasses import dataclass

from markdown_it import MarkdownIt
from markdown_it.token import Token
from mdit_py_plugins.dollarmath import dollarmath_plugin

PIECE = "piece"
NOTES = ("Remember.", "Trap.", "Limits.")
"""A block quote that begins with one of these in bold is set off."""


@dataclass(frozen=True, kw_only=True)
class Heading:
    """A heading: level 2 or 3, its words, its anchor, its line (from 1)."""

    level: int
    words: str
    slug: str
    line: int


@dataclass(frozen=True, kw_only=True)
class Link:
    """A link: where to, its words, its line (of the block that it stands in, from 1)."""

    to: str
    words: str
    line: int


@functools.cache
def parser() -> MarkdownIt:
    """CommonMark with tables and maths between dollars; HTML is text."""
    made = MarkdownIt("commonmark", {"html": False}).enable("table")
    return made.use(dollarmath_plugin, allow_labels=False, allow_space=False, double_inline=True)


def slug(words: str) -> str:
    """The anchor that GitHub gives a heading of these words."""
    return re.sub(r"[^\w\- ]", "", words.strip().lower()).replace(" ", "-")


def headings(markdown: str) -> tuple[Heading, ...]:
    """The headings in order; a second one of the same words has -1 behind its anchor."""
    found: list[Heading] = []
    taken: dict[str, int] = {}
    tokens = parser().parse(markdown)
    for token, inline in itertools.pairwise(tokens):
        if token.type == "heading_open":
            words = plain(inline)
            anchor = slug(words)
            count = taken.get(anchor, 0)
            taken[anchor] = count + 1
            anchor = f"{anchor}-{count}" if count else anchor
            found.append(Heading(level=int(token.tag[1:]), words=words, slug=anchor, line=_line(token)))
    return tuple(found)


def plain(inline: Token) -> str:
    """The words of a run of text, without its marks."""
    words = ""
    for child in inline.children or []:
        words += " " if child.type in ("softbreak", "hardbreak") else child.content
    return words


def links(markdown: str) -> Iterator[Link]:
    """Every link of a text; pictures count too, for a page loads none."""
    for token in parser().parse(markdown):
        to, words = None, ""
        for child in token.children or []:
            if child.type == "link_open":
                to, words = str(child.attrs["href"]), ""
            elif child.type == "link_close" and to is not None:
                yield Link(to=to, words=words, line=_line(token))
                to = None
            elif child.type == "image":
                yield Link(to=str(child.attrs["src"]), words=child.content, line=_line(token))
            else:
                words += child.content


def texts(markdown: str) -> Iterator[tuple[str, int]]:
    """The prose of a text with its lines: no code, no maths, and not the words of links to a source."""
    for token in parser().parse(markdown):
        source = False
        for child in token.children or []:
            if child.type == "link_open":
                source = str(child.attrs["href"]).startswith("source:")
            elif child.type == "link_close":
                source = False
            elif child.type in ("text", "image") and not source:
                yield child.content, _line(token)


def _line(token: Token) -> int:
    return token.map[0] + 1 if token.map else 1
