"""`filled(lesson)`: a lesson's Markdown with its numbers, code, figures and questions in it.

In a text one may use: `n` (the lesson's numbers.py), the filters of filters.py, abs enumerate len max min range round
sorted sum zip, and

    {{ code("grow") }}        the source of n.grow, and what it gives without arguments (fences `python`, `gives`)
    {{ source("grow") }}      the source only
    {{ figure("grow") }}      n.figure_grow(), an SVG; its docstring is the caption
    {{ predict("id") }}       a question of kind predict, its answer hidden until asked for (lesson.md only)
    {{ interactive("mask") }} a picture to play with
    {{ failures() }}          the failure–fix table: failures.markdown()
    {{ cards("swiglu") }}     the formula cards of a topic: cards.markdown(topic)

Each stands on a line of its own. Figures, predictions and pictures become fences of the word `piece` (markup.py), whose
content is a key of `Filled.pieces`, such as `figure:grow`, `predict:id`, `interactive:mask`.
"""

from __future__ import annotations

import functools
import importlib
import importlib.util
import inspect
import textwrap
import traceback
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from types import ModuleType
from typing import Any
from xml.etree import ElementTree

from jinja2 import Environment, StrictUndefined, Template, TemplateSyntaxError

from oneblock.learn.course import rules
from oneblock.learn.course.fields import near, place
from oneblock.learn.course.filters import FILTERS, listed, nested, shown
from oneblock.learn.course.lesson import LESSONS, Lesson, lesson
from oneblock.learn.course.markup import PIECE, headings
from oneblock.learn.course.question import Question
from oneblock.learn.errors import LearnError

INTERACTIVES = {"mask": "mask", "attention": "scale", "cache": "cache", "failure": "depth"}
"""Lesson -> the picture to play with that belongs to it."""


@dataclass(frozen=True, kw_only=True)
class Piece:
    """What is not Markdown in a page. kind: figure (svg, caption as Markdown), predict (question), interactive."""

    kind: str
    name: str
    svg: str = ""
    caption: str = ""
    question: Question | None = None

    @property
    def key(self) -> str:
        """Its name in `Filled.pieces`, which is what stands in its fence."""
        return f"{self.kind}:{self.name}"


@dataclass(frozen=True, kw_only=True)
class Filled:
    """A lesson ready to be shown: Markdown (markup.py) whose fences `piece` name entries of `pieces`."""

    lesson: Lesson
    body: str
    reference: str
    questions: tuple[Question, ...]
    pieces: Mapping[str, Piece]


@functools.cache
def filled(lesson: Lesson) -> Filled:
    """The lesson with everything computed; LearnError with file and line for whatever is wrong in it."""
    page = _Page(lesson)
    anchors = [heading.slug for heading in rules.headed(place(lesson.folder / "lesson.md"), lesson.body, lesson.starts)]
    # Questions come first, for predictions are shown in the body.
    page.questions = {question.id: page.question(question, anchors) for question in lesson.questions}
    body = page.text(lesson.folder / "lesson.md", lesson.body, anchors, line=lesson.starts)
    reference = page.text(lesson.folder / "reference.md", lesson.reference, anchors)
    rules.front(lesson)
    rules.summed_up(place(lesson.folder / "reference.md"), reference)
    return Filled(
        lesson=lesson, body=body, reference=reference, questions=tuple(page.questions.values()), pieces=page.pieces
    )


@functools.cache
def anchors(name: str) -> tuple[str, ...]:
    """The anchors of a lesson's body."""
    return tuple(heading.slug for heading in headings(rules.blanked(lesson(name).body)))


def numbers(folder: Path) -> ModuleType:
    """A lesson's numbers.py as a module."""
    path = folder / "numbers.py"
    if not path.is_file():
        raise LearnError(f"{place(path)} is not there: the module whose constants and functions a lesson's text uses")
    try:
        if folder.parent == LESSONS:
            return importlib.import_module(f"oneblock.learn.course.lessons.{folder.name}.numbers")
        spec = importlib.util.spec_from_file_location(f"numbers_of_{folder.name}", path)
        assert spec is not None and spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        return module
    except Exception as error:
        raise LearnError(f"{place(path)}{_line_in(error, path)}: {type(error).__name__}: {error}") from error


class _Page:
    """One lesson while it is filled."""

    def __init__(self, lesson: Lesson) -> None:
        self.lesson = lesson
        self.numbers = numbers(lesson.folder)
        self.pieces: dict[str, Piece] = {}
        self.questions: dict[str, Question] = {}
        self.environment = Environment(
            undefined=StrictUndefined,
            autoescape=False,
            trim_blocks=True,
            lstrip_blocks=True,
            keep_trailing_newline=True,
        )
        self.environment.filters.update(FILTERS)
        self.environment.globals |= {
            **{builtin.__name__: builtin for builtin in (abs, enumerate, len, max, min, round, sorted, sum, zip)},
            "n": self.numbers, "code": self.code, "source": self.source, "figure": self.figure,
            "predict": self.predict, "interactive": self.interactive, "failures": failures, "cards": cards,
        }  # fmt: skip

    def text(self, path: Path, raw: str, anchors: list[str], field: str = "", line: int = 1) -> str:
        """A text with its numbers; what it may not say is refused. line: that of the file on which it begins."""
        where = f"{place(path)}{field and ': ' + field}"
        rules.computed(where, raw, line)
        text = self.fill(path, raw, where, line)
        rules.linked(where, text, anchors)
        return text

    def fill(self, path: Path, raw: str, where: str, line: int = 1) -> str:
        """A text through Jinja."""
        try:
            code = self.environment.compile(raw, name=where, filename=str(path))
            return Template.from_code(self.environment, code, self.environment.globals).render()
        except TemplateSyntaxError as error:
            raise LearnError(f"{where}, line {error.lineno + line - 1}: {error.message}") from None
        except LearnError as error:
            raise LearnError(f"{where}{_line_in(error, path, line)}: {error}") from None
        except Exception as error:
            raise LearnError(f"{where}{_line_in(error, path, line)}: {type(error).__name__}: {error}") from error

    def question(self, question: Question, anchors: list[str]) -> Question:
        """A question with its texts filled and its number evaluated."""
        path = self.lesson.folder / "questions.toml"

        def text(field: str, raw: str) -> str:
            return self.text(path, raw, anchors, f"question {question.id}: {field}").strip()

        number = question.number
        if isinstance(number, str):
            try:
                number = _evaluated(eval(number, {"n": self.numbers}))
            except Exception as error:
                where = f"{place(path)}: question {question.id}: number = {number!r}"
                raise LearnError(f"{where}: {type(error).__name__}: {error}") from error
        return replace(
            question,
            prompt=text("prompt", question.prompt),
            answer=text("answer", question.answer),
            choices=tuple(text(f"choice {index}", choice) for index, choice in enumerate(question.choices)),
            number=number,
        )

    def code(self, name: str, digits: int = 3) -> str:
        """{{ code("grow") }}"""
        return f"{self.source(name)}```gives\n{shown(self._function(name)(), digits)}\n```\n\n"

    def source(self, name: str) -> str:
        """{{ source("grow") }}"""
        return f"\n\n```python\n{textwrap.dedent(inspect.getsource(self._function(name))).rstrip()}\n```\n\n"

    def figure(self, name: str) -> str:
        """{{ figure("grow") }}"""
        function = self._function(f"figure_{name}")
        svg = function()
        where = f"{self.lesson.name}/numbers.py: figure_{name}"
        _drawn(where, svg)
        caption = inspect.getdoc(function)
        if not caption:
            raise LearnError(f"{where} has no docstring; it is the caption")
        path = self.lesson.folder / "numbers.py"
        rules.computed(where, caption, 1)
        return self._piece(Piece(kind="figure", name=name, svg=svg, caption=self.fill(path, caption, where)))

    def predict(self, name: str) -> str:
        """{{ predict("id") }}"""
        asked = {question.id: question for question in self.questions.values() if question.kind == "predict"}
        if name not in asked:
            raise LearnError(f"predict({name!r}): no question of kind predict; try {', '.join(near(name, asked))}")
        if f"predict:{name}" in self.pieces:
            raise LearnError(f"predict({name!r}) stands twice")
        return self._piece(Piece(kind="predict", name=name, question=asked[name]))

    def interactive(self, name: str) -> str:
        """{{ interactive("mask") }}"""
        if INTERACTIVES.get(self.lesson.name) != name:
            allowed = ", ".join(f"{there} in {lesson}" for lesson, there in INTERACTIVES.items())
            raise LearnError(f"interactive({name!r}) does not belong here; there are {allowed}")
        return self._piece(Piece(kind="interactive", name=name))

    def _piece(self, piece: Piece) -> str:
        self.pieces[piece.key] = piece
        return f"\n\n```{PIECE}\n{piece.key}\n```\n\n"

    def _function(self, name: str) -> Any:
        there = {key: value for key, value in vars(self.numbers).items() if inspect.isfunction(value)}
        if name not in there:
            raise LearnError(f"{name} is not a function of numbers.py; try {', '.join(near(name, there))}")
        return there[name]


def failures() -> str:
    """{{ failures() }}"""
    from oneblock.learn.course.failures import markdown

    return f"\n\n{markdown().strip()}\n\n"


def cards(topic: str) -> str:
    """{{ cards("swiglu") }}"""
    from oneblock.learn.course.cards import markdown

    return f"\n\n{markdown(topic).strip()}\n\n"


def _evaluated(value: Any) -> float | tuple[float, ...]:
    return tuple(float(entry) for entry in listed(value)) if nested(value) else float(value)


def _drawn(where: str, svg: Any) -> None:
    """LearnError unless it is one SVG with a title and without scripts."""
    try:
        root = ElementTree.fromstring(svg)
    except (ElementTree.ParseError, TypeError) as error:
        raise LearnError(f"{where} gives no SVG ({error}); make it with oneblock.learn.course.figures") from None
    names = {element.tag.rpartition("}")[2] for element in root.iter()}
    if not root.tag.endswith("svg") or "title" not in names or "script" in names:
        raise LearnError(f"{where}: an SVG has a <title> in words, and no script")


def _line_in(error: BaseException, path: Path, first: int = 1) -> str:
    lines = [frame.lineno for frame in traceback.extract_tb(error.__traceback__) if frame.filename == str(path)]
    return f", line {lines[-1] + first - 1}" if lines and lines[-1] is not None else ""
