"""A text of the course in a terminal: maths as Unicode, links as their words, figures told in words."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any
from xml.etree import ElementTree

from markdown_it.token import Token
from rich import box
from rich.console import Console, ConsoleOptions, Group, RenderableType, RenderResult
from rich.markdown import CodeBlock, Heading, Markdown, MarkdownContext, MarkdownElement
from rich.padding import Padding
from rich.panel import Panel
from rich.syntax import Syntax
from rich.text import Text

from oneblock.learn.course.markup import PIECE, parser
from oneblock.learn.course.page import Piece
from oneblock.learn.course.plain_maths import readable
from oneblock.learn.course.question import Question
from oneblock.learn.course.terminal_table import Grid


class Page(Markdown):
    """A filled text: maths as Unicode, links as their words, pieces as words in a frame."""

    def __init__(self, text: str, pieces: dict[str, Piece], *, answers: bool = False) -> None:
        super().__init__("", code_theme="ansi_dark", hyperlinks=True)
        self.elements = {  # type: ignore[misc]
            **Markdown.elements, "fence": _Code, "code_block": _Code, "piece": _Piece, "math_block": _Maths,
            "heading_open": _Heading, "table_open": Grid,
        }  # fmt: skip
        self.pieces, self.answers = pieces, answers
        self.parsed = list(_plain(parser().parse(text)))


def asked(question: Question, pieces: dict[str, Piece], answers: bool, number: str = "") -> RenderableType:
    """A question; answers: its model answer below it."""
    level = f" ({question.level or question.part})" if question.level or question.part else ""
    parts: list[RenderableType] = [Page(f"{number and f'**{number.strip()}**{level} '}{question.prompt}", pieces)]
    if question.choices:
        letters = [Page(f"{chr(97 + index)}) {choice}", pieces) for index, choice in enumerate(question.choices)]
        parts += [Padding(Group(*letters), (1, 0, 0, 3))]
    if question.exercise:
        parts += [Text(f"   done when `oneblock check {question.exercise}` passes", style="dim")]
    if question.drawing:
        parts += [Text(f"   done when `oneblock check draw_{question.drawing}` passes", style="dim")]
    if answers:
        right = f"{chr(97 + question.right)}) " if question.right is not None else ""
        parts += [Padding(Page(f"{right}{question.answer}", pieces), (0, 0, 0, 3), style="green")]
    return Padding(Group(*parts), (1, 0, 0, 0))


class _Code(CodeBlock):
    """Code on the terminal's own ground; what it gives is set off by an arrow."""

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        text = str(self.text).rstrip()
        if self.lexer_name == "gives":
            yield Padding(Text(f"→ {text}" if "\n" not in text else f"→\n{text}", style="green"), (0, 0, 0, 2))
        else:
            code = Syntax(text, self.lexer_name, theme=self.theme, background_color="default", word_wrap=True)
            yield Padding(code, (0, 0, 0, 2))


class _Heading(Heading):
    """A heading on the left, a sub-heading too."""

    LEVEL_ALIGN = dict.fromkeys(("h1", "h2", "h3", "h4", "h5", "h6"), "left")


class _Maths(MarkdownElement):
    """A formula on a line of its own."""

    def on_text(self, context: MarkdownContext, text: Any) -> None:
        self.text = str(text)

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        yield Padding(Text(self.text, style="maths"), (0, 0, 0, 4))


class _Piece(MarkdownElement):
    """A figure told in words, a question to predict, or where a picture to play with is."""

    @classmethod
    def create(cls, markdown: Markdown, token: Token) -> _Piece:
        assert isinstance(markdown, Page)
        made = cls()
        made.piece, made.page = markdown.pieces[token.content.strip()], markdown
        return made

    piece: Piece
    page: Page

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        piece, pieces = self.piece, self.page.pieces
        if piece.kind == "predict":
            assert piece.question is not None
            hint = Text("" if self.page.answers else "\nwrite down your answer before you read on", style="dim")
            yield _framed("Predict", Group(asked(piece.question, pieces, self.page.answers), hint))
        elif piece.kind == "figure":
            title, words = _words_of(piece.svg)
            yield _framed(f"Figure: {title}", Group(Page(piece.caption, pieces), Text(words, style="dim")))
        else:
            yield Text(
                f"[a picture to play with stands here in the pages of `oneblock learn --html`: {piece.name}]",
                style="dim",
            )


def _framed(title: str, inside: RenderableType) -> Panel:
    return Panel(inside, title=title, title_align="left", box=box.ROUNDED, border_style="dim", padding=(0, 1))


def _words_of(svg: str) -> tuple[str, str]:
    """A figure's title and what it shows."""
    found = {element.tag.rpartition("}")[2]: element.text or "" for element in ElementTree.fromstring(svg)}
    return found.get("title", ""), found.get("desc", "")


def _plain(tokens: Iterable[Token]) -> Iterator[Token]:
    """Tokens as rich knows them."""
    for token in tokens:
        if token.type == "fence" and token.info.strip() == PIECE:
            token.type, token.tag = "piece", "div"
        elif token.type == "math_block":
            token.content = readable(token.content)
        elif token.children:
            token.children = [child for given in token.children for child in _inline(given)]
        yield token


def _inline(token: Token) -> Iterator[Token]:
    if token.type in ("math_inline", "math_inline_double"):
        yield Token("em_open", "em", 1)
        yield Token("text", "", 0, content=readable(token.content))
        yield Token("em_close", "em", -1)
    elif token.type in ("link_open", "link_close"):
        # Addresses of the course mean nothing to a terminal; the words are shown as a link's.
        yield Token("em_open" if token.nesting > 0 else "em_close", "s", token.nesting)
    else:
        yield token
