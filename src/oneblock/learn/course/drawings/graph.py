"""Graphs as lines: `a -> b`, `x + attention -> h`, `h = x + attention`, in any order, with any names for wires."""

from __future__ import annotations

import difflib
import itertools
import re
from collections.abc import Iterable
from dataclasses import dataclass, field

from oneblock.learn.course.drawings.sheet import Typed

ARROW = re.compile(r"\s*(?:-+>|=+>|→|⟶)\s*")
KINDS = {
    "attention": {"attention", "attn", "mha"},
    "feed_forward": {"ffn", "mlp", "ff", "feedforward", "feed_forward"},
    "embedding": {"embedding", "embed", "emb", "wte", "token_embedding", "tokens_embedding", "token_embed", "tok_emb"},
    "position": {"position", "positions", "pos", "wpe", "position_embedding", "positions_embedding", "pos_emb",
                 "positional_embedding", "positional_encoding", "position_encoding", "position_table"},
    "head": {"head", "lm_head", "unembedding", "unembed", "output_head"},
    "softmax": {"softmax"},
}  # fmt: skip
"""What a box is, by the words that its name is made of once numbers are gone."""
NORMS = {"norm", "ln", "layernorm", "rmsnorm", "rms"}
NORMED = {"normed", "normal", "normalised", "normalized"}
"""Names that people give to what comes out of a norm."""
QUALIFIERS = {"self", "causal", "masked", "multi", "headed", "block", "layer", "b", "l", "first", "second", "sublayer"}
MOST_NAMES, MOST_PARTS = 200, 20_000
"""Of a drawing, and of what it computes when that is written out, which doubles with each sum."""
INPUTS = ("x", "tokens", "input", "ids", "token_ids", "input_ids", "token")
OUTPUTS = ("y", "logits", "out", "output")
Term = tuple[object, ...]
"""What a node computes: (kind, term) for a box, ("add", term, …) sorted for a sum, ("in",) for what comes in."""


class Unreadable(Exception):
    """A drawing that is no graph yet: what is wrong, and on which line (0: none)."""

    def __init__(self, message: str, line: int = 0) -> None:
        super().__init__(message)
        self.message, self.line = message, line


@dataclass(frozen=True, kw_only=True)
class Arrow:
    """What goes into a node by one line: one name, or several as a sum."""

    sources: tuple[str, ...]
    line: int
    label: str = ""


@dataclass
class Node:
    """A box or a wire. kind: of KINDS, "norm", a name that this drawing gives a box, or "" for a wire."""

    name: str
    kind: str
    line: int
    arrows: list[Arrow] = field(default_factory=list)


@dataclass
class Graph:
    """Nodes by name, and what each of them computes."""

    nodes: dict[str, Node]
    input: str
    output: str

    def term(self, name: str | None = None) -> Term:
        """What a node computes, the output where none is named: wires left out, sums flat and sorted."""
        name = name or self.output
        node = self.nodes[name]
        if name == self.input:
            return ("in",)
        parts: list[Term] = []
        for source in self.sources(name):
            term = self.term(source)
            parts += term[1:] if term[0] == "add" else [term]  # type: ignore[arg-type]
        inner: Term = parts[0] if len(parts) == 1 else ("add", *sorted(parts, key=repr))
        if node.kind == "position":
            return ("position",)
        return (node.kind, inner) if node.kind else inner

    def sources(self, name: str) -> list[str]:
        """What goes into a node."""
        return [source for arrow in self.nodes[name].arrows for source in arrow.sources]

    def line(self, name: str) -> int:
        """Where what goes into a node was drawn."""
        node = self.nodes[name]
        return node.arrows[0].line if node.arrows else node.line

    def boxes(self) -> list[Node]:
        """What is no wire."""
        return [node for node in self.nodes.values() if node.kind]


def kind_of(name: str, boxes: Iterable[str] = ()) -> str:
    """What a name stands for: a box of this drawing (`f`, also as f1, f2), one of KINDS, "" for a wire."""
    bare = re.sub(r"_?\d+$", "", name)
    for box in boxes:
        if name in (box, box.replace("_", "")) or bare == box:
            return box
    words = [word for word in re.split(r"_|(?<=[a-z])(?=\d)", name) if word and not word.isdigit()]
    words = [re.sub(r"^\d+|\d+$", "", word) for word in words]
    if any(
        word in NORMS or word.endswith("norm") or (word.startswith("norm") and word not in NORMED) for word in words
    ):
        return "norm"
    kept = [word for word in words if word and word not in QUALIFIERS]
    if words[-1:] == ["forward"] and "feed" in words:
        kept = ["feed_forward"]
    if "attention" in kept:
        kept = [word for word in kept if word != "head"]
    joined = "_".join(kept)
    return next((kind for kind, known in KINDS.items() if joined in known), "")


def read(lines: Iterable[Typed], boxes: tuple[str, ...] = (), fresh: tuple[str, ...] = ()) -> Graph:
    """The graph that the lines draw. Unreadable where they draw none.

    boxes: names that are boxes in this drawing; fresh: names of which each mention is a new box (`x -> f -> f -> y`).
    """
    nodes: dict[str, Node] = {}
    count = 0
    for typed in lines:
        text, _, label = typed.text.partition(":")
        stages = [[_name(word, typed) for word in re.split(r"\s*\+\s*", stage)] for stage in _stages(text, typed)]
        for stage in stages:
            for at, name in enumerate(stage):
                if name in fresh:
                    count += 1
                    stage[at] = f"{name}_{count}"
                nodes.setdefault(stage[at], Node(stage[at], kind_of(stage[at], boxes), typed.number))
        for before, after in itertools.pairwise(stages):
            target = after[0] if len(after) == 1 else _only_box(after, before, nodes, typed)
            arrow = Arrow(sources=tuple(before), line=typed.number, label=label.strip())
            if all(arrow.sources != other.sources for other in nodes[target].arrows):
                nodes[target].arrows.append(arrow)
    if not nodes:
        raise Unreadable("nothing is drawn yet: write lines like  a -> b  and  x + a -> h")
    return _whole(Graph(nodes, *_ends(nodes)))


def _stages(text: str, typed: Typed) -> list[str]:
    if "(" in text or ")" in text:
        raise Unreadable(
            "brackets are not drawn: give each box an arrow in and an arrow out,  x -> norm -> f", typed.number
        )
    stages = ARROW.split(text.strip())
    if len(stages) == 1 and text.count("=") == 1:
        name, _, sources = text.partition("=")
        stages = [sources, name]
    if len(stages) < 2 or not all(stage.strip() for stage in stages):
        raise Unreadable(f"{typed.text!r} is no arrow: write  a -> b  or  x + a -> h", typed.number)
    return stages


def _name(word: str, typed: Typed) -> str:
    name = re.sub(r"[\s\-–]+", "_", word.strip()).lower().replace("'", "_prime")
    if not re.fullmatch(r"\w+", name):
        raise Unreadable(f"{word.strip()!r} is no name: letters, digits and _ only", typed.number)
    return name


def _only_box(stage: list[str], before: list[str], nodes: dict[str, Node], typed: Typed) -> str:
    """`norm -> attention + x -> h`: the arrow in goes to the one box of the sum."""
    boxes = [name for name in stage if nodes[name].kind and nodes[name].kind != "position"]
    if len(boxes) != 1:
        names = " + ".join(stage)
        raise Unreadable(
            f"which of {names} does {' + '.join(before)} go into? Draw that arrow on a line of its own", typed.number
        )
    return boxes[0]


def _ends(nodes: dict[str, Node]) -> tuple[str, str]:
    """What comes in and what goes out, by name, or because it is the only one."""
    read_by = {source for node in nodes.values() for arrow in node.arrows for source in arrow.sources}
    starts = [name for name, node in nodes.items() if not node.arrows and not node.kind]
    ends = [name for name in nodes if name not in read_by]
    if not starts and "x" in nodes and nodes["x"].arrows:
        raise Unreadable(
            "x is what comes in, and here something goes into it: give the sum a name of its own, such as h",
            nodes["x"].arrows[0].line,
        )
    come = next((name for name in INPUTS if name in starts), starts[0] if len(starts) == 1 else "")
    goes = next((name for name in OUTPUTS if name in ends), ends[0] if len(ends) == 1 else "")
    if not come:
        raise Unreadable("nothing comes in: the drawing begins at x" if not starts else
                         f"{', '.join(starts)}: which of these comes in? Call it x")  # fmt: skip
    if not goes and not ends:
        raise Unreadable("nothing goes out: the drawing ends at y")
    if not goes:
        raise Unreadable(f"{', '.join(ends)}: which of these goes out? Nothing reads the other", nodes[ends[-1]].line)
    return come, goes


def _whole(graph: Graph) -> Graph:
    """The graph, or Unreadable unless every box is fed once and everything is read."""
    if len(graph.nodes) > MOST_NAMES:
        raise Unreadable("that is far more than is asked for")
    read_by = {source for node in graph.nodes.values() for arrow in node.arrows for source in arrow.sources}
    for node in graph.nodes.values():
        if not node.arrows and node.name != graph.input and node.kind != "position":
            raise Unreadable(f"nothing goes into {node.name}{_spelt(graph, node.name)}", node.line)
        if len(node.arrows) > 1 and node.kind:
            lines = " and ".join(str(arrow.line) for arrow in node.arrows)
            raise Unreadable(
                f"{node.name} has arrows in from lines {lines}, and a box reads one thing: two boxes need two names, "
                f"such as {node.name}1 and {node.name}2",
                node.arrows[1].line,
            )
        if node.name not in read_by and node.name != graph.output:
            raise Unreadable(f"{node.name} goes nowhere: nothing reads it{_spelt(graph, node.name)}", node.line)
    sizes: dict[str, int] = {}
    if _size(graph, graph.output, sizes, ()) > MOST_PARTS:
        raise Unreadable("that is far more than is asked for")
    if aside := [node for node in graph.nodes.values() if node.name not in sizes]:
        raise Unreadable(f"no way leads from {aside[0].name} to {graph.output}", aside[0].line)
    return graph


def _size(graph: Graph, name: str, known: dict[str, int], above: tuple[str, ...]) -> int:
    """How many parts a node's term has."""
    if name in above:
        raise Unreadable(_circle([*above[above.index(name) :], name]), graph.nodes[name].line)
    if name not in known:
        known[name] = 1 + sum(_size(graph, source, known, (*above, name)) for source in graph.sources(name))
    return known[name]


def _spelt(graph: Graph, name: str) -> str:
    near = difflib.get_close_matches(name, [each for each in graph.nodes if each != name], n=1, cutoff=0.8)
    return f"; is it {near[0]}, spelt otherwise?" if near and not name[-1:].isdigit() else ""


def _circle(names: list[str]) -> str:
    way = " <- ".join(names)
    return f"the drawing goes round in a circle ({way}): a sum needs a name of its own, such as h"
