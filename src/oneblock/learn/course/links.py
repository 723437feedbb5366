"""What a page may link to: `lesson:norm#slug`, `experiment:residuals`, `check:C1`, `exercise:…`, `card:…`, `source:…`.

Experiments and the doctor's checks are in links.json, which `python docs/make_course_links.py` writes: this room does
not import the rooms they live in.
"""

from __future__ import annotations

import functools
import json
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

from oneblock.learn.course.fields import near
from oneblock.learn.course.lesson import ALL, NAMES
from oneblock.learn.exercises import NAMES as EXERCISES

FILE = Path(__file__).parent / "links.json"


@dataclass(frozen=True, kw_only=True)
class Experiment:
    """An experiment of `oneblock compare`. verdict, sentence: of the largest budget recorded; "" where none is."""

    name: str
    row: str
    claim: str
    budget: str = ""
    verdict: str = ""
    sentence: str = ""


@dataclass(frozen=True, kw_only=True)
class Target:
    """Where a link goes: the kind, the name there, the anchor behind #. kind is "" within a page."""

    kind: str
    name: str
    anchor: str = ""


@functools.cache
def experiments() -> dict[str, Experiment]:
    """Name -> experiment, in the order of their rows."""
    given = json.loads(FILE.read_text(encoding="utf-8"))["experiments"]
    return {entry["name"]: Experiment(**entry) for entry in given}


@functools.cache
def checks() -> dict[str, str]:
    """Id -> question of the doctor's checks."""
    return {entry["id"]: entry["title"] for entry in json.loads(FILE.read_text(encoding="utf-8"))["checks"]}


def target(to: str) -> Target:
    """A link's address in parts."""
    kind, colon, rest = to.partition(":")
    if not colon or "#" in kind:
        kind, rest = "", to
    name, _, anchor = rest.partition("#")
    return Target(kind=kind, name=name, anchor=anchor)


def known(kind: str) -> Collection[str] | None:
    """The names a kind of link has; None where there is no such kind."""
    if kind == "lesson":
        return NAMES
    if kind == "exercise":
        return EXERCISES
    if kind == "experiment":
        return experiments()
    if kind == "check":
        return checks()
    if kind == "card":
        from oneblock.learn.course.cards import cards

        return cards()
    if kind == "source":
        from oneblock.learn.course.sources import catalogue

        return [source.id for source in catalogue().sources]
    if kind == "drawing":
        from oneblock.learn.course.drawings import DRAWINGS

        return DRAWINGS
    return None


KINDS = ("lesson", "experiment", "check", "exercise", "card", "source", "drawing")


def fault(to: str, own: Collection[str]) -> str:
    """What is wrong with an address, "" where nothing is. own: the anchors that `#slug` may name here."""
    where = target(to)
    if where.kind == "":
        if where.name:
            return f"is no address here; try #slug, or one of {', '.join(kind + ':' for kind in KINDS)}"
        return "" if where.anchor in own else f"has no such heading; try {_some(where.anchor, own)}"
    if where.kind not in KINDS:
        return f"leaves the course; link to a source of sources.toml, or to {', '.join(kind + ':' for kind in KINDS)}"
    names = known(where.kind)
    assert names is not None
    # A lesson that is still to be written may be linked to.
    if where.kind == "lesson" and where.name in ALL and where.name not in NAMES:
        return ""
    if where.name not in names:
        return f"is not there; try {_some(where.name, names)}"
    if where.kind == "lesson" and where.anchor:
        from oneblock.learn.course.page import anchors

        there = anchors(where.name)
        return "" if where.anchor in there else f"has no such heading there; try {_some(where.anchor, there)}"
    return f"has a # that means nothing for a {where.kind}" if where.anchor else ""


def _some(name: str, names: Collection[str]) -> str:
    return ", ".join(near(name, names)[:8])
