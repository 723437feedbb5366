"""Medians, shares and ratios from made-up measurements, against sums done by hand."""

import io
from dataclasses import replace

import pytest

from oneblock.bench.job import Arm, Job
from oneblock.bench.measure import Entry, Measured
from oneblock.bench.summary import ratio, summarise
from oneblock.bench.table import show
from oneblock.config import presets

FLOPS = {"flops_per_token": 2e6, "version": "1.2", "bytes_per_step": 3e6}
WHERE = {"precision": "bfloat16", "machine": {"processor": "abacus", "threads": 2, "torch": "2"}}


def entry(rival, name, rates, **others):
    arm = Arm(rival=rival, name=name, default=others.pop("default", False))
    return Entry(arm, dict(FLOPS), list(rates), **({"limits": [9e8, 7e8, 8e8]} | others))


def measured(kind="train", *more):
    entries = [
        entry("oneblock", "eager", [10, 40, 20], default=True),
        entry("oneblock", "compiled", [30, 60, 20]),
        *more,
    ]
    job = Job(kind=kind, config=presets.preset("nano"), batch=3)
    return Measured(job, WHERE, entries, [5e8, 6e8, 4e8], [9e8, 7e8, 8e8])


RIVAL = (
    entry("nanoGPT", "as shipped", [10, 10, 10], default=True),
    entry("nanoGPT", "fast", [15, 10, 40]),
)


def test_ratios_are_taken_within_a_round():
    # Of the medians it would be 30/15 = 2; a machine twice as slow in round 2 changes nothing within rounds.
    assert ratio([30, 60, 20], [15, 10, 40]) == {"median": 2.0, "min": 0.5, "max": 6.0}
    assert ratio([20, 10], [10, 5])["median"] == 2
    assert ratio([1.0], []) is None


def test_our_fastest_arm_is_held_against_the_rival_twice():
    result = summarise(measured("train", *RIVAL), 3)
    assert (result["best_arm"], result["tokens_per_second"]) == ("compiled", 30)
    assert result["ratio_default"] == 3.0  # 3, 6, 2
    assert result["ratio_best"] == 2.0  # 2, 6, 0.5
    assert result["against"][0]["ratio_best_range"] == [0.5, 6.0]
    assert result["against"][0]["best_arm"] == "fast"
    assert not result["found_wrong"]


def test_share_of_the_best_peak():
    result = summarise(measured(), 3)
    assert result["peak"] == 6e8 and result["peak_median"] == 5e8
    assert result["share"] == pytest.approx(30 * 2e6 / 6e8)


def test_share_of_the_bandwidth():
    # 30 tokens/s in rows of 3 are 10 steps/s of 3 MB.
    result = summarise(measured("generate"), 3)
    assert result["share"] == pytest.approx(10 * 3e6 / 9e8)


def test_the_share_of_each_round_is_of_its_own_limit():
    result = summarise(measured("generate"), 3)
    rates, limits = [30, 60, 20], [9e8, 7e8, 8e8]
    right = [rate / 3 * 3e6 / limit for rate, limit in zip(rates, limits, strict=True)]
    assert result["share_each_round"] == pytest.approx(right) and len(set(right)) > 1
    out = io.StringIO()
    show(result, out)
    beside = f"of what was read beside each turn: {sorted(right)[1]:.1%} ({min(right):.1%} – {max(right):.1%})"
    assert f"{20 * 3e6 / 9e8:.1%} in the fastest round; {beside}" in out.getvalue()
    out = io.StringIO()
    show(summarise(measured("train"), 3), out)
    assert "of each round's own: " in out.getvalue()
    nothing = measured("generate")
    nothing.entries[1].limits[2] = 0.0
    assert summarise(nothing, 3)["share_each_round"] == []


def test_shares_are_of_the_tokens_after_the_first_where_these_were_timed():
    timed = measured("generate")
    timed.entries[1].later = [33, 63, 24]
    result = summarise(timed, 3)
    assert (result["tokens_per_second"], result["later_per_second"]) == (30, 33)
    assert result["share"] == pytest.approx(11 * 3e6 / 9e8)
    assert result["share_best"] == pytest.approx(21 * 3e6 / 9e8)
    assert result["share_each_round"] == pytest.approx([11 * 3e6 / 9e8, 21 * 3e6 / 7e8, 8 * 3e6 / 8e8])
    out = io.StringIO()
    show(result, out)
    assert "30 tokens/s (33 after the first token), 3.7% of the measured memory bandwidth" in out.getvalue()
    assert "after the first" not in out.getvalue().replace("(33 after the first token)", "").split("measured: ")[0]


def test_weights_of_8_bits_have_a_share_and_are_not_our_best():
    less = entry("oneblock", "int8", [90, 90, 90])
    less.arm, less.facts["bytes_per_step"] = replace(less.arm, precision="int8"), 2e6
    result = summarise(measured("generate", *RIVAL, less), 3)
    assert (result["best_arm"], result["ratio_default"]) == ("compiled", 3.0)
    shares = {arm["name"]: arm["share"] for arm in result["arms"]}
    assert shares == pytest.approx({"eager": 20 * 1e6 / 9e8, "compiled": 10 * 3e6 / 9e8, "int8": 30 * 2e6 / 9e8})
    out = io.StringIO()
    show(result, out)
    assert "of the bandwidth" in out.getvalue() and "6.7%" in out.getvalue()


def test_several_rivals_give_a_dict_and_none_gives_none():
    assert summarise(measured(), 3)["ratio_best"] is None
    other = entry("hf", "as shipped", [5, 5, 5], default=True)
    result = summarise(measured("train", *RIVAL, other), 3)
    assert result["ratio_best"] == {"nanoGPT": 2.0, "hf": 6.0}


def test_what_is_wrong_is_told():
    dead = entry("hf", "as shipped", [], default=True, why="it died", wrong=True)
    result = summarise(measured("train", dead), 3)
    assert result["found_wrong"] and result["ratio_default"] is None
    assert result["against"][0]["arms"][0]["left_out"] == "it died"
    absent = entry("hf", "compiled", [], why="no compiler", wrong=False)
    assert not summarise(measured("train", absent), 3)["found_wrong"]


@pytest.mark.parametrize("kind", ["train", "generate"])
def test_the_table_says_it_all(kind):
    out = io.StringIO()
    show(summarise(measured(kind, *RIVAL), 3), out)
    text = out.getvalue()
    for words in (
        "2.00 × nanoGPT at its best (0.50 – 6.00)",
        "3.00 × nanoGPT as it comes",
        "3 rounds",
        "abacus",
        "MFLOP a token",
    ):
        assert words in text
