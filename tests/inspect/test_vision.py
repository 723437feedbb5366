"""The vision encoder drawn and counted: known sizes, its formula, where things stand."""

from xml.etree import ElementTree

import pytest

from oneblock.config import Vision, override, vision_block
from oneblock.inspect.dataflow import dataflow
from oneblock.inspect.draw import draw
from oneblock.inspect.facts import facts
from oneblock.inspect.formula import formula_text
from oneblock.inspect.statistics import (
    cache_bytes_per_token,
    forward_flops_per_image,
    forward_flops_per_token,
    parameters,
)
from oneblock.inspect.svg import svg


def vit(width, heads, patch, side=224, classes=1000):
    return Vision(
        channels=3, image_height=side, patch=patch, width=width, num_layers=12, blocks=(vision_block(heads),),
        num_classes=classes,
    )  # fmt: skip


SMALL = override(vit(24, 3, 7, 21, 5), "num_layers=2", "head_reads=class_and_mean", "image_width=14")


@pytest.mark.parametrize(
    ("model", "count"), [(vit(768, 12, 16), 86_567_656), (vit(768, 12, 32), 88_224_232), (vit(384, 6, 16), 22_050_664)]
)
def test_known_sizes(model, count):
    assert sum(parameters(model).values()) == count


def test_dinov2s_small_one():
    model = vit(384, 6, 14, 518, None)
    model = override(model, "block.residual=scaled", "block.residual.learned=vector")
    # Its file also holds a vector for hidden patches, which only training reads.
    assert sum(parameters(model).values()) == 22_056_576 - 384


def test_operations_of_an_image():
    model, tokens, patches, width = vit(768, 12, 16), 197, 196, 768
    products = 12 * (12 * width**2 * tokens + 2 * tokens**2 * width) + patches * 768 * width + 1000 * width
    assert forward_flops_per_image(model) == 2 * products
    assert forward_flops_per_token(model) == round(2 * products / tokens)
    assert cache_bytes_per_token(model) == 0


def test_the_whole_model():
    assert formula_text(SMALL).splitlines() == [
        "x = [class | Embedding(patches)] + Learned(places)",
        "for layers 1–2 of 2:",
        "    x = x + Attention(LayerNorm(x))",
        "    x = x + FFN(LayerNorm(x))",
        "logits = Head(LayerNorm(x) of class, mean of the patches)",
    ]
    bare = override(SMALL, "num_classes=null", "position=none")
    lines = formula_text(bare).splitlines()
    assert (lines[0], lines[-1]) == ("x = [class | Embedding(patches)]", "vectors = LayerNorm(x)")


def test_the_drawing():
    flow = dataflow(SMALL)
    assert (flow.given, flow.size, flow.answer) == ("B × 3 × 21 × 14", "B × 7 × 24", "B × 5")
    names = [box.name for box in flow.boxes()]
    assert names[:4] == ["images", "patch embedding", "class token in front", "learned positions"]
    assert names[-3:] == ["LayerNorm", "head", "logits"]
    text = draw(SMALL).plain
    for words in ("3 × 2 patches of 7²", "7 × 24", "48 × 5 + bias", "B × 5", "block × 2"):
        assert words in text
    bare = dataflow(override(SMALL, "num_classes=null"))
    assert bare.answer == "B × 7 × 24" and [box.name for box in bare.after] == ["LayerNorm", "vectors"]


def test_svg_stands_alone():
    tree = ElementTree.fromstring(svg(SMALL))
    assert tree.tag.endswith("svg") and "class token in front" in "".join(tree.itertext())


def test_facts():
    known = facts(SMALL)
    assert known.title == "vision" and known.total == sum(parameters(SMALL).values())
    assert known.layers == "2 layers, width 24, images 3 × 21 × 14, 7 tokens"
    assert [heading for heading, _ in known.tables] == [
        "Parameters", "FLOPs per image", "FLOPs per token, its share of the image",
    ]  # fmt: skip
