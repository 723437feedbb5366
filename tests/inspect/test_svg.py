"""The drawing as SVG: well formed, standing alone, nothing on top of anything."""

import re
from itertools import combinations
from xml.etree import ElementTree

from oneblock import override, presets
from oneblock.inspect.dataflow import dataflow
from oneblock.inspect.svg import svg

NS = "{http://www.w3.org/2000/svg}"


def rectangles(root, kind):
    found = [rect for rect in root.iter(f"{NS}rect") if rect.get("class") == kind]
    return [tuple(float(rect.get(name, 0)) for name in ("x", "y", "width", "height")) for rect in found]


def texts(root):
    return ["".join(text.itertext()) for text in root.iter(f"{NS}text")]


def test_boxes_never_overlap(models):
    for model in models:
        root = ElementTree.fromstring(svg(model))
        boxes = rectangles(root, "box")
        assert len(boxes) == sum(box.kind != "end" for box in dataflow(model).boxes())
        for (ax, ay, aw, ah), (bx, by, bw, bh) in combinations(boxes, 2):
            assert ax + aw <= bx or bx + bw <= ax or ay + ah <= by or by + bh <= ay
        (_, _, width, height), *_ = rectangles(root, "paper")
        assert all(x + w <= width and y + h <= height for x, y, w, h in boxes)


def test_all_text_is_on_the_paper(models):
    for model in models:
        root = ElementTree.fromstring(svg(model))
        (_, _, width, height), *_ = rectangles(root, "paper")
        for group in root.iter(f"{NS}g"):
            moved = re.match(r"translate\(([\d.]+) ([\d.]+)\)", group.get("transform", ""))
            if not moved:
                continue
            left, top = map(float, moved.groups())
            for text in group.iter(f"{NS}text"):
                words, x = "".join(text.itertext()), left + float(text.get("x"))
                length = len(words) * float(text.get("font-size", 13)) * 0.6
                start = {"middle": x - length / 2, "end": x - length}.get(text.get("text-anchor"), x)
                assert start >= 0 and start + length <= width, words
                assert 0 < top + float(text.get("y")) < height


def test_it_stands_alone():
    drawing = svg(presets.gpt2())
    assert "<script" not in drawing and "<style" not in drawing and "@import" not in drawing
    addresses = set(re.findall(r"(?:https?|data|file):[^\"' )]*", drawing))
    assert addresses == {"http://www.w3.org/2000/svg"}
    root = ElementTree.fromstring(drawing)
    paper = next(rect for rect in root.iter(f"{NS}rect"))
    assert paper.get("fill") == "#ffffff"
    assert not [element for element in root.iter() if element.get("id")]


def test_it_says_what_the_model_is():
    words = texts(ElementTree.fromstring(svg(presets.gpt2())))
    for expected in (
        "x = x + Attention(LayerNorm(x))", "learned positions", "tied: the embedding", "124,439,808",
        "36,864 bytes", "855,166,464", "block × 12", "B × T × 768", "B × T × 50,257",
    ):  # fmt: skip
        assert expected in words, expected
    assert any("context 64" in line for line in texts(ElementTree.fromstring(svg(presets.gpt2(), 64))))


def test_names_are_escaped(plain):
    config = override(plain, "name=<b>&\"'")
    assert "<b>&\"'" in "".join(texts(ElementTree.fromstring(svg(config))))


def test_joins_and_stops(plain):
    def count(drawing, kind):
        return sum(element.get("class") == kind for element in ElementTree.fromstring(drawing).iter())

    assert count(svg(presets.gpt2()), "join") == 3  # positions, attention, feed-forward
    dropped = svg(override(plain, "block.residual=off"))
    assert (count(dropped, "join"), count(dropped, "stop")) == (0, 2)
