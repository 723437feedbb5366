"""The catalogue of sources: what to read beside this course, why, which topics it covers and which nothing covers."""

from __future__ import annotations

import functools
import textwrap
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from oneblock.learn.course.addresses import same
from oneblock.learn.course.fields import near
from oneblock.learn.course.lesson import ALL
from oneblock.learn.course.tables import entries, tables, unique
from oneblock.learn.errors import LearnError

FILE = Path(__file__).with_name("sources.toml")
KINDS = ("video", "written", "deep dive", "paper", "code", "reference")
TEACHING = ("video", "written", "deep dive", "code")
"""Kinds made for those who do not know it yet; papers and references are for those who nearly do."""
ROLES = ("core", "primary", "background", "reference", "advanced", "partial")
STANDINGS = ("strong", "weak", "gap")


@dataclass(frozen=True, kw_only=True)
class Course:
    """A course that people take. lacks: the kind of source that this catalogue has none of, for it."""

    id: str
    title: str
    lacks: str = ""


@dataclass(frozen=True, kw_only=True)
class Topic:
    """What sources are about. standing: strong, weak or gap; lesson: ours, which fills what is missing."""

    id: str
    title: str
    standing: str
    lesson: str = ""
    missing: str = ""


@dataclass(frozen=True, kw_only=True)
class Source:
    """One source. checked: its address, or a copy of what is there, was looked at when this was written.

    role: course -> what it is in it; notes: course -> a word on that; versions: of one page, kept as one entry.
    """

    id: str
    topic: str
    kind: str
    title: str
    author: str
    year: int
    address: str
    level: str
    why: str
    covers: tuple[str, ...]
    checked: bool
    lacks: str = ""
    role: dict[str, str] = field(default_factory=dict)
    notes: dict[str, str] = field(default_factory=dict)
    versions: tuple[str, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """As JSON has it."""
        return {name: list(value) if isinstance(value, tuple) else value for name, value in vars(self).items()}


@dataclass(frozen=True, kw_only=True)
class Catalogue:
    """Courses, topics and sources, in their order."""

    courses: tuple[Course, ...]
    topics: tuple[Topic, ...]
    sources: tuple[Source, ...]

    def covering(self, topic: str) -> tuple[Source, ...]:
        """Those that treat a topic, those that teach before papers."""
        found = [source for source in self.sources if topic in source.covers]
        return tuple(sorted(found, key=lambda source: source.kind not in TEACHING))


@functools.cache
def catalogue(path: Path = FILE) -> Catalogue:
    """The catalogue, checked. LearnError for a duplicate, and for a topic, kind, role or lesson that is not there."""
    given = tables(path)
    if other := set(given) - {"course", "topic", "source"}:
        raise LearnError(f"{path.name}: {', '.join(sorted(other))}: there are course, topic and source")
    made = Catalogue(
        courses=entries(Course, path, given.get("course", []), "course"),
        topics=entries(Topic, path, given.get("topic", []), "topic"),
        sources=entries(Source, path, given.get("source", []), "source"),
    )
    for group in (made.courses, made.topics, made.sources):
        unique(path.name, [entry.id for entry in group])
    for topic in made.topics:
        where = f"{path.name}, topic {topic.id}"
        _one_of(where, "standing", topic.standing, STANDINGS)
        if topic.standing != "strong":
            _one_of(where, "lesson", topic.lesson, ALL)
            if not topic.missing:
                raise LearnError(f"{where}: missing is empty; say what the sources do not give")
    for source in made.sources:
        _checked(f"{path.name}, source {source.id}", source, made)
    seen: dict[str, Source] = {}
    for source in made.sources:
        key = same(source.address)
        if key in seen:
            raise LearnError(f"{path.name}: {source.id} and {seen[key].id} are the same source ({key}); keep one")
        seen[key] = source
    return made


def source(name: str) -> Source:
    """The source of that id; LearnError with the nearest ids where there is none."""
    known = {each.id: each for each in catalogue().sources}
    if name not in known:
        raise LearnError(f"{name} is not a source; try {', '.join(near(name, known))} (`oneblock learn sources`)")
    return known[name]


def told(gaps: bool = False) -> dict[str, Any]:
    """What `oneblock learn sources --json` prints: sources, the course × source table, strong, weak, gaps."""
    made = catalogue()
    told_of = {
        standing: [_topic(topic, made) for topic in made.topics if topic.standing == standing] for standing in STANDINGS
    }
    lacking = [{"course": course.id, "lacks": course.lacks} for course in made.courses if course.lacks]
    short = {"weak": told_of["weak"], "gaps": told_of["gap"], "courses_lack": lacking}
    if gaps:
        return short
    return {
        "courses": {course.id: course.title for course in made.courses},
        "sources": [each.to_dict() for each in made.sources],
        "table": {each.id: {course.id: each.role.get(course.id) for course in made.courses} for each in made.sources},
        "strong": told_of["strong"],
        **short,
    }


def lines(gaps: bool = False, width: int = 100) -> list[str]:
    """The same for a terminal."""
    made = catalogue()
    out = [] if gaps else [*_list(made, width), "", *_table(made), ""]
    if not gaps:
        strong = ", ".join(topic.title for topic in made.topics if topic.standing == "strong")
        out += _wrapped(f"Well covered: {strong}.", width)
    for standing, head in (("weak", "Thinly covered"), ("gap", "Gaps")):
        out += ["", f"{head}, and the lesson here that fills each:"]
        for topic in made.topics:
            if topic.standing == standing:
                out += _wrapped(f"{topic.title}: {topic.missing} -> {topic.lesson}", width, "  ")
    lacking = [f"{course.title} lacks {course.lacks}." for course in made.courses if course.lacks]
    out += ["", *(line for sentence in lacking for line in _wrapped(sentence, width))]
    return out


def _list(made: Catalogue, width: int) -> list[str]:
    out: list[str] = []
    for topic in made.topics:
        found = [each for each in made.sources if each.topic == topic.id]
        out += ["", topic.title] if found else []
        for each in found:
            unchecked = "" if each.checked else " (not checked)"
            end = "" if each.title[-1] in "!?" else "."
            out += _wrapped(f"{each.id}: {each.title}{end} {each.author}, {each.year}", width, "  ", "      ")
            out.append(f"      {each.kind}, {each.level}. {each.address}{unchecked}")
            more = [f"Lacks {each.lacks}."] if each.lacks else []
            more += [f"In the course {course}: {note}." for course, note in each.notes.items()]
            out += _wrapped(" ".join([each.why, *more]), width, "      ")
    return out[1:]


def _table(made: Catalogue) -> list[str]:
    """Course × source: those that have a place in a course."""
    placed = [each for each in made.sources if each.role]
    first = max(len(each.id) for each in placed) + 2
    columns = [max(len(course.id), 10) + 2 for course in made.courses]
    head = "".join(course.id.ljust(size) for course, size in zip(made.courses, columns, strict=True))
    rows = [
        each.id.ljust(first)
        + "".join(each.role.get(c.id, "–").ljust(size) for c, size in zip(made.courses, columns, strict=True))
        for each in placed
    ]
    return [f"{'course':<{first}}{head}".rstrip(), *(row.rstrip() for row in rows)]


def _topic(topic: Topic, made: Catalogue) -> dict[str, Any]:
    found = {"topic": topic.id, "title": topic.title, "sources": [each.id for each in made.covering(topic.id)]}
    return found if topic.standing == "strong" else {**found, "missing": topic.missing, "lesson": topic.lesson}


def _wrapped(text: str, width: int, indent: str = "", hanging: str = "") -> list[str]:
    wrapper = textwrap.TextWrapper(
        width,
        initial_indent=indent,
        subsequent_indent=hanging or indent,
        break_on_hyphens=False,
        break_long_words=False,
    )
    return wrapper.wrap(text)


def _checked(where: str, source: Source, made: Catalogue) -> None:
    topics, courses = [topic.id for topic in made.topics], [course.id for course in made.courses]
    _one_of(where, "kind", source.kind, KINDS)
    for name in (source.topic, *source.covers):
        _one_of(where, "topic", name, topics)
    for course, role in source.role.items():
        _one_of(where, "course", course, courses)
        _one_of(where, "role", role, ROLES)
    for course in source.notes:
        _one_of(where, "notes", course, list(source.role))


def _one_of(where: str, what: str, given: str, allowed: tuple[str, ...] | list[str]) -> None:
    if given not in allowed:
        raise LearnError(f"{where}: {what} {given!r} is not there; try {', '.join(near(given, allowed))}")
