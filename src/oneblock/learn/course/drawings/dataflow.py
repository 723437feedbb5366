"""The whole model from tokens to logits, every add labelled with what it adds."""

from __future__ import annotations

import functools

from oneblock.learn.course.drawings import catalogue
from oneblock.learn.course.drawings.drawing import Check, Drawing, Finding, Given, Wrong
from oneblock.learn.course.drawings.graph import Graph, read
from oneblock.learn.course.drawings.sheet import Sheet
from oneblock.learn.course.drawings.sublayers import around, sublayer
from oneblock.learn.course.drawings.wires import distinct, graph_of, wired

TASK = """
Draw a whole decoder of two pre-norm blocks, from tokens to logits, as GPT-2 is built.

    tokens -> token_embedding
    token_embedding + position_embedding -> x      : where each token stands
A sum has a name, and behind a colon a label that says what is added. You may begin with these two lines.

Boxes: token_embedding, position_embedding, norm1, attention1, norm2, feed_forward1, norm3, attention2, norm4,
feed_forward2, final_norm, head. Names of sums are yours. Lines may stand in any order. It ends at logits.

Lines that begin with // are not read. `oneblock check draw_dataflow` says whether it is right.
"""
START = "tokens -> token_embedding\ntoken_embedding + position_embedding -> c0 : where each token stands"
END = "c4 -> final_norm -> head -> logits"
LABELS = {
    "position": ("posit", "where", "order", "place", "stand"),
    "attention": ("attent", "attn", "context", "other", "mix", "look", "find", "found"),
    "feed_forward": ("feed", "ffn", "mlp", "forward", "itself", "alone", "own", "work", "process", "transform"),
}
"""What is added -> beginnings of words, one of which its label has."""


def model(first: str = "pre", second: str = "pre", *, start: str = START, end: str = END, blocks: int = 2) -> str:
    """A model of blocks whose sublayers are drawn in a style; the stream before block k + 1 is called c(2k)."""
    lines = [start.strip()]
    for block in range(blocks):
        a, b, c = f"c{2 * block}", f"c{2 * block + 1}", f"c{2 * block + 2}"
        one = sublayer(first, a, f"attention{block + 1}", b, f"norm_{2 * block + 1}_")
        two = sublayer(second, b, f"feed_forward{block + 1}", c, f"norm_{2 * block + 2}_")
        lines += [_labelled(one, "what attention found"), _labelled(two, "the feed-forward's work")]
    return "\n".join([*lines, end.strip()])


def _labelled(text: str, label: str) -> str:
    return "\n".join(f"{line} : {label}" if "+" in line else line for line in text.splitlines())


RIGHT = model()


def wrong(given: Given) -> tuple[Wrong, ...]:
    """Other models, and both blocks in every style but the right one."""
    return _wrong()


@functools.cache
def _wrong() -> tuple[Wrong, ...]:
    styles = ("pre", "post", "none", "out", "no_bypass", "bypass_behind_norm", "peri", "plain")
    found = []
    for first in styles:
        for second in styles:
            if (first, second) == ("pre", "pre"):
                continue
            found.append(Wrong(name=f"{first}+{second}", says=around(first, second), text=model(first, second)))
    bare = model("post", "post", end="c4 -> head -> logits")
    says = "post-norm blocks, as in the original of 2017: here they are pre-norm"
    found.append(Wrong(name="original", says=says, text=bare))
    return distinct((*_others(), *sorted(found, key=lambda each: "pre" not in each.name.split("+"))), RIGHT)


def _others() -> tuple[Wrong, ...]:
    found = []
    for entry in catalogue.given()["dataflow"]:
        parts = {key: value for key, value in entry.items() if key not in ("name", "says")}
        found.append(Wrong(name=entry["name"], says=entry["says"], text=model(**parts)))
    return tuple(found)


def _reads(sheet: Sheet, given: Given) -> Finding | None:
    found = graph_of(sheet)
    return found if isinstance(found, Finding) else None


def _wires(sheet: Sheet, given: Given) -> Finding | None:
    return wired(read(sheet.lines), RIGHT, wrong(given))


def _labels(sheet: Sheet, given: Given) -> Finding | None:
    graph = read(sheet.lines)
    for node in graph.nodes.values():
        for arrow in node.arrows:
            added = [_added(graph, source) for source in arrow.sources]
            if len(arrow.sources) > 1 or len(node.arrows) > 1:
                wanted = next((kind for kind in added if kind in LABELS), "")
                if fault := _label(arrow.label, wanted, arrow.line):
                    return fault
    return None


def _added(graph: Graph, name: str) -> str:
    """The box that a source is, through its wires; "" where it is the stream."""
    node = graph.nodes[name]
    while not node.kind and len(graph.sources(node.name)) == 1:
        node = graph.nodes[graph.sources(node.name)[0]]
    return node.kind


def _label(label: str, wanted: str, line: int) -> Finding | None:
    if not wanted:
        return None
    name = wanted.replace("_", "-")
    if not label:
        return Finding(
            message="this add has no label: write  : and what is added  behind it", line=line, named="no_label"
        )
    if any(word in label.lower() for word in LABELS[wanted]):
        return None
    return Finding(
        message=f"{label!r} is the label, and what is added here comes from {name}", line=line, named="label"
    )


DATAFLOW = Drawing(
    name="dataflow",
    title="The whole model, from tokens to logits",
    task=TASK,
    given={},
    begun=lambda given: "",
    checks=(Check(id="reads", run=_reads), Check(id="wires", run=_wires), Check(id="labels", run=_labels)),
    right=lambda given: RIGHT,
    wrong=wrong,
)
