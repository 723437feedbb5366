"""The block run on words: each layout's formula, written by hand from its paper."""

import pytest
import torch

from oneblock.config import (
    Added,
    Alibi,
    Attention,
    Block,
    Decoder,
    LayerNorm,
    Learned,
    NoNorm,
    NoResidual,
    Only,
    PartialRMSNorm,
    RMSNorm,
    Scaled,
    Sinusoidal,
    presets,
)
from oneblock.inspect.formula import Symbol, formula, formula_text

A, F = "attention", "feed_forward"

# What a branch of either name contributes, and what then happens to the sum; N stands for the norm.
CONTRIBUTION = {
    "pre": "{f}(N(x))",
    "post": "{f}(x)",
    "peri": "N({f}(N(x)))",
    "out": "N({f}(x))",
    "none": "{f}(x)",
}
RESIDUALS = {
    "on": (Added(), "x + {c}"),
    "off": (NoResidual(), "{c}"),
    "scaled": (Scaled(skip=2.0, branch=0.5), "2·x + 0.5·{c}"),
    "deepnorm": (Scaled(skip=2.0), "2·x + {c}"),
    "rezero": (Scaled(branch=0, learned="scalar"), "x + α·{c}"),
    "layerscale": (Scaled(branch=0.1, learned="vector"), "x + λ ⊙ {c}"),
}


@pytest.mark.parametrize("norm", [LayerNorm(), RMSNorm(), PartialRMSNorm()])
@pytest.mark.parametrize("residual", RESIDUALS)
@pytest.mark.parametrize("placement", CONTRIBUTION)
@pytest.mark.parametrize("steps", [(A, F), (F, A), (A, F, A, F), (A,)])
def test_serial_layouts(placement, residual, steps, norm):
    option, joined = RESIDUALS[residual]
    name = {LayerNorm: "LayerNorm", RMSNorm: "RMSNorm", PartialRMSNorm: "pRMSNorm"}[type(norm)]
    expected = []
    for step in steps:
        mixer = {"attention": "Attention", "feed_forward": "FFN"}[step]
        right = joined.format(c=CONTRIBUTION[placement].format(f=mixer))
        if placement == "post":
            right = f"N({right})"
        expected.append(f"x = {right}".replace("N(", f"{name}(").replace("FF" + name, "FFN"))
    block = Block(steps=steps, placement=placement, residual=option, norm=norm)
    assert formula(block) == expected


PAPERS = [
    (
        "Vaswani 2017: LayerNorm(x + Sublayer(x))",
        Block(placement="post"),
        ["x = LayerNorm(x + Attention(x))", "x = LayerNorm(x + FFN(x))"],
    ),
    ("GPT-2", Block(), ["x = x + Attention(LayerNorm(x))", "x = x + FFN(LayerNorm(x))"]),
    ("Llama", Block(norm=RMSNorm()), ["x = x + Attention(RMSNorm(x))", "x = x + FFN(RMSNorm(x))"]),
    (
        "Gemma 2, Peri-LN",
        Block(placement="peri", norm=RMSNorm()),
        ["x = x + RMSNorm(Attention(RMSNorm(x)))", "x = x + RMSNorm(FFN(RMSNorm(x)))"],
    ),
    (
        "OLMo 2",
        Block(placement="out", norm=RMSNorm()),
        ["x = x + RMSNorm(Attention(x))", "x = x + RMSNorm(FFN(x))"],
    ),
    (
        "PaLM, GPT-J: one norm for both",
        Block(steps=("attention+feed_forward",), shared_norm=True),
        ["x = x + Attention(LayerNorm(x)) + FFN(LayerNorm(x))"],
    ),
    (
        "GPT-NeoX: a norm for each",
        Block(steps=("attention+feed_forward",)),
        ["x = x + Attention(LayerNorm₁(x)) + FFN(LayerNorm₂(x))"],
    ),
    (
        "parallel, post-norm",
        Block(steps=("feed_forward+attention",), placement="post"),
        ["x = LayerNorm(x + FFN(x) + Attention(x))"],
    ),
    (
        "parallel, a norm in front shared and one behind each",
        Block(steps=("attention+feed_forward",), placement="peri", shared_norm=True),
        ["x = x + LayerNorm(Attention(LayerNorm(x))) + LayerNorm(FFN(LayerNorm(x)))"],
    ),
    (
        "parallel under LayerScale: the sum is scaled",
        Block(steps=("attention+feed_forward",), residual=Scaled(branch=0.1, learned="vector"), shared_norm=True),
        ["x = x + λ ⊙ (Attention(LayerNorm(x)) + FFN(LayerNorm(x)))"],
    ),
    (
        "parallel, scaled by a constant",
        Block(steps=("attention+feed_forward",), residual=Scaled(skip=2, branch=3), placement="none"),
        ["x = 2·x + 3·(Attention(x) + FFN(x))"],
    ),
    (
        "parallel, residual off",
        Block(steps=("attention+feed_forward",), residual=NoResidual(), placement="out"),
        ["x = LayerNorm(Attention(x)) + LayerNorm(FFN(x))"],
    ),
    (
        "DeepNorm: LayerNorm(αx + G(x))",
        Block(placement="post", residual=Scaled(skip=2.0)),
        ["x = LayerNorm(2·x + Attention(x))", "x = LayerNorm(2·x + FFN(x))"],
    ),
    (
        "CaiT's LayerScale",
        Block(residual=Scaled(branch=1e-5, learned="vector")),
        ["x = x + λ ⊙ Attention(LayerNorm(x))", "x = x + λ ⊙ FFN(LayerNorm(x))"],
    ),
    (
        "ReZero",
        Block(residual=Scaled(branch=0.0, learned="scalar"), placement="none"),
        ["x = x + α·Attention(x)", "x = x + α·FFN(x)"],
    ),
    ("a norm that is none is not written", Block(norm=NoNorm()), ["x = x + Attention(x)", "x = x + FFN(x)"]),
    (
        "each branch in its own way",
        Block(
            attention_only=Only(placement="post", norm=RMSNorm()),
            feed_forward_only=Only(residual=NoResidual()),
        ),
        ["x = RMSNorm(x + Attention(x))", "x = FFN(LayerNorm(x))"],
    ),
    (
        "serial and parallel steps in one block",
        Block(steps=("feed_forward", "attention + feed_forward"), placement="none"),
        ["x = x + FFN(x)", "x = x + Attention(x) + FFN(x)"],
    ),
    ("dropout is left out", Block(dropout=0.5, placement="none"), ["x = x + Attention(x)", "x = x + FFN(x)"]),
]


@pytest.mark.parametrize(("paper", "block", "expected"), PAPERS, ids=[paper for paper, _, _ in PAPERS])
def test_formulas_of_the_papers(paper, block, expected):
    assert formula(block) == expected


def test_symbols_bracket_sums_and_nothing_else():
    x, y = Symbol("x"), Symbol("y")
    assert str((x + y) * 2.0) == "2·(x + y)"
    assert str(x * 2.0 + y) == "2·x + y"
    assert str((x + y) * torch.zeros(3)) == "λ ⊙ (x + y)"
    assert str(x * torch.zeros(1)) == "α·x"


def test_whole_model_of_gpt2():
    assert formula_text(presets.gpt2().model).splitlines() == [
        "x = Embedding(tokens) + Learned(positions)",
        "for layers 1–12 of 12:",
        "    x = x + Attention(LayerNorm(x))",
        "    x = x + FFN(LayerNorm(x))",
        "logits = LayerNorm(x) · Embeddingᵀ",
    ]


def test_whole_model_of_the_original_decoder():
    assert formula_text(presets.vaswani_decoder().model).splitlines() == [
        "x = √512·Embedding(tokens) + Sinusoidal(positions)",
        "for layers 1–6 of 6:",
        "    x = LayerNorm(x + Attention(x))",
        "    x = LayerNorm(x + FFN(x))",
        "logits = x · Embeddingᵀ",
    ]


def test_whole_model_with_a_pattern():
    model = Decoder(
        vocab_size=11,
        context=7,
        width=24,
        num_layers=5,
        blocks=(
            Block(norm=RMSNorm()),
            Block(steps=("attention",), attention=Attention(window=3), placement="post"),
        ),
        position=Alibi(),
        embedding_norm=LayerNorm(),
        tied=False,
        final_norm=RMSNorm(),
        logit_soft_cap=30.0,
    )
    assert formula_text(model).splitlines() == [
        "x = LayerNorm(Embedding(tokens))",
        "for layers 1, 3, 5 of 5:",
        "    x = x + Attention(RMSNorm(x))",
        "    x = x + FFN(RMSNorm(x))",
        "for layers 2, 4 of 5:",
        "    x = LayerNorm(x + Attention(x))",
        "logits = 30·tanh((Head(RMSNorm(x))) / 30)",
    ]


def test_many_layers_of_a_pattern_are_shortened_and_one_is_named():
    model = Decoder(
        vocab_size=11, context=7, width=24, num_layers=12, blocks=(Block(), Block()), position=Sinusoidal(),
        head_bias=True,
    )  # fmt: skip
    text = formula_text(model)
    assert "for layers 1, 3, …, 11 of 12:" in text and text.endswith("LayerNorm(x) · Embeddingᵀ + b")
    single = Decoder(vocab_size=11, context=7, width=24, num_layers=2, blocks=(Block(), Block()), position=Learned())
    assert "for layer 2 of 2:" in formula_text(single)
