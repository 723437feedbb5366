"""Another library's configuration: whatever stands in a field, the answer is a model or an error that names it."""

import math

import pytest

from oneblock.config.errors import OneblockError
from oneblock.weights.errors import WeightsError
from oneblock.weights.families import FAMILIES
from oneblock.weights.nanogpt import NANOGPT
from oneblock.weights.options import MOST, Options

NANO = {"vocab_size": 11, "block_size": 5, "n_layer": 2, "n_embd": 8, "n_head": 2}
LAYERS = {"num_hidden_layers", "num_layers", "n_layer", "depth"}
WRONG = (
    None, True, 0, -1, 2.5, math.nan, math.inf, "a word", "", [], [1], ["a", [2]], {"a": 1},
    {"rope_type": ["x"]}, {"rope_type": "linear"}, {"rope_theta": "x"}, {"partial_rotary_factor": -3},
    {"rope_type": "llama3", "factor": "a", "low_freq_factor": None, "original_max_position_embeddings": {}},
    {"rope_type": "yarn", "factor": [1]}, {"full_attention": 3}, {"full_attention": {"rope_type": "linear", "factor": 0}},
)  # fmt: skip


class Noting(Options):
    """Which fields are asked for."""

    @property
    def asked(self):
        return self._read - {"model_type"}


@pytest.mark.parametrize("family", [*FAMILIES, NANOGPT], ids=lambda family: family.name)
def test_no_other_error_whatever_a_field_holds(family):
    given = NANO if family is NANOGPT else dict.fromkeys(LAYERS & family.defaults.keys(), 3)
    options = Noting(given, defaults=family.defaults)
    family.read(options)
    assert len(options.asked) > 5
    refused = 0
    for name in options.asked | family.defaults.keys():
        for value in WRONG:
            try:
                family.read(Options(given | {name: value}, "config.json", defaults=family.defaults))
            except OneblockError:
                refused += 1
    assert refused > 3 * len(family.defaults)


def test_counts():
    options = Options({"a": 3, "null": None, "huge": MOST + 1, "flag": True, "share": 2.0}, "here", None, {"b": 5})
    assert [options.count(name, 7) for name in ("a", "b", "null", "none")] == [3, 5, 7, 7]
    for name, words in {
        "huge": f"a whole number from 1 to {MOST}",
        "flag": "a number",
        "share": "a whole number",
    }.items():
        with pytest.raises(WeightsError, match=f"here: {name}=.* must be {words}"):
            options.count(name)
    with pytest.raises(WeightsError, match=r"here: none is missing"):
        options.count("none")
    with pytest.raises(WeightsError, match="from 4 to"):
        options.count("a", least=4)
    assert options.unread() == []


def test_numbers_lists_and_objects():
    options = Options(
        {"a": 3, "zero": 0, "nan": math.nan, "list": ["x"], "mixed": ["x", 1], "object": {"b": 2}}, "here"
    )
    assert (options.positive("a"), options.positive("none", 0.5)) == (3.0, 0.5)
    for name in ("zero", "nan"):
        with pytest.raises(WeightsError, match=f"here: {name}=.* must be a number above 0"):
            options.positive(name)
    assert (options.list_of("list", str), options.list_of("none", str)) == (["x"], [])
    with pytest.raises(WeightsError, match=r"mixed=.* must be a list, each entry a str"):
        options.list_of("mixed", str)
    inner = options.within("object")
    assert (inner.count("b"), options.within("none").fields) == (2, {})
    with pytest.raises(WeightsError, match="here: object: c is missing"):
        inner.need("c")
    with pytest.raises(WeightsError, match="list=.* must be an object with fields"):
        options.within("list")
