"""The diffusion transformer drawn and counted: the paper's figures, its formula, where things stand."""

from itertools import combinations
from xml.etree import ElementTree

import pytest
import torch

from oneblock import OneblockError, build, override, presets
from oneblock.config import DDPM, AdaLN, Block, DiT, Learned, NoPosition, RectifiedFlow, dit_block
from oneblock.inspect.dataflow import dataflow
from oneblock.inspect.draw import CELLS, draw
from oneblock.inspect.facts import facts
from oneblock.inspect.formula import formula, formula_text
from oneblock.inspect.layout import lay_out
from oneblock.inspect.statistics import (
    cache_bytes_per_token,
    flops_per_token,
    forward_flops_per_image,
    forward_flops_per_token,
    parameters,
    parts,
)
from oneblock.inspect.svg import PIXELS, svg

# Name, layers, width, heads, patch, parameters (None: not given), giga multiply-adds of one image.
PAPER = [
    ("S/2", 12, 384, 6, 2, 32_865_056, 6.06),
    ("B/2", 12, 768, 12, 2, 130_315_808, 23.01),
    ("L/2", 24, 1024, 16, 2, 457_840_672, 80.70),
    ("XL/2", 28, 1152, 16, 2, 674_834_720, 118.62),
    ("XL/4", 28, 1152, 16, 4, None, 29.04),
    ("B/4", 12, 768, 12, 4, None, 5.57),
    ("S/4", 12, 384, 6, 4, None, 1.41),
]


def paper(layers, width, heads, patch=2, **settings):
    return DiT(
        channels=4, image_height=32, patch=patch, width=width, num_layers=layers, blocks=(dit_block(heads),),
        num_classes=1000, **settings,
    )  # fmt: skip


def variants():
    small = paper(3, 48, 6)
    return {
        "paper": small,
        "flow": override(small, "process=rectified_flow", "image_width=16"),
        "free": override(small, "num_classes=none", "position=none", "process.variance=beta"),
        "learned": override(small, "position=learned", "class_dropout=0", "block.modulation=adaln"),
        "parallel": override(small, "block.steps=attention+feed_forward", "block.shared_norm=true"),
        "peri": override(small, "block.placement=peri", "block.dropout=0.1", "block.norm=rms", "final_norm=none"),
        "pattern": override(small, "blocks=2", "blocks.1.modulation=none", "blocks.1.attention.window=9"),
        "nano": presets.dit_nano().model,
    }


VARIANTS = pytest.mark.parametrize("model", variants().values(), ids=variants())


@pytest.mark.parametrize(("name", "layers", "width", "heads", "patch", "count", "macs"), PAPER)
def test_the_papers_sizes(name, layers, width, heads, patch, count, macs):
    model = paper(layers, width, heads, patch)
    assert count in (None, sum(parameters(model).values()))
    assert forward_flops_per_image(model) / 2e9 == pytest.approx(macs, abs=0.005)


def test_a_learned_table_of_positions_is_counted():
    fixed, learned = paper(28, 1152, 16), paper(28, 1152, 16, position=Learned())
    assert sum(parameters(learned).values()) - sum(parameters(fixed).values()) == 294_912


@VARIANTS
def test_the_configuration_counts_what_the_model_has(model):
    with torch.device("meta"):
        assert parameters(model) == parts(build(model))


def test_a_token_has_its_share_of_the_image():
    model = paper(12, 384, 6)
    assert forward_flops_per_token(model) == round(forward_flops_per_image(model) / 256)
    assert flops_per_token(model) == 3 * forward_flops_per_token(model)
    assert forward_flops_per_token(model, 256) == forward_flops_per_token(model)
    assert cache_bytes_per_token(model) == 0
    with pytest.raises(OneblockError, match="context=100: an image of this model is 256 patches"):
        forward_flops_per_token(model, 100)


def test_a_window_sees_both_sides():
    def scores(window):
        return forward_flops_per_image(override(paper(1, 48, 6), f"block.attention.window={window}"))

    assert scores(10) - scores(9) == 256 * 4 * 48 * 2
    assert scores(1000) == scores("none")


def test_the_papers_formula():
    assert formula(dit_block(6)) == [
        "x = x + α₁ ⊙ Attention(LayerNorm(x) ⊙ (1 + γ₁) + β₁)",
        "x = x + α₂ ⊙ FFN(LayerNorm(x) ⊙ (1 + γ₂) + β₂)",
    ]


@pytest.mark.parametrize(
    ("block", "expected"),
    [
        (Block(modulation=AdaLN()), "x = x + Attention(LayerNorm(x) ⊙ (1 + γ₁) + β₁)"),
        (Block(modulation=AdaLN(), placement="post"), "x = LayerNorm(x + Attention(x ⊙ (1 + γ₁) + β₁))"),
        (
            Block(modulation=AdaLN(), steps=("attention+feed_forward",), shared_norm=True),
            "x = x + Attention(LayerNorm(x) ⊙ (1 + γ₁) + β₁) + FFN(LayerNorm(x) ⊙ (1 + γ₂) + β₂)",
        ),
    ],
)
def test_formulas_of_others(block, expected):
    assert formula(block)[0] == expected


def test_the_whole_model():
    assert formula_text(paper(12, 384, 6)).splitlines() == [
        "c = Time(t) + Class(y); every α, β, γ = W·SiLU(c) + b",
        "x = Embedding(patches) + Sinusoidal(columns, rows)",
        "for layers 1–12 of 12:",
        "    x = x + α₁ ⊙ Attention(LayerNorm(x) ⊙ (1 + γ₁) + β₁)",
        "    x = x + α₂ ⊙ FFN(LayerNorm(x) ⊙ (1 + γ₂) + β₂)",
        "answer = unpatchify(Head(LayerNorm(x) ⊙ (1 + γ) + β))",
    ]


MIXERS = {"attention": "Attention", "feed_forward": "FFN"}


@VARIANTS
def test_what_is_drawn_is_the_formula(model):
    """The boxes of every branch, run on words."""
    for block in dataflow(model).blocks:
        lines, branch_number = [], 0
        for step in block.steps:
            read = "x"
            for box in step.shared:
                read = f"{box.name}({read})"
            terms = []
            for branch in step.branches:
                branch_number, text = branch_number + 1, read
                digit = "₀₁₂₃₄"[branch_number]
                for box in branch:
                    if box.kind == "modulation":
                        gate = box.name == "⊙ α"
                        text = f"α{digit} ⊙ {text}" if gate else f"{text} ⊙ (1 + γ{digit}) + β{digit}"
                    elif box.kind != "dropout":
                        text = f"{MIXERS.get(box.kind, box.name)}({text})"
                terms.append(text)
            lines.append(f"x = {' + '.join(['x', *terms])}")
        assert lines == formula(block.option)


@VARIANTS
@pytest.mark.parametrize("metrics", [CELLS, PIXELS], ids=["cells", "pixels"])
def test_boxes_are_apart(model, metrics):
    picture = lay_out(dataflow(model), metrics)
    for a, b in combinations(picture.rects, 2):
        assert (
            a.x + a.w <= b.x or b.x + b.w <= a.x
            or a.y + a.h - metrics.cell <= b.y or b.y + b.h - metrics.cell <= a.y
        ), (a, b)  # fmt: skip
    for label in picture.labels[:1]:
        assert label.text == dataflow(model).given
        right = label.x + len(label.text) * metrics.char
        assert all(right <= rect.x for rect in picture.rects if rect.x > picture.main)
    assert all(frame.y >= rect.y + rect.h for frame in picture.frames[:1] for rect in picture.rects[:2])


@VARIANTS
def test_the_drawing_in_characters_fits(model):
    lines = draw(model).plain.splitlines()
    assert max(map(len, lines)) <= 80
    text = "\n".join(lines)
    assert (
        "noisy images" in text and "time embedding" in text and ("class embedding" in text) == bool(model.num_classes)
    )
    assert (text.count("⊙ α") > 0) == ("adaln_zero" in str(override_name(model)))


def override_name(model):
    return ["adaln_zero" if "Zero" in type(block.modulation).__name__ else "" for block in model.blocks]


@VARIANTS
def test_svg_stands_alone(model):
    root = ElementTree.fromstring(svg(model))
    boxes = [rect for rect in root.iter("{http://www.w3.org/2000/svg}rect") if rect.get("class") == "box"]
    assert len(boxes) == sum(box.kind != "end" for box in dataflow(model).boxes())


def test_what_is_answered_is_named():
    def answered(process):
        return next(
            box.details[0] for box in dataflow(paper(1, 48, 6, process=process)).after if box.name == "unpatchify"
        )

    assert [answered(p) for p in (DDPM(), DDPM(variance="beta"), RectifiedFlow())] == [
        "noise and variance", "noise", "velocity",
    ]  # fmt: skip


def test_facts():
    known = facts(paper(12, 384, 6, position=NoPosition()))
    assert (known.title, known.total) == ("dit", 32_865_056)
    assert known.layers == "12 layers, width 384, images 4 × 32 × 32, 256 patches"
    tables = dict(known.tables)
    assert ("multiply-adds", "6,055,673,856", "6.06 G") in tables["FLOPs per image"]
    figures = {row[0]: row[1] for row in tables["Parameters"]}
    assert figures["total"] == "32,865,056" and figures["modulation"] == "10,940,160"
    assert not any("cache" in heading for heading in tables)
