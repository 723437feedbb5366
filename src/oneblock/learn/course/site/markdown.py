"""Filled Markdown to HTML: anchors, addresses, callouts, tables that scroll, MathML, code, and pieces."""

from __future__ import annotations

import re
from collections.abc import Callable, MutableMapping, Sequence
from html import escape
from typing import Any

from markdown_it.renderer import RendererHTML
from markdown_it.token import Token
from markdown_it.utils import OptionsDict

from oneblock.learn.course import markup
from oneblock.learn.course.site import code
from oneblock.learn.course.site.address import address, seen_from
from oneblock.learn.course.site.maths import displayed, mathml

Env = MutableMapping[str, Any]
JOINT = re.compile(r"(?<=\w)([._=/]+)(?=[A-Za-z])")
"""Where a long name in a narrow column may go on in the next line; a number never does."""


class Writer(RendererHTML):
    """Writes the Markdown of one page.

    page: where it will lie; own: the page that a link `#slug` means; piece: key -> HTML; deeper: how many levels
    headings are moved down; prefix: before each anchor, where several texts share a page.
    """

    def __init__(
        self, page: str, own: str = "", piece: Callable[[str], str] | None = None, deeper: int = 0, prefix: str = ""
    ) -> None:
        super().__init__()
        self.page, self.own, self.piece, self.deeper, self.prefix = page, own or page, piece, deeper, prefix
        self.slugs: list[str] = []
        self.level = 0
        self.in_table = False

    def html(self, markdown: str) -> str:
        """The HTML of a text."""
        parser = markup.parser()
        tokens = _without_empty_heads(parser.parse(markdown))
        self.slugs = [heading.slug for heading in markup.headings(markdown)]
        return self.render(tokens, parser.options, {})

    def words(self, markdown: str) -> str:
        """The HTML of a text of one paragraph, without its <p>."""
        parser = markup.parser()
        tokens = parser.parse(markdown)
        if [token.type for token in tokens] == ["paragraph_open", "inline", "paragraph_close"]:
            return self.renderInline(tokens[1].children or [], parser.options, {})
        return self.html(markdown)

    def heading_open(self, tokens: Sequence[Token], index: int, options: OptionsDict, env: Env) -> str:
        """<h2 id=…>; the anchor is the one that `markup.headings` gives."""
        self.level = int(tokens[index].tag[1:]) + self.deeper
        return f'<h{self.level} id="{self.prefix}{self.slugs[0]}">'

    def heading_close(self, tokens: Sequence[Token], index: int, options: OptionsDict, env: Env) -> str:
        """A link to the heading itself stands at its end."""
        anchor = self.prefix + self.slugs.pop(0)
        link = f'<a class="anchor" href="#{anchor}" aria-label="Link to this section">#</a>'
        return f"{link}</h{self.level}>\n"

    def link_open(self, tokens: Sequence[Token], index: int, options: OptionsDict, env: Env) -> str:
        """An address of the course becomes one of the site."""
        to = str(tokens[index].attrs["href"])
        kind = to.partition(":")[0] if ":" in to and "#" not in to.partition(":")[0] else ""
        name = (
            f' class="to-{kind}"'
            if kind and "/" not in kind and "://" not in to
            else ' class="why"'
            if to.startswith("#")
            else ""
        )
        return f'<a{name} href="{escape(seen_from(self.page, address(to, self.own)))}">'

    def blockquote_open(self, tokens: Sequence[Token], index: int, options: OptionsDict, env: Env) -> str:
        """`> **Trap.**` is set off."""
        return f'<blockquote class="callout {kind}">\n' if (kind := _note(tokens, index)) else "<blockquote>\n"

    def table_open(self, tokens: Sequence[Token], index: int, options: OptionsDict, env: Env) -> str:
        """A wide table scrolls inside itself."""
        self.in_table = True
        return f'<div class="scroll{_wide(tokens, index)}" data-name="table, scrolls sideways"><table>\n'

    def table_close(self, tokens: Sequence[Token], index: int, options: OptionsDict, env: Env) -> str:
        """The end of both."""
        self.in_table = False
        return "</table></div>\n"

    def th_open(self, tokens: Sequence[Token], index: int, options: OptionsDict, env: Env) -> str:
        """A head says of what it is the head; an empty corner is a cell."""
        style = f' style="{tokens[index].attrs["style"]}"' if "style" in tokens[index].attrs else ""
        return f'<th scope="col"{style}>'

    def code_inline(self, tokens: Sequence[Token], index: int, options: OptionsDict, env: Env) -> str:
        """`code`; in a table it may be parted at its joints."""
        text = escape(tokens[index].content)
        if self.in_table:
            text = JOINT.sub(r"\1<wbr>", text)
        return f"<code>{text}</code>"

    def fence(self, tokens: Sequence[Token], index: int, options: OptionsDict, env: Env) -> str:
        """Code; or a piece."""
        token = tokens[index]
        if token.info.strip() == markup.PIECE and self.piece is not None:
            return self.piece(token.content.strip())
        return code.block(token.content, token.info.strip())

    def code_block(self, tokens: Sequence[Token], index: int, options: OptionsDict, env: Env) -> str:
        """Indented code."""
        return code.block(tokens[index].content, "")

    def math_inline(self, tokens: Sequence[Token], index: int, options: OptionsDict, env: Env) -> str:
        """$…$"""
        return mathml(tokens[index].content)

    def math_inline_double(self, tokens: Sequence[Token], index: int, options: OptionsDict, env: Env) -> str:
        """$$…$$ inside a line."""
        return mathml(tokens[index].content)

    def math_block(self, tokens: Sequence[Token], index: int, options: OptionsDict, env: Env) -> str:
        """$$…$$ on its own."""
        return f'<div class="formula" data-name="formula, scrolls sideways">{displayed(tokens[index].content)}</div>\n'


def _wide(tokens: Sequence[Token], index: int) -> str:
    """A table of sentences in many columns takes the margin too."""
    end = next(i for i in range(index, len(tokens)) if tokens[i].type == "tr_close")
    columns = sum(token.type in ("th_open", "td_open") for token in tokens[index:end])
    close = next(i for i in range(index, len(tokens)) if tokens[i].type == "table_close")
    longest = max((len(token.content) for token in tokens[index:close] if token.type == "inline"), default=0)
    return " wide" if columns > 3 and longest > 60 else ""


def _note(tokens: Sequence[Token], index: int) -> str:
    """remember, trap or limits, where a block quote begins with that word in bold."""
    inline = tokens[index + 2] if index + 2 < len(tokens) else None
    children = (
        [child for child in (inline.children or []) if child.content or child.type == "strong_open"] if inline else []
    )
    if len(children) > 1 and children[0].type == "strong_open" and children[1].content in markup.NOTES:
        return children[1].content.rstrip(".").lower()
    return ""


def _without_empty_heads(tokens: list[Token]) -> list[Token]:
    """Markdown cannot write a table without a head; one whose cells are all empty is none."""
    kept: list[Token] = []
    index = 0
    while index < len(tokens):
        if tokens[index].type == "thead_open":
            end = next(i for i in range(index, len(tokens)) if tokens[i].type == "thead_close")
            if not any(token.content.strip() for token in tokens[index:end]):
                index = end + 1
                continue
        kept.append(tokens[index])
        index += 1
    return kept
