"""Checks that graph drawings share: it reads as a graph, has the boxes asked for, and is wired as asked."""

from __future__ import annotations

import functools
from collections import Counter
from collections.abc import Iterable

from oneblock.learn.course.drawings.compare import differs, words
from oneblock.learn.course.drawings.drawing import Finding, Wrong
from oneblock.learn.course.drawings.graph import Graph, Term, Unreadable, read
from oneblock.learn.course.drawings.sheet import Sheet, Typed

LONGEST = 110
"""Characters of a formula that is still read."""


def graph_of(sheet: Sheet, boxes: tuple[str, ...] = (), fresh: tuple[str, ...] = ()) -> Graph | Finding:
    """The graph, or what keeps it from being one."""
    try:
        return read(sheet.lines, boxes, fresh)
    except Unreadable as error:
        return Finding(message=error.message, line=error.line)


@functools.cache
def term_of(text: str, boxes: tuple[str, ...] = (), fresh: tuple[str, ...] = ()) -> Term:
    """What a drawing of ours computes."""
    lines = (Typed(number=number, text=line) for number, line in enumerate(text.splitlines(), 1) if line.strip())
    return read(lines, boxes, fresh).term()


def distinct(
    wrong: Iterable[Wrong], right: str, boxes: tuple[str, ...] = (), fresh: tuple[str, ...] = ()
) -> tuple[Wrong, ...]:
    """Those that draw something of their own: of equal ones the first, and none that computes what is right."""
    seen = {term_of(right, boxes, fresh)}
    found = []
    for each in wrong:
        term = term_of(each.text, boxes, fresh)
        if term not in seen:
            found.append(each)
            seen.add(term)
    return tuple(found)


def wired(
    graph: Graph, right: str, wrong: Iterable[Wrong], boxes: tuple[str, ...] = (), fresh: tuple[str, ...] = ()
) -> Finding | None:
    """None where the graph computes what `right` draws, else the misconception that draws it, or where it differs."""
    given, wanted = graph.term(), term_of(right, boxes, fresh)
    if given == wanted:
        return None
    line, name = differs(graph, wanted)
    for variant in wrong:
        if term_of(variant.text, boxes, fresh) == given:
            return Finding(message=f"you have drawn {variant.says}", line=line, named=variant.name)
    if fault := has_boxes(graph, wanted):
        return fault
    return Finding(message=f"what goes into {name} is not what is asked for{_formula(graph, given)}", line=line)


def has_boxes(graph: Graph, wanted: Term) -> Finding | None:
    """A finding where a box is missing, or one too many."""
    there, asked = Counter(node.kind for node in graph.boxes()), Counter(_boxes(graph, wanted))
    # A missing sublayer says more than a missing norm.
    for kind in sorted(asked, key=lambda kind: kind == "norm"):
        if there[kind] < asked[kind]:
            return Finding(message=f"{_many(kind, asked[kind])} asked for, and {_many(kind, there[kind])} drawn")
    for kind in there:
        if there[kind] > asked[kind]:
            last = [node for node in graph.boxes() if node.kind == kind][-1]
            return Finding(
                message=f"{_many(kind, there[kind])} drawn, and {_many(kind, asked[kind])} asked for", line=last.line
            )
    return None


def _boxes(graph: Graph, term: Term) -> list[str]:
    """The boxes of a term. What is read twice stands in it twice, so equal sub-terms count once."""
    seen: dict[Term, str] = {}

    def walk(part: Term) -> None:
        if part in seen:
            return
        if part[0] not in ("in", "add"):
            seen[part] = str(part[0])
        for inner in part[1:]:
            walk(inner)  # type: ignore[arg-type]

    walk(term)
    return list(seen.values())


def _formula(graph: Graph, given: Term) -> str:
    formula = words(given)
    return f": your drawing says {graph.output} = {formula}" if len(formula) <= LONGEST else ""


def _many(kind: str, count: int) -> str:
    name = kind.replace("_", "-")
    return f"no {name} is" if not count else f"one {name} is" if count == 1 else f"{count} {name}s are"
