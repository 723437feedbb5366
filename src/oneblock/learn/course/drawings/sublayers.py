"""One sublayer drawn in every way that people draw it, and the two tasks made of it: a block, and the norms' places."""

from __future__ import annotations

import functools

from oneblock.learn.course.drawings import catalogue
from oneblock.learn.course.drawings.drawing import Check, Drawing, Finding, Given, Wrong
from oneblock.learn.course.drawings.graph import Unreadable, read
from oneblock.learn.course.drawings.sheet import Sheet
from oneblock.learn.course.drawings.wires import distinct, graph_of, term_of, wired

STYLES = {
    "pre": ("{x} -> {n} -> {f}", "{x} + {f} -> {y}"),
    "post": ("{x} -> {f}", "{x} + {f} -> {n} -> {y}"),
    "peri": ("{x} -> {n}_in -> {f} -> {n}_out", "{x} + {n}_out -> {y}"),
    "none": ("{x} -> {f}", "{x} + {f} -> {y}"),
    "out": ("{x} -> {f} -> {n}", "{x} + {n} -> {y}"),
    "no_bypass": ("{x} -> {n} -> {f} -> {y}",),
    "bypass_behind_norm": ("{x} -> {n} -> {f}", "{n} + {f} -> {y}"),
    "norm_around": ("{x} -> {n}_in -> {f}", "{x} + {f} -> {n}_out -> {y}"),
    "plain": ("{x} -> {f} -> {y}",),
    "plain_normed": ("{x} -> {f} -> {n} -> {y}",),
}
"""Style -> its lines; {n}_in and {n}_out are two norms."""
SAYS = catalogue.says("styles")


def sublayer(style: str, x: str, f: str, y: str, n: str) -> str:
    """The lines of one sublayer."""
    return "\n".join(STYLES[style]).format(x=x, f=f, y=y, n=n)


BLOCK_TASK = """
Draw one pre-norm block: x comes in, y goes out.

A box reads one thing and gives one:    x -> norm1 -> attention
Two things are added, and the sum named:  x + attention -> h
Boxes: norm1, norm2, attention, feed_forward. Names such as h are yours. Lines may stand in any order.

Before you write, say it once in words: what does each sublayer read, and what is its answer added to?
Lines that begin with // are not read. `oneblock check draw_block` says whether it is right.
"""
BLOCK_RIGHT = "x -> norm1 -> attention\nx + attention -> h\nh -> norm2 -> feed_forward\nh + feed_forward -> y"


@functools.cache
def _wrong_blocks() -> tuple[Wrong, ...]:
    found = []
    for first in STYLES:
        for second in STYLES:
            if (first, second) == ("pre", "pre"):
                continue
            one = sublayer(first, "x", "attention", "h", "norm1")
            two = sublayer(second, "h", "feed_forward", "y", "norm2")
            found.append(Wrong(name=f"{first}+{second}", says=around(first, second), text=f"{one}\n{two}"))
    # One fault explains a drawing better than two.
    return distinct(
        (*catalogue.drawn("block"), *sorted(found, key=lambda each: "pre" not in each.name.split("+"))), BLOCK_RIGHT
    )


def wrong_blocks(given: Given) -> tuple[Wrong, ...]:
    """Both sublayers in every style but the right one, and what goes wrong between them."""
    return _wrong_blocks()


def around(first: str, second: str) -> str:
    """What is said of a block whose sublayers are drawn in these styles."""
    if first == second:
        return f"around both sublayers {SAYS[first]}"
    said = [f"around attention {SAYS[first]}"] if first != "pre" else []
    said += [f"around the feed-forward {SAYS[second]}"] if second != "pre" else []
    return "; ".join(said)


def _reads(sheet: Sheet, given: Given) -> Finding | None:
    found = graph_of(sheet)
    return found if isinstance(found, Finding) else None


def _block(sheet: Sheet, given: Given) -> Finding | None:
    return wired(read(sheet.lines), BLOCK_RIGHT, wrong_blocks(given))


BLOCK = Drawing(
    name="block",
    title="One pre-norm block, every add in its place",
    task=BLOCK_TASK,
    given={},
    begun=lambda given: "",
    checks=(Check(id="reads", run=_reads), Check(id="wires", run=_block)),
    right=lambda given: BLOCK_RIGHT,
    wrong=wrong_blocks,
)

PLACES = ("pre", "post", "peri", "none")
PLACES_TASK = """
Place the norms: the same sublayer f four times, with its bypass, from x to y.

    x -> norm -> f            a box reads one thing
    x + f -> y                a sum has a name

Below each heading draw where the norm stands: in front of f, on the stream behind the sum, on both sides of f, nowhere.
Lines that begin with // are not read. `oneblock check draw_norm_places` says whether it is right.
"""


def _section(place: str) -> Check:
    def run(sheet: Sheet, given: Given) -> Finding | None:
        part = sheet.of(place)
        if not part.lines:
            return Finding(message=f"nothing is drawn below [{place}] yet")
        try:
            graph = read(part.lines, ("f",))
        except Unreadable as error:
            return Finding(message=f"[{place}]: {error.message}", line=error.line)
        found = wired(graph, _sub(place), _other(place), ("f",))
        return Finding(message=f"[{place}]: {found.message}", line=found.line, named=found.named) if found else None

    return Check(id=place, run=run)


def _sub(style: str) -> str:
    return sublayer(style, "x", "f", "y", "norm")


def _other(place: str) -> tuple[Wrong, ...]:
    right = term_of(_sub(place), ("f",))
    return tuple(
        Wrong(name=style, says=SAYS[style], text=_sub(style))
        for style in STYLES
        if term_of(_sub(style), ("f",)) != right
    )


def places(drawn: dict[str, str]) -> str:
    """Four sections, each with the lines of a style."""
    return "\n\n".join(f"[{place}]\n{_sub(drawn.get(place, place))}" for place in PLACES)


def wrong_places(given: Given) -> tuple[Wrong, ...]:
    """Each section in turn with another style's lines."""
    return tuple(
        Wrong(name=each.name, says=f"[{place}] {each.says}", text=places({place: each.name}))
        for place in PLACES
        for each in _other(place)
    )


NORM_PLACES = Drawing(
    name="norm_places",
    title="The norms' places: pre, post, peri, none",
    task=PLACES_TASK,
    given={},
    begun=lambda given: "\n\n".join(f"[{place}]\n" for place in PLACES),
    checks=tuple(_section(place) for place in PLACES),
    right=lambda given: places({}),
    wrong=wrong_places,
)
