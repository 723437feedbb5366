"""Lessons in a terminal: `oneblock learn lessons`, `oneblock learn read NAME`."""

from __future__ import annotations

import contextlib
import os
import shutil
import sys
from collections.abc import Iterator
from typing import Any

from rich.console import Console, Group, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text
from rich.theme import Theme

from oneblock.learn.course.lesson import NAMES, TIERS, Lesson, lesson
from oneblock.learn.course.links import experiments, target
from oneblock.learn.course.markup import links
from oneblock.learn.course.page import Filled, filled
from oneblock.learn.course.terminal_page import Page, asked

MOST = 96
"""Columns at most: longer lines are hard to read."""
NARROW = 60
"""Columns below which a list of three columns stands one below the other."""
THEME = Theme(
    {
        "markdown.h2": "bold cyan", "markdown.h3": "bold", "markdown.code": "bold", "markdown.block_quote": "yellow",
        "markdown.table.header": "bold", "markdown.table.border": "dim", "markdown.item.bullet": "dim",
        "markdown.item.number": "dim", "markdown.s": "cyan", "maths": "italic",
    }
)  # fmt: skip
KINDS = {
    "retrieval": "From memory", "predict": "Predict, then look", "exercise": "Exercises",
    "completion": "Completion check", "interview": "Interview questions",
}  # fmt: skip


def read(
    name: str,
    *,
    reference: bool = False,
    questions: bool = False,
    answers: bool = False,
    console: Console | None = None,
) -> dict[str, Any]:
    """Print a lesson, or its reference, or its questions; gives what `--json` prints."""
    page = filled(lesson(name))
    console = console or made_console()
    show(console, *_parts(page, reference=reference, questions=questions, answers=answers))
    return told(page)


def show(console: Console, *parts: RenderableType) -> None:
    """Print parts one below the other, through a pager where a person reads them."""
    with _paged(console):
        for part in parts:
            console.print(part, width=min(console.width, MOST))


def told(page: Filled) -> dict[str, Any]:
    """A lesson for a script: its front matter, its texts filled, its questions."""
    return {
        **summary(page.lesson),
        "next": [{"source": name, "why": why} for name, why in page.lesson.next],
        "body": page.body,
        "reference": page.reference,
        "questions": [
            {field: list(value) if isinstance(value, tuple) else value for field, value in vars(question).items()}
            | {"graded_by": question.graded_by}
            for question in page.questions
        ],
        "figures": [
            {"name": piece.name, "caption": piece.caption, "svg": piece.svg}
            for piece in page.pieces.values()
            if piece.kind == "figure"
        ],
    }


def summary(given: Lesson) -> dict[str, Any]:
    """What stands at the head of a lesson."""
    return {
        "lesson": given.name, "title": given.title, "tier": given.tier, "minutes": given.minutes, "goal": given.goal,
        "needs": list(given.needs), "exercises": list(given.exercises), "experiments": list(given.experiments),
        "checks": list(given.checks),
    }  # fmt: skip


def lessons(console: Console | None = None) -> dict[str, Any]:
    """Print every lesson by tier; gives what `--json` prints."""
    console = console or made_console()
    for tier, names in TIERS.items():
        there = [lesson(name) for name in names if name in NAMES]
        hours = sum(each.minutes for each in there) / 60
        console.print(Text(f"{tier}: {len(there)} lessons, {hours:.0f} hours", style="bold"))
        for part in _narrow(there) if console.width < NARROW else [_table(there)]:
            console.print(part, width=min(console.width, MOST))
        console.print()
    console.print(
        "oneblock learn read NAME; --reference for the page to print, --questions for what it asks", style="dim"
    )
    return {
        "tiers": [
            {"tier": t, "lessons": [summary(lesson(n)) for n in names if n in NAMES]} for t, names in TIERS.items()
        ]
    }


def _table(there: list[Lesson]) -> Table:
    """Lessons as three columns: name, title and goal, minutes."""
    table = Table(box=None, show_header=False, pad_edge=False, padding=(0, 2, 0, 0))
    table.add_column(style="cyan", no_wrap=True)
    table.add_column(ratio=1)
    table.add_column(style="dim", justify="right", no_wrap=True)
    for each in there:
        table.add_row(each.name, Text.assemble(each.title, "\n", (each.goal, "dim")), f"{each.minutes} min")
    return table


def _narrow(there: list[Lesson]) -> Iterator[RenderableType]:
    """The same one below the other."""
    for each in there:
        yield Text.assemble((each.name, "cyan"), (f"   {each.minutes} min", "dim"))
        yield Padding(Text.assemble(each.title, "\n", (each.goal, "dim")), (0, 0, 0, 2))


def made_console(*, quiet: bool = False) -> Console:
    """Of standard output, or of standard error, which `--json` leaves for words."""
    return _Console(theme=THEME, highlight=False, stderr=quiet, no_color=True if "NO_COLOR" in os.environ else None)


class _Console(Console):
    """Where the reader goes away (`| head`) the command ends well, as it does everywhere else."""

    def on_broken_pipe(self) -> None:
        raise BrokenPipeError


def _parts(page: Filled, *, reference: bool, questions: bool, answers: bool) -> Iterator[RenderableType]:
    pieces = dict(page.pieces)
    yield _head(page.lesson)
    if reference:
        yield Page(page.reference, pieces, answers=answers)
        return
    if not questions:
        yield Page(page.body, pieces, answers=answers)
    yield Text()
    for kind, title in KINDS.items():
        of_kind = [q for q in page.questions if q.kind == kind]
        # A prediction stands in the text, at its place.
        if not of_kind or (kind == "predict" and not questions and all(f"predict:{q.id}" in pieces for q in of_kind)):
            continue
        yield Text(f"\n{title}", style="bold cyan")
        for number, question in enumerate(of_kind, start=1):
            yield asked(question, pieces, answers, f"{number}. ")
    if not answers:
        yield Text(f"\nanswers: oneblock learn read {page.lesson.name} --questions --answers", style="dim")
    if not questions:
        yield from _foot(page)


def _head(given: Lesson) -> RenderableType:
    needs = f"; needs {', '.join(given.needs)}" if given.needs else ""
    return Group(
        Text(f"\n{given.title}", style="bold"),
        Text(f"{given.tier}, {given.minutes} minutes{needs}", style="dim"),
        Text(given.goal, style="italic"),
        Text(),
    )


def _foot(page: Filled) -> Iterator[RenderableType]:
    """What to do after it: commands and sources, each with its words."""
    given = page.lesson
    rows = [(f"oneblock check {name}", "the exercise") for name in given.exercises]
    for name in given.experiments:
        known = experiments().get(name)
        rows += [(f"oneblock compare {name}", known.sentence or known.claim)] if known else []
    rows += (
        [(f"oneblock doctor FILE:NAME --only {','.join(given.checks)}", "on a model of your own")]
        if given.checks
        else []
    )
    if rows:
        table = Table(box=None, show_header=False, pad_edge=False, padding=(0, 2, 1, 0))
        table.add_column(style="cyan", overflow="fold", max_width=34)
        table.add_column(ratio=1)
        for row in rows:
            table.add_row(*row)
        yield Text("\nTry it", style="bold cyan")
        yield table
    cited = [
        target(link.to).name for link in links(f"{page.body}\n\n{page.reference}") if target(link.to).kind == "source"
    ]
    reasons = dict(given.next)
    if names := dict.fromkeys([*reasons, *cited]):
        yield Text("\nTo read", style="bold cyan")
        for name in names:
            yield Padding(_source(name, reasons.get(name, "")), (0, 0, 0, 2))
    order = [name for names in TIERS.values() for name in names if name in NAMES]
    for name in order[order.index(given.name) + 1 :][:1] if given.name in order else ():
        yield Text(f"\nnext lesson: oneblock learn read {name}", style="dim")


def _source(name: str, why: str) -> Text:
    from oneblock.learn.course.sources import source

    found = source(name)
    line = Text.assemble(f"{found.title}. {found.author}, {found.year}. ", (found.address, "dim"))
    return Text.assemble(line, f"\n  {why}") if why else line


@contextlib.contextmanager
def _paged(console: Console) -> Iterator[None]:
    """Through less where a person reads it in a terminal; as it is otherwise."""
    if not (console.is_terminal and sys.stdin.isatty() and shutil.which("less")) or "PAGER" in os.environ:
        yield
        return
    os.environ.setdefault("LESS", "FRX")
    # A learner's own options of less stand.
    with console.pager(styles=console.color_system is not None):
        yield
