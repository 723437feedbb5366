"""Configurations through JSON and back: presets, and random ones drawn from the fields' declarations."""

import functools
import json
import math
import typing
from dataclasses import fields, replace

import hypothesis.strategies as st
import pytest
from hypothesis import HealthCheck, given, reject, settings

from oneblock import config as c
from oneblock.config import Config, ConfigError, config_from_dict, diff, from_dict, to_dict
from oneblock.config.part import Part, alternatives, field_types

PARTS = sorted(
    {
        cls
        for cls in vars(c).values()
        if isinstance(cls, type) and issubclass(cls, Part) and cls not in (Config, c.Decoder, c.Recipe)
    },
    key=lambda cls: cls.__name__,
)

# Where a rule ties two fields together, values that keep it; everything else comes from the declaration.
KEPT = {
    ("Attention", "num_kv_heads"): st.sampled_from([None, 1]),
    ("Attention", "head_width"): st.sampled_from([16, 32, 48]),
    ("Rope", "fraction"): st.sampled_from([1.0, 0.5, 0.25, 1]),
    ("T5Bias", "num_buckets"): st.integers(2, 32).map(lambda half: 2 * half),
    ("T5Bias", "max_distance"): st.integers(33, 999),
    ("Llama3Scaling", "low"): st.floats(0.1, 3.9),
    ("Llama3Scaling", "high"): st.floats(4, 9),
    ("YarnScaling", "beta_slow"): st.floats(0.1, 3.9),
    ("YarnScaling", "beta_fast"): st.floats(4, 90),
    ("Block", "steps"): st.sampled_from(
        [("attention", "feed_forward"), ("feed_forward",), ("attention", "feed_forward+attention")]
    ),
    ("Block", "shared_norm"): st.just(False),
    # Only where a block takes the step: `with_memory` draws them there.
    ("Block", "cross_attention"): st.just(c.Attention()),
    ("Block", "cross_attention_only"): st.just(c.Only()),
    ("Attention", "num_heads"): st.sampled_from([6, 8]),
    **{(name, "width"): st.sampled_from([96, 384]) for name in ("Decoder", "Encoder", "EncoderDecoder")},
    **{(name, "num_layers"): st.integers(3, 99) for name in ("Decoder", "Encoder", "Stack")},
    ("EncoderDecoder", "decoder"): st.deferred(
        lambda: st.builds(with_memory, any_of(c.Stack), any_of(c.Attention), any_of(c.Only))
    ),
    ("EncoderDecoder", "shared_embedding"): st.just(False),
    **{(name, "num_experts"): st.integers(4, 9) for name in ("Switch", "GShard", "TopK")},
    **{
        (name, field): st.sampled_from([None, 9.0, 12.5])
        for name in ("Switch", "GShard")
        for field in ("capacity_factor", "eval_capacity_factor")
    },
    **{(name, field): st.none() for name in ("Switch", "GShard") for field in ("group_size", "capacity")},
    ("TopK", "k"): st.integers(1, 4),
    ("Block", "modulation"): st.just(c.NoModulation()),
    ("DDPM", "num_steps"): st.integers(400, 4000),
    ("DDPM", "beta_first"): st.floats(1e-6, 0.3),
    ("DDPM", "beta_last"): st.floats(1e-6, 0.3),
    **{(name, "image_height"): st.sampled_from([8, 24]) for name in ("DiT", "Vision")},
    **{(name, "image_width"): st.sampled_from([None, 16]) for name in ("DiT", "Vision")},
    **{(name, "patch"): st.sampled_from([1, 2, 4, 8]) for name in ("DiT", "Vision")},
    **{(name, "width"): st.sampled_from([96, 384]) for name in ("DiT", "Vision")},
    **{(name, "num_layers"): st.integers(3, 99) for name in ("DiT", "Vision")},
    ("DiT", "time_width"): st.sampled_from([2, 64]),
    ("Recipe", "steps"): st.none(),
    ("Recipe", "minutes"): st.floats(0.1, 1e4),
    ("Recipe", "accumulation"): st.just(1),
}


def with_memory(stack, attention, only):
    across = {
        "steps": ("attention", "cross_attention", "feed_forward"),
        "cross_attention": replace(attention, window=None, position=None),
        "cross_attention_only": only,
    }
    return replace(stack, blocks=tuple(replace(block, **across) for block in stack.blocks))


@functools.cache
def any_of(cls):
    """A strategy for a part, read off its fields."""
    hints = field_types(cls)
    drawn = {spec.name: value_of(cls, spec, hints[spec.name]) for spec in fields(cls)}
    return st.builds(lambda **given: made(cls, given), **drawn)


def made(cls, given):
    try:
        return cls(**given)
    except ConfigError:
        reject()


def value_of(cls, spec, hint):
    if (cls.__name__, spec.name) in KEPT:
        return KEPT[cls.__name__, spec.name]
    kinds = alternatives(hint)
    options = [st.none()] if type(None) in kinds else []
    table = spec.metadata.get("table")
    check = spec.metadata.get("check") or (lambda value: None)
    if table is not None:
        classes = {entry if isinstance(entry, type) else type(entry) for entry in table.values()}
        classes -= {c.Learned, c.Sinusoidal} if cls is c.Attention else set()
        options += [st.deferred(lambda kind=kind: any_of(kind)) for kind in sorted(classes, key=str)]
    elif "choices" in spec.metadata:
        options.append(st.sampled_from(spec.metadata["choices"]))
    elif typing.get_origin(hint) is tuple:
        options.append(st.lists(any_of(typing.get_args(hint)[0]), min_size=1, max_size=2).map(tuple))
    elif bool in kinds:
        options.append(st.booleans())
    elif float in kinds:
        ranges = [(-9.0, -1.0), (0, 0), (1e-9, 0.99), (1, 1), (1.0, 9.0), (2, 9)]
        drawn = [st.integers(*pair) if isinstance(pair[0], int) else st.floats(*pair) for pair in ranges]
        options += [one for one, pair in zip(drawn, ranges, strict=True) if check(pair[0]) is check(pair[1]) is None]
    elif int in kinds:
        options += [st.integers(*pair) for pair in ((0, 0), (1, 2**40)) if check(pair[0]) is None]
    elif str in kinds:
        options.append(st.text(max_size=9))
    else:
        options.append(any_of(kinds[0]))
    return st.one_of(options)


def through_json(part):
    text = json.dumps(to_dict(part), allow_nan=False)
    again = from_dict(type(part), json.loads(text))
    assert again == part and repr(again) == repr(part)
    assert json.dumps(to_dict(again)) == text
    return again


@pytest.mark.parametrize("name", c.PRESETS)
def test_presets_round_trip_bitwise(name):
    config = c.preset(name)
    assert config_from_dict(json.loads(json.dumps(to_dict(config)))) == through_json(config) == config
    assert diff(config, c.preset(name)) == {}


@pytest.mark.parametrize("cls", PARTS, ids=lambda cls: cls.__name__)
@settings(max_examples=10, deadline=None, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_every_part_round_trips(cls, data):
    through_json(data.draw(any_of(cls)))


@settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_random_configurations_round_trip_and_differ_where_they_differ(data):
    one, other = data.draw(any_of(Config)), data.draw(any_of(Config))
    through_json(one)
    assert (diff(one, other) == {}) == (one == other)
    assert {path: (b, a) for path, (a, b) in diff(other, one).items()} == diff(one, other)


def test_every_part_is_drawn_and_every_table_option_is_a_part():
    assert {cls.__name__ for cls in PARTS} >= {
        "Rope",
        "YarnScaling",
        "Gated",
        "Only",
        "Muon",
        "WSD",
        "Xavier",
    }


def test_a_ready_made_option_keeps_its_fields():
    from oneblock.config.serial import read_option

    table = c.feedforward.FEED_FORWARDS
    assert read_option(table, "geglu") == c.Gated(activation="gelu")
    assert read_option(table, {"type": "geglu", "hidden": 7}) == c.Gated(activation="gelu", hidden=7)
    assert to_dict(c.Block(feed_forward=c.Gated(activation="gelu")))["feed_forward"]["type"] == "gated"


def test_floats_keep_their_last_bit():
    for value in (math.pi, 0.1 + 0.2, 5e-324, 1e300):
        assert through_json(c.RMSNorm(eps=value)).eps.hex() == value.hex()


def test_diff_names_paths_and_both_values():
    one = c.presets.nano()
    other = c.override(one, "block.placement=peri", "block.norm=layer", "recipe.seed=7", "width=320")
    assert diff(one, other) == {
        "model.blocks.0.placement": ("pre", "peri"),
        "model.blocks.0.norm": (
            {"type": "rms", "eps": 1e-5, "gain": True, "one_plus": False},
            {"type": "layer", "eps": 1e-5, "gain": True, "bias": True},
        ),
        "recipe.seed": (0, 7),
        "model.width": (256, 320),
    }
    longer = c.override(one, "blocks=2")
    assert set(diff(one, longer)) == {"model.blocks"}
    eps = c.override(one, "block.norm.eps=0.5")
    assert diff(one, eps) == {"model.blocks.0.norm.eps": (1e-5, 0.5)}


GOOD = to_dict(c.presets.nano())


def changed(path, value, *, remove=False):
    data = json.loads(json.dumps(GOOD))
    *way, last = path.split(".")
    place = data
    for name in way:
        place = place[int(name)] if isinstance(place, list) else place[name]
    if remove:
        del place[last]
    else:
        place[int(last) if isinstance(place, list) else last] = value
    return data


@pytest.mark.parametrize(
    ("data", "path", "words"),
    [
        (changed("model.widht", 3), "model.widht", ["is not a field of Decoder", "width"]),
        (changed("model.width", None, remove=True), "model.width", ["is required by Decoder"]),
        (changed("model.width", "256"), "model.width", ["must be a whole number"]),
        (changed("model.width", 256.0), "model.width", ["must be a whole number"]),
        (changed("model.width", True), "model.width", ["must be a whole number"]),
        (changed("model.width", None), "model.width", ["must be a whole number"]),
        (changed("model.tied", 1), "model.tied", ["must be true or false"]),
        (changed("model.type", "oracle"), "model", ["oracle", "is not one of the options", "decoder"]),
        (changed("model.position.type", "rotary"), "model.position", ["rotary", "rope", "alibi"]),
        (changed("model.position.theta", -1.0), "model.position.theta", ["must be above 0"]),
        (
            changed("model.blocks.0.norm", {"eps": 1e-5}),
            "model.blocks.0.norm",
            ["is not one of the options", "rms"],
        ),
        (changed("model.blocks.0.norm", 3), "model.blocks.0.norm", ["is not one of the options"]),
        (
            changed("model.blocks.0.norm", [{"type": "rms"}]),
            "model.blocks.0.norm",
            ["is not one of the options"],
        ),
        (
            changed("model.blocks.0.attention", 3),
            "model.blocks.0.attention",
            ["must be an object", "Attention"],
        ),
        (changed("model.blocks.0.attention", None), "model.blocks.0.attention", ["must be a Attention"]),
        (
            changed("model.blocks.0.placement", "middle"),
            "model.blocks.0.placement",
            ["pre, post, peri, out, none"],
        ),
        (changed("model.blocks.0", 3), "model.blocks.0", ["must be an object", "Block"]),
        (changed("model.blocks", []), "model.blocks", ["at least one block"]),
        (changed("model.blocks", 3), "model.blocks", ["must be a list"]),
        (changed("model.blocks.0.steps", ["attention", 3]), "model.blocks.0.steps.1", ["must be a word"]),
        (changed("model.blocks.0.steps", "attention"), "model.blocks.0.steps", ["must be a list"]),
        (changed("model.blocks.0.steps", []), "model.blocks.0.steps", ["at least one step"]),
        (
            changed("model.blocks.0.attention.num_kv_heads", 3),
            "model.block.attention.num_kv_heads",
            ["1, 2, 4"],
        ),
        (changed("recipe.optimizer.momentum", 1.0), "recipe.optimizer.momentum", ["from 0 to 1", "not included"]),
        (changed("recipe", None), "recipe", ["must be a Recipe"]),
        (changed("model", None, remove=True), "model", ["is not one of the options", "decoder"]),
        ([1, 2], "", ["must be an object"]),
        ({}, "model", ["decoder"]),
    ],
)
def test_bad_json_names_its_place(data, path, words):
    with pytest.raises(ConfigError) as caught:
        config_from_dict(data)
    assert caught.value.path == path
    for word in words:
        assert word in str(caught.value)
