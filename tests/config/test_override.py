"""`--set path=value`: what it reaches, and what it says when it cannot."""

import pytest

from oneblock import config as c
from oneblock.config import ConfigError, override, presets

NANO = presets.nano()
BLOCK = NANO.model.blocks[0]


@pytest.mark.parametrize(
    ("setting", "read"),
    [
        ("name=mine", lambda x: x.name == "mine"),
        ("context=64", lambda x: x.model.context == 64),
        ("model.context=64", lambda x: x.model.context == 64),
        (" width = 320 ", lambda x: x.model.width == 320),
        ("tied=off", lambda x: x.model.tied is False),
        ("tied=false", lambda x: x.model.tied is False),
        ("embedding_scale=YES", lambda x: x.model.embedding_scale is True),
        (
            "logit_soft_cap=30",
            lambda x: x.model.logit_soft_cap == 30.0 and isinstance(x.model.logit_soft_cap, float),
        ),
        ("final_norm=none", lambda x: x.model.final_norm is None),
        ("final_norm=layer", lambda x: x.model.final_norm == c.LayerNorm()),
        ("embedding_norm=none", lambda x: x.model.embedding_norm == c.NoNorm()),
        ("position=alibi", lambda x: x.model.position == c.Alibi()),
        ("position.theta=5e5", lambda x: x.model.position == c.Rope(theta=5e5)),
        ("position.scaling=yarn", lambda x: x.model.position == c.Rope(scaling=c.YarnScaling())),
        (
            'position={"type": "rope", "style": "interleaved"}',
            lambda x: x.model.position == c.Rope(style="interleaved"),
        ),
        ("block.placement=peri", lambda x: x.model.blocks[0].placement == "peri"),
        ("model.block.placement=peri", lambda x: x.model.blocks[0].placement == "peri"),
        ("blocks.0.placement=peri", lambda x: x.model.blocks[0].placement == "peri"),
        ("block.norm=rms", lambda x: x.model.blocks[0].norm == c.RMSNorm()),
        ("block.norm.eps=1e-6", lambda x: x.model.blocks[0].norm == c.RMSNorm(eps=1e-6)),
        ("block.feed_forward=swiglu", lambda x: x.model.blocks[0].feed_forward == c.Gated(activation="silu")),
        ("block.feed_forward.ratio=3", lambda x: x.model.blocks[0].feed_forward.ratio == 3.0),
        (
            "block.steps=feed_forward, attention",
            lambda x: x.model.blocks[0].steps == ("feed_forward", "attention"),
        ),
        (
            "block.steps=attention+feed_forward",
            lambda x: x.model.blocks[0].steps == ("attention+feed_forward",),
        ),
        ("block.attention.num_kv_heads=2", lambda x: x.model.blocks[0].attention.num_groups == 2),
        ("block.attention.num_kv_heads=none", lambda x: x.model.blocks[0].attention.num_kv_heads is None),
        ("block.attention.qk_norm=layer", lambda x: x.model.blocks[0].attention.qk_norm == c.LayerNorm()),
        ("block.attention.position=none", lambda x: x.model.blocks[0].attention.position is None),
        ("block.attention.position=alibi", lambda x: x.model.blocks[0].attention.position == c.Alibi()),
        (
            "block.attention_only.placement=post",
            lambda x: x.model.blocks[0].only("attention").placement == "post",
        ),
        ("block.residual=off", lambda x: x.model.blocks[0].residual == c.NoResidual()),
        (
            'block.residual={"type": "scaled", "skip": 2}',
            lambda x: x.model.blocks[0].residual == c.Scaled(skip=2),
        ),
        (
            'block.attention={"num_heads": 2}',
            lambda x: x.model.blocks[0].attention == c.Attention(num_heads=2),
        ),
        ("recipe.batch_size=32", lambda x: x.recipe.batch_size == 32),
        ("recipe.minutes=0.5", lambda x: x.recipe.minutes == 0.5),
        ("recipe.steps=100", lambda x: (x.recipe.steps, x.recipe.minutes) == (100, None)),
        ("recipe.optimizer=muon", lambda x: x.recipe.optimizer == c.Muon()),
        ("recipe.optimizer.learning_rate=3e-4", lambda x: x.recipe.optimizer.learning_rate == 3e-4),
        ("recipe.average=none", lambda x: x.recipe.average is None),
        ("recipe.data=/some/file=1.txt", lambda x: x.recipe.data == "/some/file=1.txt"),
    ],
)
def test_settings_reach_their_field(setting, read):
    changed = override(NANO, setting)
    assert read(changed)
    assert presets.nano() == NANO, "the configuration given is never changed"


def test_settings_apply_in_order_and_to_parts_alone():
    assert override(NANO, "width=320", "width=384").model.width == 384
    model = override(NANO.model, "block.placement=out", "position=none")
    assert model.blocks[0].placement == "out" and isinstance(model.position, c.NoPosition)
    assert override(NANO) == NANO


def test_minutes_and_steps_take_each_others_place():
    both = override(NANO, "recipe.steps=100", "recipe.minutes=3")
    assert (both.recipe.steps, both.recipe.minutes) == (None, 3.0)


def test_the_pattern_of_blocks():
    two = override(NANO, "blocks=2", "blocks.1.attention.window=64")
    assert [block.attention.window for block in two.model.blocks] == [None, 64]
    assert [two.model.block(layer).attention.window for layer in range(4)] == [None, 64, None, 64]
    every = override(two, "block.placement=peri")
    assert [block.placement for block in every.model.blocks] == ["peri", "peri"]
    assert [block.attention.window for block in override(two, "blocks=3").model.blocks] == [None, 64, None]
    assert override(two, "blocks=1").model.blocks == (BLOCK,)


# Setting, path in the message, value in the message, words of the rule, options that must be named.
BAD = [
    ("widht=3", "widht", "3", "is not a field of Decoder", ["width"]),
    ("model.widht=3", "model.widht", "3", "is not a field of Decoder", ["width"]),
    ("zzz=3", "zzz", "3", "is not a field of Decoder", ["vocab_size", "block"]),
    ("block.atention.num_heads=2", "block.atention", "2", "is not a field of Block", ["attention"]),
    ("block.attention.heads=2", "block.attention.heads", "2", "is not a field of Attention", ["num_heads"]),
    ("recipe.lr=1", "recipe.lr", "1", "is not a field of Recipe", []),
    ("width=wide", "width", "wide", "must be a whole number", []),
    ("width=2.5", "width", "2.5", "must be a whole number", []),
    ("width=0", "width", "0", "must be 1 or more", []),
    ("width=-3", "width", "-3", "must be 1 or more", []),
    ("width=none", "width", "none", "must be a whole number", []),
    ("width=", "width", "", "must be a whole number", []),
    ("tied=maybe", "tied", "maybe", "must be true or false", []),
    ("embedding_dropout=1", "embedding_dropout", "1.0", "must be from 0 to 1", []),
    ("embedding_dropout=-0.1", "embedding_dropout", "-0.1", "must be from 0 to 1", []),
    ("embedding_dropout=nan", "embedding_dropout", "nan", "must be from 0 to 1", []),
    ("block.attention.scale=inf", "block.attention.scale", "inf", "must be above 0", []),
    ("logit_soft_cap=0", "logit_soft_cap", "0.0", "must be above 0", []),
    (
        "block.norm=batch",
        "block.norm",
        "batch",
        "is not one of the options",
        ["layer", "rms", "partial_rms", "none"],
    ),
    ("block.norm=", "block.norm", "", "is not one of the options", ["rms"]),
    ("block.norm.epz=1", "block.norm.epz", "1", "is not a field of RMSNorm", ["eps"]),
    ("block.norm.eps=0", "block.norm.eps", "0.0", "must be above 0", []),
    (
        "block.placement=middle",
        "block.placement",
        "middle",
        "is not one of the choices",
        ["pre", "post", "peri", "out", "none"],
    ),
    (
        "block.steps=attention,mlp",
        "block.steps",
        "mlp",
        "is not a step",
        ["attention", "feed_forward", "attention+feed_forward"],
    ),
    ("block.steps=", "block.steps", "()", "at least one step", ["attention,feed_forward"]),
    ("block.steps=attention+attention", "block.steps", "attention+attention", "twice", []),
    ("block.steps.0=attention", "block.steps.0", "attention", "has no fields", []),
    (
        "block.attention.num_heads=3",
        "block.attention.num_heads",
        "3",
        "must divide width=256",
        ["1", "2", "4", "8", "16"],
    ),
    (
        "block.attention.num_kv_heads=3",
        "block.attention.num_kv_heads",
        "3",
        "must divide num_heads=4",
        ["1", "2", "4"],
    ),
    (
        "block.attention.num_kv_heads=8",
        "block.attention.num_kv_heads",
        "8",
        "must divide num_heads=4",
        ["1", "2", "4"],
    ),
    ("block.attention.head_width=7", "block.attention.head_width", "7", "must be even", ["position=alibi"]),
    (
        "position.fraction=0.001",
        "block.attention.head_width",
        "64",
        "0 features to rotate",
        ["another rope fraction"],
    ),
    ("position.fraction=1.5", "position.fraction", "1.5", "must be from 0 to 1", []),
    (
        "position=rotary",
        "position",
        "rotary",
        "is not one of the options",
        ["rope", "alibi", "t5", "learned"],
    ),
    (
        'position={"type": "t5", "max_distance": 16}',
        "position.max_distance",
        "16",
        "must be above num_buckets/2 = 16",
        ["17"],
    ),
    (
        'position.scaling={"type": "llama3", "low": 4}',
        "position.scaling.high",
        "4.0",
        "must be above low=4",
        [],
    ),
    (
        'position.scaling={"type": "yarn", "beta_fast": 1}',
        "position.scaling.beta_fast",
        "1",
        "must be above beta_slow=1",
        [],
    ),
    ('position={"type": "rope"', "position", '{"type": "rope"', "is not JSON", []),
    ("block.attention=[1]", "block.attention", "[1]", "must be a JSON object", []),
    (
        'block.attention={"heads": 1}',
        "block.attention.heads",
        "1",
        "is not a field of Attention",
        ["num_heads"],
    ),
    ("block.attention.position.theta=3", "block.attention.position.theta", "3", "cannot be set", []),
    (
        "block.attention.position=learned",
        "block.attention.position",
        "Learned",
        "does nothing inside one attention",
        ["rope"],
    ),
    (
        "block.shared_norm=on",
        "block.shared_norm",
        "True",
        "needs a parallel step",
        ["block.steps=attention+feed_forward"],
    ),
    ("blocks=0", "blocks", "0", "how many blocks", ["1", "2"]),
    ("blocks=²", "blocks", "²", "how many blocks", ["1", "2"]),
    ("blocks=5", "num_layers", "4", "is fewer than the 5 blocks", []),
    ("blocks.1.placement=post", "blocks", "1", "the pattern has 1", ["blocks=2 first"]),
    ("blocks.x.placement=post", "blocks", "x", "the pattern has 1", ["block.… for all"]),
    ("blocks.0=peri", "blocks.0", "peri", "needs the name of a field", ["placement"]),
    ("block=peri", "block", "peri", "needs the name of a field", ["placement"]),
    ("model=oracle", "model", "oracle", "is not one of the options", ["decoder"]),
    ("model=decoder", "model.context", "nothing", "is required by Decoder", []),
    ("recipe.seed=-1", "recipe.seed", "-1", "must be 0 or more", []),
    (
        "recipe.minutes=none",
        "recipe.steps",
        "neither",
        "exactly one says how long",
        ["steps=2000", "minutes=5"],
    ),
    (
        "recipe.accumulation=3",
        "recipe.accumulation",
        "3",
        "must divide batch_size=16",
        ["1", "2", "4", "8", "16"],
    ),
    (
        "recipe.precision=fp16",
        "recipe.precision",
        "fp16",
        "is not one of the choices",
        ["auto", "float32", "bfloat16"],
    ),
    ("recipe.optimizer=adam", "recipe.optimizer", "adam", "is not one of the options", ["adamw", "muon"]),
    ("recipe.schedule.warmup=-1", "recipe.schedule.warmup", "-1", "must be 0 or more", []),
    ("width", "", "width", "is not of the form path=value", ["block.placement=peri"]),
    ("=3", "", "=3", "is not of the form path=value", []),
    ("width.x=3", "width.x", "3", "has no fields", []),
    ("block..norm=rms", "block", "rms", "is not a field of Block", []),
]


@pytest.mark.parametrize(("setting", "path", "value", "rule", "options"), BAD, ids=[bad[0] for bad in BAD])
def test_errors_say_path_value_rule_and_options(setting, path, value, rule, options):
    with pytest.raises(ConfigError) as caught:
        override(NANO, setting)
    error, message = caught.value, str(caught.value)
    assert error.path == path and rule in error.rule
    assert message.startswith(f"{path}={value} " if path else f"{value} ")
    assert rule in message
    shown = [str(option) for option in error.options]
    for option in options:
        assert option in shown
    assert message.endswith("; try " + ", ".join(shown)) == bool(shown)


def test_the_message_of_the_design():
    eight = override(NANO, "block.attention.num_heads=8")
    with pytest.raises(ConfigError) as caught:
        override(eight, "block.attention.num_kv_heads=3")
    assert str(caught.value) == "block.attention.num_kv_heads=3 must divide num_heads=8; try 1, 2, 4, 8"


def test_the_block_is_named_by_its_number_in_a_pattern():
    with pytest.raises(ConfigError) as caught:
        override(NANO, "blocks=2", "blocks.1.attention.num_kv_heads=3")
    assert caught.value.path == "blocks.1.attention.num_kv_heads"


@pytest.mark.parametrize(
    "together",
    [
        ("width=90", "block.attention.num_heads=9"),
        ("block.attention.num_heads=9", "width=90"),
        ("recipe.accumulation=3", "recipe.batch_size=9"),
        ("block.shared_norm=on", "block.steps=attention+feed_forward"),
    ],
)
def test_settings_that_are_valid_together_come_in_any_order(together):
    override(NANO, *together)


def test_a_part_given_as_json_is_filled_up_and_can_be_changed_further():
    config = override(NANO, 'block.attention={"num_heads": 8}', "block.attention.window=5")
    assert (config.model.blocks[0].attention.num_heads, config.model.blocks[0].attention.window) == (8, 5)
