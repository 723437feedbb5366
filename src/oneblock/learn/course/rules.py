"""What a page may not say: a number that was typed, a link to what is not there, a heading without an anchor."""

from __future__ import annotations

import re
from collections.abc import Collection

from oneblock.learn.course import links
from oneblock.learn.course.fields import place
from oneblock.learn.course.lesson import ALL, Lesson
from oneblock.learn.course.markup import Heading, headings, texts
from oneblock.learn.course.markup import links as links_in
from oneblock.learn.errors import LearnError

_JINJA = re.compile(r"\{\{.*?\}\}|\{%.*?%\}|\{#.*?#\}", re.DOTALL)
_DECIMAL = re.compile(r"(?<![\w.])\d*\.\d+")


def blanked(text: str) -> str:
    """The text with a letter in place of what Jinja computes, line by line where it was."""
    return _JINJA.sub(lambda match: ("x" if match[0][1] == "{" else "") + "\n" * match[0].count("\n"), text)


def computed(where: str, raw: str, line: int) -> None:
    """LearnError where a decimal was typed. Code, maths, and the words of a link to a source are let through."""
    for text, at in texts(blanked(raw)):
        if found := _DECIMAL.search(text):
            raise LearnError(
                f"{where}, line {at + line - 1}: {found[0]} was typed; a decimal is computed ({{{{ n.x | num(3) }}}}) "
                f"or is the text of a link to its source ([{found[0]}](source:…))"
            )


def headed(where: str, raw: str, line: int) -> tuple[Heading, ...]:
    """The headings of a text; LearnError for one that is not ## or ###, or whose words are computed."""
    found = headings(blanked(raw))
    for heading in found:
        at = f"{where}, line {heading.line + line - 1}: {heading.words!r}"
        if heading.level not in (2, 3):
            raise LearnError(f"{at}: sections are ##, sub-sections ###; the title is made")
        if "{{" in raw.splitlines()[heading.line - 1]:
            raise LearnError(f"{at}: a heading is an anchor, and must not be computed")
    return found


def linked(where: str, text: str, own: Collection[str]) -> None:
    """LearnError for a link of a filled text that leads nowhere. own: the anchors of the lesson."""
    for link in links_in(text):
        if fault := links.fault(link.to, own):
            raise LearnError(f"{where}: [{link.words}]({link.to}) {fault}")


def summed_up(where: str, reference: str) -> None:
    """LearnError for a section of a reference that does not link to the section of the lesson it sums up."""
    found = headings(reference)
    lines = reference.splitlines()
    starts = [heading for heading in found if heading.level == 2]
    if not starts:
        raise LearnError(f"{where} has no ## section")
    for heading, following in zip(starts, [*starts[1:], None], strict=True):
        section = "\n".join(lines[heading.line : following.line - 1 if following else None])
        if not any(link.to.startswith("#") for link in links_in(section)):
            raise LearnError(f"{where}: the section {heading.words!r} has no link [why](#slug) to the lesson")


def front(lesson: Lesson) -> None:
    """LearnError for a name in a lesson's first lines that is not there."""
    where = place(lesson.folder / "lesson.md")
    for kind, names in (
        ("exercise", lesson.exercises),
        ("experiment", lesson.experiments),
        ("check", lesson.checks),
        ("source", [name for name, _ in lesson.next]),
    ):
        for name in names:
            if fault := links.fault(f"{kind}:{name}", ()):
                raise LearnError(f"{where}: {kind} {name} {fault}")
    for name in lesson.needs:
        if name not in ALL or name == lesson.name:
            raise LearnError(f"{where}: needs: {name} is no other lesson; there are {', '.join(ALL)}")
    for question in lesson.questions:
        for kind, name in (("exercise", question.exercise), ("drawing", question.drawing)):
            if name and (fault := links.fault(f"{kind}:{name}", ())):
                raise LearnError(f"{lesson.name}/questions.toml: question {question.id}: {kind} {name} {fault}")
