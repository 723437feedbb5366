"""Verdicts: right on planted data, wrong no more often than promised, and none inside the noise."""

import math
import random

import pytest
from scipy import stats

from oneblock.compare.experiment import (
    INSIDE,
    REFUTED,
    SUPPORTED,
    UNTESTABLE,
    Above,
    Alike,
    Below,
    Lower,
)
from oneblock.compare.verdict import LEVEL, deciding, judge, overall

SEEDS = 5


def drawn(draw, gaps, seeds=SEEDS, own=0.01, shared=0.03):
    """Losses of variants that lie `gaps` above a: each seed's own luck is shared by all of them in part."""
    luck = [draw.gauss(0, shared) for _ in range(seeds)]
    return {"val_loss": {name: [2.0 + gap + at + draw.gauss(0, own) for at in luck] for name, gap in gaps.items()}}


def share(rule, gaps, verdicts, rounds=1500, **kinds):
    draw = random.Random(3)
    found = [overall(judge(rule, drawn(draw, gaps, **kinds))) for _ in range(rounds)]
    return sum(verdict in verdicts for verdict in found) / rounds


def promised(rounds=1500):
    """The level and three standard errors of a share counted so often."""
    return LEVEL + 3 * math.sqrt(LEVEL * (1 - LEVEL) / rounds)


@pytest.mark.parametrize("shared", [0.0, 0.03])
@pytest.mark.parametrize("seeds", [3, 5, 8])
def test_without_a_difference_a_verdict_is_as_rare_as_promised(seeds, shared):
    decided = share([Lower(a="a", b="b")], {"a": 0, "b": 0}, (SUPPORTED, REFUTED), seeds=seeds, shared=shared)
    assert decided <= promised()


def test_the_promise_holds_for_many_comparisons_at_once():
    names = dict.fromkeys("abcdefg", 0)
    rule = [Lower(a="a", b=name) for name in "bcdefg"]
    assert share(rule, names, (SUPPORTED, REFUTED), shared=0.0) <= promised()


def test_a_difference_at_the_margin_is_called_alike_as_rarely_as_promised():
    rule = [Alike(a="a", b="b", within=0.02)]
    assert share(rule, {"a": 0, "b": 0.02}, (SUPPORTED,)) <= promised()
    assert share(rule, {"a": 0, "b": -0.02}, (REFUTED,)) <= promised()


def test_the_promise_holds_for_rules_of_several_kinds():
    """Each comparison at its own boundary: nothing between a and b, c at the margin, d at the bound."""
    rule = [
        Lower(a="a", b="b"),
        Alike(a="a", b="c", within=0.05),
        Above(a="d", bound=2.1, measure="val_loss"),
        Below(a="d", bound=2.1, measure="val_loss"),
    ]
    draw, decided = random.Random(4), 0
    for _ in range(1500):
        findings = judge(rule, drawn(draw, {"a": 0, "b": 0, "c": 0.05, "d": 0.1}, shared=0.01))
        decided += any(finding.verdict in (SUPPORTED, REFUTED) for finding in findings)
    assert decided / 1500 <= promised()


def test_a_planted_difference_is_found_and_its_direction_is_right():
    rule = [Lower(a="a", b="b")]
    assert share(rule, {"a": 0, "b": 0.12}, (SUPPORTED,), rounds=200) >= 38 / 40
    assert share(rule, {"a": 0.12, "b": 0}, (REFUTED,), rounds=200) >= 38 / 40
    assert share([Alike(a="a", b="b", within=0.08)], {"a": 0, "b": 0}, (SUPPORTED,), rounds=200) >= 38 / 40
    assert share([Alike(a="a", b="b", within=0.02)], {"a": 0, "b": 0.2}, (REFUTED,), rounds=200) >= 38 / 40


def test_no_verdict_inside_the_noise_floor_however_sure():
    # b is always 0.001 worse: certain when paired, and nothing beside what another seed changes.
    losses = [2.00, 2.05, 1.97, 2.02, 2.01]
    values = {"val_loss": {"a": losses, "b": [x + 0.001 + k * 1e-6 for k, x in enumerate(losses)]}}
    (finding,) = judge([Lower(a="a", b="b")], values)
    assert finding.p < 1e-6 and abs(finding.difference) < finding.floor
    assert finding.verdict == INSIDE


def test_the_floor_is_that_of_what_is_compared():
    """c's seeds differ by far more than a's and b's: a difference from it is judged by its own noise."""
    values = drawn(random.Random(6), {"a": 0, "b": 0.3}, own=0.005, shared=0.01)
    values["val_loss"]["c"] = [2.0, 2.9, 2.1, 2.6, 2.2]
    near, far, bound = judge(
        [Lower(a="a", b="b"), Lower(a="a", b="c"), Above(a="b", bound=2.1, measure="val_loss")], values
    )
    assert near.verdict == bound.verdict == SUPPORTED and near.floor < 0.05 > bound.floor
    assert far.verdict == INSIDE and far.floor > 0.3


def test_what_the_seeds_could_not_have_seen_is_not_testable():
    draw = random.Random(5)
    values = drawn(draw, {"a": 0, "b": 0}, own=0.05, shared=0)
    (unsure,) = judge([Lower(a="a", b="b", expects=0.04)], values)
    assert unsure.verdict == UNTESTABLE and unsure.detectable > 0.04
    (large,) = judge([Lower(a="a", b="b", expects=9.0)], values)
    assert large.verdict == INSIDE
    (narrow,) = judge([Alike(a="a", b="b", within=0.01)], values)
    assert narrow.verdict == UNTESTABLE


def test_bounds_and_what_is_the_same_for_all_seeds():
    values = {"growth": {"a": [7.05] * 3}}
    verdicts = [
        finding.verdict
        for finding in judge(
            [Above(a="a", bound=7.0, measure="growth"), Below(a="a", bound=7.0, measure="growth")], values
        )
    ]
    assert verdicts == [SUPPORTED, REFUTED]


def test_a_number_that_is_none_decides_nothing():
    values = {"growth": {"a": [1.0, math.nan, 2.0]}}
    (finding,) = judge([Above(a="a", bound=0.0, measure="growth")], values)
    assert finding.verdict == INSIDE


def test_the_whole_is_supported_only_by_all_and_refuted_by_one():
    draw = random.Random(2)
    values = drawn(draw, {"a": 0.0, "b": 0.3, "c": -0.3, "d": 0.0})
    assert overall(judge([Lower(a="a", b="b")], values)) == SUPPORTED
    findings = judge([Lower(a="a", b="b"), Lower(a="a", b="c")], values)
    assert overall(findings) == REFUTED
    assert deciding(findings).comparison == Lower(a="a", b="c")
    assert overall(judge([Lower(a="a", b="b"), Lower(a="a", b="d")], values)) == INSIDE


def test_one_seed_is_refused():
    with pytest.raises(ValueError, match="two or more"):
        judge([Lower(a="a", b="b")], {"val_loss": {"a": [1.0], "b": [2.0]}})


def test_p_values_are_two_sided_and_corrected_for_their_number():
    values = drawn(random.Random(8), {"a": 0, "b": 0.02, "c": 0.04})
    losses = values["val_loss"]
    plain = [stats.ttest_rel(losses["a"], losses[name]).pvalue for name in "bc"]
    findings = judge([Lower(a="a", b="b"), Lower(a="a", b="c")], values)
    smaller, larger = 2 * min(plain), max(2 * min(plain), max(plain))
    assert sorted(finding.p for finding in findings) == pytest.approx([min(1, smaller), min(1, larger)], rel=1e-9)
    bound = judge([Above(a="a", bound=1.9, measure="val_loss")], values)[0]
    assert bound.p == pytest.approx(stats.ttest_1samp(losses["a"], 1.9).pvalue, rel=1e-9)
