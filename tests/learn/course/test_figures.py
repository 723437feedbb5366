"""Figures: well formed, told in words, in colours that a page may set, inside their frame, and true to the numbers."""

import math
import re
from xml.etree import ElementTree

import pytest
import torch

from oneblock.learn.course.figures import Arrow, Box, bars, belt, columns, flow, heat, lines, number_line
from oneblock.learn.course.figures.canvas import CHAR, number, short
from oneblock.learn.course.lesson import NAMES, lesson
from oneblock.learn.course.page import filled
from oneblock.learn.errors import LearnError

BLOCK = (
    [
        Box(id="x", text="x", at=(0, 0), kind="end"),
        Box(id="norm", text="norm", at=(0, 1), kind="norm"),
        Box(id="f", text="attention\nmixes <tokens>", at=(0, 2), kind="attention"),
        Box(id="sum", at=(0, 3), kind="add"),
        Box(id="k", text="k", at=(1, 2.5)),
    ],
    [
        Arrow(start="x", to="norm"),
        Arrow(start="norm", to="f"),
        Arrow(start="f", to="sum", words="slip"),
        Arrow(start="x", to="sum", bend=-1, words="bypass"),
        Arrow(start="k", to="f", dashed=True),
    ],
)
FIGURES = {
    "lines": lambda: lines("A & b", {"a": [1, 10, 100], "b": [5.0, 0.1]}, x="layer", y="size", log=True),
    "lines with gaps": lambda: lines("A", {"a": [1.0, math.nan, math.inf, 2.0]}, rule=(1.5, "chance")),
    "lines of one value": lambda: lines("A", {"": [3.0, 3.0]}, xs=[1, 1]),
    "bars": lambda: bars("A", {"a long name of it": -2.0, "b": 3}, y="seconds"),
    "bars in groups": lambda: bars("A", {"a": (1, 2), "b": (3, 4)}, series=("before", "after")),
    "heat": lambda: heat(
        "A", [[1.0, None], [0.5, -math.inf]], sides=["The", "sky"], heads=["The", "sky"], x="k", y="q"
    ),
    "heat of a tensor": lambda: heat("A", torch.arange(6.0).reshape(2, 3), mark=[(0, 1)], show=False),
    "heat of words": lambda: heat("A", [["may", "no"], ["may", "may"]]),
    "columns": lambda: columns("A", {"[2, 4]": [2, 4], "normed": [-1.0, 1.0]}),
    "number line": lambda: number_line("A", {"start": 4.0, "then": 4.1, "end": -7.2}, steps=True),
    "number line of one": lambda: number_line("A", {"here": 0.0}),
    "flow": lambda: flow("A", *BLOCK),
    "belt": lambda: belt("A", before=2, frame="a block", after="x + a + f", slips=["a", "f"]),
    "belt without bypass": lambda: belt("A", stations=["one", "two", "three"], bypass=False),
}


def parsed(svg):
    root = ElementTree.fromstring(svg)
    for element in root.iter():
        element.tag = element.tag.rpartition("}")[2]
    return root


def shift(element):
    found = re.fullmatch(r"translate\((-?[\d.]+) (-?[\d.]+)\)", element.get("transform", ""))
    return (float(found[1]), float(found[2])) if found else (0.0, 0.0)


def walked(root, x=0.0, y=0.0):
    """Every element with the shift of the groups around it."""
    for child in root:
        dx, dy = shift(child)
        yield child, x + dx, y + dy
        yield from walked(child, x + dx, y + dy)


def extents(svg):
    """How far what is drawn reaches: (what, left, top, right, bottom)."""
    for element, x, y in walked(parsed(svg)):
        given = {key: float(value) for key, value in element.attrib.items() if re.fullmatch(r"-?[\d.]+", value)}
        if element.tag == "rect":
            left, top = given.get("x", 0) + x, given.get("y", 0) + y
            yield "rect", left, top, left + given["width"], top + given["height"]
        elif element.tag == "circle":
            r = given["r"]
            yield "circle", given["cx"] + x - r, given["cy"] + y - r, given["cx"] + x + r, given["cy"] + y + r
        elif element.tag in ("polyline", "polygon"):
            points = [tuple(map(float, point.split(","))) for point in element.get("points").split()]
            if points:
                xs, ys = zip(*points, strict=True)
                yield element.tag, min(xs) + x, min(ys) + y, max(xs) + x, max(ys) + y
        elif element.tag == "text" and "rotate" not in element.get("transform", ""):
            # Letters are about half as wide as high.
            wide = 0.52 * given["font-size"] * len(element.text)
            left = given["x"] + x - {"start": 0, "middle": wide / 2, "end": wide}[element.get("text-anchor")]
            yield f"text {element.text}", left, given["y"] + y - 5, left + wide, given["y"] + y + 5


def sound(svg):
    root = parsed(svg)
    assert root.tag == "svg" and root.get("role") == "img"
    assert root[0].tag == "title" and root[0].text and root[1].tag == "desc" and len(root[1].text) > 3
    tags = {element.tag for element in root.iter()}
    assert tags <= {"svg", "title", "desc", "g", "text", "rect", "circle", "polyline", "polygon"}
    assert "nan" not in svg and "inf" not in re.sub(r"<desc>.*?</desc>|<text.*?</text>", "", svg)
    for element in root.iter():
        assert not any(name.startswith("on") or name == "href" for name in element.attrib)
        for name in ("fill", "stroke"):
            value = element.get(name, "none")
            assert value == "none" or re.fullmatch(r"var\(--[a-z0-9-]+,#[0-9a-f]{6}\)", value), value
    left, top, width, height = map(float, root.get("viewBox").split())
    for what, x0, y0, x1, y1 in extents(svg):
        assert x0 >= left - 1 and y0 >= top - 1 and x1 <= width + 1 and y1 <= height + 1, f"{what} leaves the figure"


@pytest.mark.parametrize("name", FIGURES)
def test_every_kind(name):
    sound(FIGURES[name]())


@pytest.mark.parametrize("name", NAMES)
def test_figures_of_lessons(name):
    for piece in filled(lesson(name)).pieces.values():
        if piece.kind == "figure":
            sound(piece.svg)


def test_words_are_escaped_and_may_be_given():
    assert "A &amp; b" in FIGURES["lines"]() and "&lt;tokens&gt;" in FIGURES["flow"]()
    assert "<desc>As I say.</desc>" in bars("A", {"a": 1}, told="As I say.")
    assert "a: from 1 to 100 over 3 points" in FIGURES["lines"]()
    assert "The: 1.00, closed; sky: 0.50, closed" in FIGURES["heat"]()
    assert "x to a sum (bypass)" in FIGURES["flow"]()
    assert "reads 2 parcels that came before" in FIGURES["belt"]()


def curves(svg):
    found = [e for e, _, _ in walked(parsed(svg)) if e.tag == "polyline" and e.get("stroke-width") == "2"]
    return [[tuple(map(float, p.split(","))) for p in e.get("points").split()] for e in found]


def test_lines_are_where_the_numbers_are():
    (points,) = curves(lines("A", {"": [1.0, 2.0, 4.0]}))
    (x0, y0), (x1, y1), (x2, y2) = points
    assert math.isclose(x1 - x0, x2 - x1, abs_tol=0.2) and math.isclose(2 * (y0 - y1), y1 - y2, abs_tol=0.3) and y2 < y0
    (points,) = curves(lines("A", {"": [1.0, 2.0, 4.0]}, log=True))
    assert math.isclose(points[0][1] - points[1][1], points[1][1] - points[2][1], abs_tol=0.2)
    # Two series share an axis; the key is drawn before them.
    *_, a, b = curves(lines("A", {"a": [1.0, 2.0], "b": [2.0, 1.0]}))
    assert a[0][1] == b[1][1] and a[1][1] == b[0][1]


def test_bars_are_as_high_as_their_numbers():
    def heights(svg):
        return [float(e.get("height")) for e, _, _ in walked(parsed(svg)) if e.tag == "rect" and e.get("rx") == "1.5"]

    one, two, below = heights(bars("A", {"a": 1.0, "b": 2.0, "c": -0.5}))
    assert math.isclose(two, 2 * one, rel_tol=0.01) and math.isclose(below, one / 2, rel_tol=0.02)
    low, high = heights(columns("A", {"v": [-1.0, 2.0]}))
    assert math.isclose(high, 2 * low, rel_tol=0.01)


def test_a_matrix_is_shaded_by_its_numbers():
    shades = [(e.get("fill"), float(e.get("fill-opacity"))) for e, _, _ in walked(parsed(heat("A", [[1.0, 0.5, -1.0]])))
              if e.get("fill-opacity")]  # fmt: skip
    (full, a), (same, b), (other, c) = shades
    assert full == same != other and math.isclose(a, 2 * b, rel_tol=0.01) and a == c


def test_shades_of_weights_can_be_compared():
    def shades(*given, **options):
        return [float(e.get("fill-opacity")) for e, _, _ in walked(parsed(heat("A", *given, **options)))
                if e.get("fill-opacity")]  # fmt: skip

    (one,), quarter = shades([[1.0, None]]), shades([[0.25, 0.25, 0.25, 0.25]])
    assert math.isclose(quarter[0], one / 4, rel_tol=0.01) and len(set(quarter)) == 1
    assert math.isclose(shades([[2.0, 0.0]], most=4.0)[0], one / 2, rel_tol=0.01)
    # Numbers much alike are told apart all the same, and the smallest has a shade.
    low, high = shades([[15.0, 16.0]])
    assert 0 < low < high / 5 and high == one and shades([[0.0, 0.0]]) == [0.0, 0.0]


def test_a_bypass_goes_around_what_lies_between():
    boxes, arrows = BLOCK
    svg = flow("A", boxes, [each for each in arrows if each.bend])
    rects = [e for e in extents(svg) if e[0] == "rect"]
    lane = min(
        float(p.split(",")[0])
        for e, _, _ in walked(parsed(svg))
        if e.tag == "polyline"
        for p in e.get("points").split()
    )
    group = next(shift(e)[0] for e, _, _ in walked(parsed(svg)) if e.tag == "g")
    assert lane + group < min(left for _, left, *_ in rects)


def test_wrong_arrows_and_kinds():
    with pytest.raises(LearnError, match="y is not a box; there are x"):
        flow("A", [Box(id="x", at=(0, 0))], [Arrow(start="x", to="y")])
    with pytest.raises(LearnError, match="kind norms is none of end, plain"):
        flow("A", [Box(id="x", at=(0, 0), kind="norms")], [])


def test_numbers_in_figures():
    assert [number(v, 2) for v in (-1.234, -0.001, math.inf, math.nan)] == ["−1.23", "0.00", "∞", "?"]
    assert [short(v) for v in (0, 1234.5, -0.25, 1e-7, 2.5e9, 1e12)] == [
        "0",
        "1,234",
        "−0.25",
        "10⁻⁷",
        "2.5·10⁹",
        "10¹²",
    ]
    assert CHAR > 5
