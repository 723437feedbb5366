"""Rules across fields, and the parts' own, as they meet who builds a configuration in Python."""

import dataclasses

import pytest

from oneblock.config import (
    Alibi,
    Attention,
    Block,
    ConfigError,
    Decoder,
    LayerNorm,
    Learned,
    NoNorm,
    NoResidual,
    OneblockError,
    Only,
    Recipe,
    RMSNorm,
    Rope,
    Scaled,
    Sinusoidal,
    T5Bias,
    preset,
)

PARALLEL = ("attention+feed_forward",)


def model(*blocks, **changes):
    blocks = blocks or (Block(attention=Attention(num_heads=3)),)
    return Decoder(
        **{
            "vocab_size": 11,
            "context": 7,
            "width": 24,
            "num_layers": 3,
            "blocks": blocks,
            "position": Alibi(),
        }
        | changes
    )


@pytest.mark.parametrize(
    ("make", "path", "words"),
    [
        (
            lambda: model(Block(attention=Attention(num_heads=5))),
            "block.attention.num_heads",
            "must divide width=24",
        ),
        (
            lambda: model(position=Sinusoidal(), width=27),
            "width",
            "must be even for sinusoidal positions; try 28",
        ),
        (
            lambda: model(width=27, position=Rope()),
            "block.attention.head_width",
            "leaves 9 features to rotate",
        ),
        (
            lambda: model(position=Rope(fraction=0.9)),
            "block.attention.head_width",
            "leaves 7 features to rotate",
        ),
        (
            lambda: model(Block(), Block(attention=Attention(num_heads=3)), position=T5Bias()),
            "position",
            "their num_heads differ (3, 8)",
        ),
        (lambda: model(num_layers=1, blocks=(Block(), Block())), "num_layers", "is fewer than the 2 blocks"),
        (lambda: model(blocks=()), "blocks", "at least one block"),
        (lambda: model(blocks=[Block()]), "blocks", "must be a list (a tuple in Python)"),
        (lambda: model(blocks=(Block(), 3)), "blocks.1", "must be a Block"),
        (lambda: Block(steps=("attention", 3)), "steps.1", "must be a word"),
        (lambda: Block(norm=(RMSNorm(),)), "norm", "is not one of the options"),
        (lambda: Block(norm=RMSNorm), "norm", "is not one of the options"),
        (lambda: Block(norm=None), "norm", "is not one of the options"),
        (lambda: Block(steps=("attention+mlp",)), "steps", "mlp is not a step"),
        (lambda: model(Block(steps=("attention+attention",))), "block.steps", "twice"),
        (lambda: model(Block(shared_norm=True)), "block.shared_norm", "needs a parallel step"),
        (
            lambda: model(Block(steps=PARALLEL, shared_norm=True, placement="out")),
            "block.shared_norm",
            "norm in front",
        ),
        (
            lambda: model(
                Block(
                    steps=PARALLEL,
                    shared_norm=True,
                    attention_only=Only(placement="post"),
                    feed_forward_only=Only(placement="post"),
                )
            ),
            "block.shared_norm",
            "norm in front",
        ),
        (
            lambda: model(Block(steps=PARALLEL, attention_only=Only(residual=NoResidual()))),
            "block.steps",
            "differ in residual, norm or placement",
        ),
        (
            lambda: model(Block(), Block(steps=PARALLEL, feed_forward_only=Only(norm=RMSNorm()))),
            "blocks.1.steps",
            "differ in residual, norm or placement",
        ),
        (
            lambda: model(Block(attention=Attention(position=Learned()))),
            "block.attention.position",
            "does nothing",
        ),
        (lambda: T5Bias(num_buckets=8, max_distance=4), "max_distance", "must be above num_buckets/2 = 4"),
        (lambda: Recipe(steps=3, minutes=3), "steps", "both of steps and minutes"),
        (lambda: Recipe(), "steps", "neither of steps and minutes"),
        (lambda: Recipe(steps=3, accumulation=5), "accumulation", "must divide batch_size=16"),
        (lambda: Scaled(skip=float("nan")), "skip", "must be a finite number"),
        (lambda: Scaled(branch=float("inf")), "branch", "must be a finite number"),
        (lambda: Rope(theta=float("inf")), "theta", "must be above 0"),
        (lambda: Attention(num_heads=True), "num_heads", "must be a whole number"),
        (lambda: Attention(bias=1), "bias", "must be true or false"),
        (lambda: Attention(num_kv_heads=2.0), "num_kv_heads", "must be a whole number or nothing (none)"),
        (lambda: preset("nanoo"), "preset", "nanoo is not a preset; try nano, "),
    ],
)
def test_refused(make, path, words):
    with pytest.raises(ConfigError) as caught:
        make()
    assert caught.value.path == path and words in str(caught.value)
    assert isinstance(caught.value, OneblockError)


@pytest.mark.parametrize(
    "make",
    [
        lambda: model(Block(attention=Attention(num_heads=5, head_width=8))),
        lambda: model(Block(steps=("feed_forward",), attention=Attention(num_heads=5))),
        lambda: model(width=27, position=Alibi()),
        lambda: model(Block(attention=Attention(num_heads=5, head_width=7, position=Alibi()))),
        lambda: model(Block(steps=PARALLEL, shared_norm=True, placement="peri")),
        lambda: model(
            Block(
                steps=PARALLEL,
                shared_norm=True,
                placement="post",
                attention_only=Only(placement="pre"),
                feed_forward_only=Only(placement="pre"),
            )
        ),
        lambda: model(Block(steps=PARALLEL, attention_only=Only(dropout=0.5))),
        lambda: model(
            Block(attention=Attention(num_heads=4, position=Alibi())),
            Block(attention=Attention(num_heads=3)),
            Block(steps=("feed_forward",), attention=Attention(num_heads=6)),
            position=T5Bias(),
        ),
        lambda: Attention(num_heads=10**400),
        lambda: Scaled(skip=-2, branch=0),
    ],
)
def test_allowed(make):
    make()


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({"placement": "pre"}, RMSNorm()),
        ({"placement": "peri"}, RMSNorm()),
        ({"placement": "out"}, RMSNorm()),
        ({"placement": "post"}, NoNorm()),
        ({"placement": "none"}, NoNorm()),
        ({"feed_forward_only": Only(placement="post")}, NoNorm()),
        ({"attention_only": Only(placement="post")}, RMSNorm()),
    ],
)
def test_the_norm_before_the_head(settings, expected):
    block = Block(norm=RMSNorm(), attention=Attention(num_heads=3), **settings)
    assert model(block).last_norm == expected
    assert model(block, final_norm=LayerNorm()).last_norm == LayerNorm()
    assert model(block, final_norm=NoNorm()).last_norm == NoNorm()


def test_the_last_layers_block_decides_not_the_last_of_the_pattern():
    pre, post = (
        Block(attention=Attention(num_heads=3)),
        Block(attention=Attention(num_heads=3), placement="post"),
    )
    assert model(pre, post).last_norm == LayerNorm() and model(pre, post, num_layers=4).last_norm == NoNorm()
    assert [model(pre, post).block(layer) for layer in range(3)] == [pre, post, pre]


def test_parts_are_immutable_comparable_and_take_keywords_only():
    with pytest.raises(dataclasses.FrozenInstanceError):
        RMSNorm().eps = 1.0
    with pytest.raises(TypeError):
        RMSNorm(1e-5)
    assert RMSNorm(eps=1e-6) == RMSNorm(eps=1e-6) != RMSNorm() and len({RMSNorm(), RMSNorm()}) == 1
    assert LayerNorm(eps=1e-5) != RMSNorm(eps=1e-5)
