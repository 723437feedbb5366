"""The flow that is drawn, beside the formula that the assembled block gives."""

import itertools
import re

import pytest

from oneblock import override, presets
from oneblock.config import (
    Block,
    Decoder,
    LayerNorm,
    Only,
    PartialRMSNorm,
    RMSNorm,
    Scaled,
)
from oneblock.config import (
    presets as all_presets,
)
from oneblock.inspect.dataflow import dataflow
from oneblock.inspect.formula import formula

MIXERS = {"attention": "Attention", "feed_forward": "FFN"}


def through(row, x, is_sum=False):
    """A row of boxes run on words."""
    for box in row:
        if box.kind == "norm":
            name = {"partial RMSNorm": "pRMSNorm"}.get(box.name, box.name)
            x, is_sum = f"{name}({x})", False
        elif box.kind == "scale":
            inner = f"({x})" if is_sum else x
            word = box.name.removeprefix("× ").removesuffix(", learned")
            x = f"λ ⊙ {inner}" if word == "⊙ λ" else f"{word}·{inner}"
        elif box.kind in MIXERS:
            x, is_sum = f"{MIXERS[box.kind]}({x})", False
        else:
            assert box.kind == "dropout"
    return x


def line(step):
    """What a drawn step does, as a formula."""
    entered = through(step.shared, "x")
    joined = " + ".join(through(branch, entered) for branch in step.branches)
    joined = through(step.scale, joined, is_sum=len(step.branches) > 1)
    if step.keeps:
        joined = f"{through(step.skip, 'x')} + {joined}"
    return f"x = {through(step.stream, joined)}"


def drawn(model):
    return [line(step) for block in dataflow(model).blocks for step in block.steps]


def written(option):
    """The formula without the numbers of parallel norms."""
    return [re.sub("[₀-₉]", "", line) for line in formula(option)]


RESIDUALS = ["on", "off"] + [
    f'{{"type": "scaled", "skip": {skip}, "branch": {branch}, "learned": "{learned}"}}'
    for skip, branch, learned in ((2, 1, "no"), (1, 0.25, "no"), (3, 0, "scalar"), (1.5, 0.1, "vector"))
]
STEPS = [
    "attention,feed_forward",
    "feed_forward,attention",
    "attention+feed_forward",
    "feed_forward+attention,attention",
]


@pytest.mark.parametrize("norm", ["layer", "rms", "partial_rms", "none"])
@pytest.mark.parametrize("placement", ["pre", "post", "peri", "out", "none"])
def test_every_layout_is_the_formula(norm, placement, plain):
    for residual, steps, shared in itertools.product(RESIDUALS, STEPS, (False, True)):
        if shared and ("+" not in steps or placement not in ("pre", "peri")):
            continue
        config = override(
            plain,
            f"block.norm={norm}", f"block.placement={placement}", f"block.residual={residual}",
            f"block.steps={steps}", f"block.shared_norm={str(shared).lower()}", "block.dropout=0.1",
        )  # fmt: skip
        assert drawn(config) == written(config.model.blocks[0]), (residual, steps, shared)


def test_branches_of_their_own():
    block = Block(
        norm=LayerNorm(),
        placement="peri",
        attention_only=Only(placement="post", norm=RMSNorm(), residual=Scaled(skip=0.5)),
        feed_forward_only=Only(norm=PartialRMSNorm()),
    )
    model = Decoder(vocab_size=7, context=5, width=16, num_layers=2, blocks=(block,))
    assert drawn(model) == written(block)
    assert drawn(model) == ["x = RMSNorm(0.5·x + Attention(x))", "x = x + pRMSNorm(FFN(pRMSNorm(x)))"]


def test_all_models_are_the_formula(models):
    for model in models:
        for block in dataflow(model).blocks:
            assert [line(step) for step in block.steps] == written(block.option)


def kinds(row):
    return [box.kind for box in row]


def test_what_stands_before_and_after(plain):
    flow = dataflow(all_presets.vaswani_decoder())
    assert kinds(flow.before) == ["end", "embedding", "scale"]
    assert kinds(flow.added) == ["position"] and kinds(flow.entry) == ["dropout"]
    assert kinds(flow.after) == ["head", "end"]  # post-norm: the stream is normed already
    changed = override(
        plain,
        "tied=false", "head_bias=true", "logit_soft_cap=30", "embedding_norm=layer", "position=none",
    )  # fmt: skip
    flow = dataflow(changed)
    assert kinds(flow.before) == ["end", "embedding"] and not flow.added and kinds(flow.entry) == ["norm"]
    assert kinds(flow.after) == ["norm", "head", "scale", "end"]
    assert flow.after[1].details == ("256 × 65 + bias",)
    assert "tied" in dataflow(plain).after[1].details[1]
    assert (flow.size, flow.answer) == ("B × T × 256", "B × T × 65")


def words(config, kind):
    return next(box.details for box in dataflow(config).boxes() if box.kind == kind)


def test_words_of_attention_and_feed_forward(plain):
    config = override(
        presets.llama_nano(),
        "block.attention.num_heads=8",
        "block.attention.num_kv_heads=2",
        "block.attention.soft_cap=50",
        "block.attention.window=128",
        "block.attention.dropout=0.1",
        "block.attention.position=rope",
        "block.attention.position.fraction=0.25",
        "block.attention.position.scaling=yarn",
        "block.attention.position.scaling.factor=4",
        "block.attention.qk_norm=rms",
        "block.attention.qk_norm_over=all_heads",
        "block.feed_forward=geglu",
    )
    assert words(config, "attention") == (
        "8 heads × 32",
        "2 key/value heads",
        "RoPE on 25 %, θ 10,000",
        "YaRN × 4",
        "RMSNorm on q and k",
        "over all heads at once",
        "soft cap 50",
        "window 128",
        "dropout 0.1 on weights",
    )
    assert words(config, "feed_forward") == ("GEGLU", "256 → 688 → 256")
    alone = override(plain, "block.attention.num_kv_heads=1", "position=alibi")
    assert words(alone, "attention") == ("4 heads × 64", "1 key/value head", "ALiBi")


def test_a_pattern_names_its_layers(plain):
    pattern = override(plain, "blocks=2", "blocks.0.attention.window=64", "num_layers=5")
    titles = [block.title for block in dataflow(pattern).blocks]
    assert titles == ["block × 3 · layers 1, 3, 5", "block × 2 · layers 2, 4"]
    assert dataflow(pattern).repeats and not dataflow(plain).repeats
    equal = override(plain, "blocks=2")
    assert [block.title for block in dataflow(equal).blocks] == ["block × 4"]
    gemma = override(
        plain,
        "num_layers=26", "blocks=6", "block.attention.window=64", "blocks.5.attention.window=none",
    )  # fmt: skip
    titles = [block.title for block in dataflow(gemma).blocks]
    assert titles == ["block × 22 · layers 1–5, 7–11, 13–17, …, 25–26", "block × 4 · layers 6, 12, 18, 24"]
