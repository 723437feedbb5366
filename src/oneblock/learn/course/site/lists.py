"""Pages of what lessons link to: experiments, the lab's exercises, the doctor's checks, drawings."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from oneblock.learn.course import links
from oneblock.learn.course.lesson import NAMES
from oneblock.learn.course.site import names
from oneblock.learn.course.site.address import lesson, seen_from
from oneblock.learn.course.site.names import Card
from oneblock.learn.course.site.render import Page, page
from oneblock.learn.exercises import NAMES as EXERCISES


def experiments(there: frozenset[str]) -> Page:
    """All experiments, each with its verdict."""
    path = "experiments.html"
    entries = [
        replace(names.experiment(name, path), link="", lessons=names.using("experiment", name, path))
        for name in links.experiments()
    ]
    lead = "A claim, its variants, fair budgets, several seeds, the noise floor, and a verdict that may be “refuted”."
    return _listed(path, "Experiments", lead, "experiment", [("", "", entries)], there, "oneblock compare --list")


def exercises(there: frozenset[str]) -> Page:
    """The lab."""
    path = "exercises.html"
    entries = [
        replace(names.exercise(name, path), link="", lessons=names.using("exercise", name, path)) for name in EXERCISES
    ]
    lead = (
        "You write the transformer part by part. A grader runs your file, finds the first thing that is wrong, and "
        "names the mistake. In a terminal the command below stays with you and grades each time you save."
    )
    return _listed(path, "The lab", lead, "exercise", [("", "", entries)], there, "oneblock learn")


def checks(there: frozenset[str]) -> Page:
    """What the doctor asks of a model."""
    path = "checks.html"
    entries = [
        Card(name=name, title=f"{name}: {title}", lessons=names.using("check", name, path))
        for name, title in links.checks().items()
    ]
    lead = (
        "What the doctor asks of any transformer, each answered by what the model does, with the number that shows it."
    )
    return _listed(path, "The doctor’s checks", lead, "check", [("", "", entries)], there, "oneblock doctor FILE:make")


def drawings(there: frozenset[str]) -> Page:
    """Drawing tasks: what the file says, and what it holds when it is made."""
    from oneblock.learn.course.drawings import DRAWINGS

    path = "drawings.html"
    entries = [
        {
            "name": name,
            "title": drawing.title,
            "file": drawing.stub(drawing.drawn(seed=0)),
            "lessons": _asking(name, path),
        }
        for name, drawing in DRAWINGS.items()
    ]
    return page(path, "drawings.html", title="Drawings", entries=entries, there=there)


def _asking(name: str, path: str) -> list[Card]:
    """The lessons that ask for a drawing."""
    found = [names.read(other) for other in NAMES if any(q.drawing == name for q in names.read(other).questions)]
    return [Card(name=one.name, title=one.title, link=seen_from(path, lesson(one.name))) for one in found]


def _listed(
    path: str, title: str, lead: str, what: str, groups: Sequence[tuple[str, str, list[Card]]], there: frozenset[str],
    commands: str,
) -> Page:  # fmt: skip
    made = [{"title": name, "anchor": anchor, "entries": entries} for name, anchor, entries in groups]
    return page(path, "list.html", title=title, lead=lead, what=what, groups=made, commands=commands, there=there,
                broad=True, level=2 if not any(group[0] for group in groups) else 3)  # fmt: skip
