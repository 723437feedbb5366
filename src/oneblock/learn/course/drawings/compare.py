"""Two graphs held against each other: a term as a formula, and the place where a drawing first differs."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from oneblock.learn.course.drawings.graph import Graph, Term

Place = tuple[int, str]
"""A line, and the name of what it feeds."""


def words(term: Term) -> str:
    """A term as a formula."""
    if term[0] == "in":
        return "x"
    if term[0] == "add":
        return " + ".join(words(part) for part in sorted(term[1:], key=lambda part: len(repr(part))))  # type: ignore[arg-type]
    return str(term[0]) if len(term) == 1 else f"{term[0]}({words(term[1])})"  # type: ignore[arg-type]


def differs(graph: Graph, wanted: Term) -> Place:
    """Where a graph differs from what is wanted: followed back from the output, one difference at a time.

    Where several things are wrong in one sum, the first in the direction of the arrows.
    """
    return _back(graph, graph.output, wanted) or _forward(graph, wanted)


def _back(graph: Graph, name: str, wanted: Any) -> Place | None:
    node, sources = graph.nodes[name], graph.sources(name)
    here = graph.line(name), name
    if not node.kind and len(sources) == 1:
        return _back(graph, sources[0], wanted) if graph.sources(sources[0]) else here
    if node.kind and (wanted[0] != node.kind or len(wanted) == 1):
        return here
    inside = wanted[1] if node.kind else wanted
    if len(sources) == 1:
        return _back(graph, sources[0], inside) if graph.sources(sources[0]) else here
    if inside[0] != "add" or not sources:
        return here
    left, unmatched = list(inside[1:]), []
    for source in sources:
        parts = _parts(graph.term(source))
        if all(parts.count(part) <= left.count(part) for part in parts):
            for part in parts:
                left.remove(part)
        else:
            unmatched.append(source)
    if len(unmatched) > 1:
        return None
    same = [part for part in left if unmatched and part[0] == graph.term(unmatched[0])[0]]
    if not same:
        return here
    return _back(graph, unmatched[0], same[0] if len(left) == 1 else ("add", *left))


def _forward(graph: Graph, wanted: Term) -> Place:
    """The first node that is not in what is wanted, while all that goes into it is; else the output."""
    known = set(_inside(wanted))
    sums = [_parts(term) for term in known if term[0] == "add"]

    def good(name: str) -> bool:
        term = graph.term(name)
        parts = _parts(term)
        return term in known or any(all(parts.count(part) <= whole.count(part) for part in parts) for whole in sums)

    for name in graph.nodes:
        if not good(name) and all(map(good, graph.sources(name))):
            return graph.line(name), name
    return graph.line(graph.output), graph.output


def _inside(term: Term) -> Iterator[Term]:
    yield term
    for part in term[1:]:
        assert isinstance(part, tuple)
        yield from _inside(part)


def _parts(term: Term) -> list[Any]:
    return list(term[1:]) if term[0] == "add" else [term]
