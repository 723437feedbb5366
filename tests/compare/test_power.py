"""What seeds can tell: held against how often the judge finds a planted difference of that size."""

import math
import random

import pytest

from oneblock.compare.experiment import SUPPORTED, Above, Alike, Lower
from oneblock.compare.power import MOST, beforehand, outlooks
from oneblock.compare.verdict import judge

LONG = 400
"""Seeds from which a spread is known well."""


def drawn(draw, gap, seeds, own=0.01, shared=0.03):
    luck = [draw.gauss(0, shared) for _ in range(seeds)]
    return {
        "val_loss": {
            "a": [2 + at + draw.gauss(0, own) for at in luck],
            "b": [2 + gap + at + draw.gauss(0, own) for at in luck],
        }
    }


def found(rule, gap, seeds, rounds=400, **spread):
    draw = random.Random(7)
    verdicts = [judge([rule], drawn(draw, gap, seeds, **spread))[0].verdict for _ in range(rounds)]
    return sum(verdict == SUPPORTED for verdict in verdicts) / rounds


@pytest.mark.parametrize("seeds", [3, 5, 11])
@pytest.mark.parametrize("spread", [{}, {"own": 0.04, "shared": 0.0}], ids=["floor decides", "test decides"])
def test_a_difference_of_that_size_is_found_about_four_times_in_five(seeds, spread):
    rule = Lower(a="a", b="b")
    (outlook,) = outlooks([rule], drawn(random.Random(1), 0.0, LONG, **spread), seeds)
    # The shifted t is a little low for few seeds.
    assert 0.7 < found(rule, outlook.smallest, seeds, **spread) < 0.93
    assert found(rule, outlook.smallest / 2, seeds, **spread) < 0.6


def test_a_margin_that_is_wide_enough_is_shown_about_four_times_in_five():
    values = drawn(random.Random(1), 0.0, LONG)
    (outlook,) = outlooks([Alike(a="a", b="b", within=0.03)], values, 5)
    assert outlook.expects == 0.03 and 0.7 < found(Alike(a="a", b="b", within=outlook.smallest), 0.0, 5) < 0.93


def test_enough_is_the_fewest_seeds_that_show_what_is_claimed():
    values = drawn(random.Random(2), 0.0, 6)
    (outlook,) = outlooks([Lower(a="a", b="b", expects=0.02)], values, 3)
    assert outlook.too_few and outlook.smallest > 0.02 and outlook.known == 6
    (enough,) = outlooks([Lower(a="a", b="b", expects=0.02)], values, outlook.enough)
    (fewer,) = outlooks([Lower(a="a", b="b", expects=0.02)], values, outlook.enough - 1)
    assert enough.smallest <= 0.02 < fewer.smallest and not enough.too_few
    assert f"--seeds {outlook.enough}" in outlook.words and "TOO FEW" in outlook.words


def test_what_no_number_of_seeds_shows():
    (hopeless,) = outlooks([Lower(a="a", b="b", expects=1e-6)], drawn(random.Random(2), 0.0, 6), 5)
    assert hopeless.enough is None and f"not even {MOST} would do" in hopeless.words


def test_more_comparisons_need_more():
    values = drawn(random.Random(2), 0.0, 6, own=0.04, shared=0.0)
    (alone,) = outlooks([Lower(a="a", b="b")], values, 5)
    together = outlooks([Lower(a="a", b="b"), Above(a="a", bound=1.0, measure="val_loss")], values, 5)
    assert together[0].smallest > alone.smallest and alone.expects is None and not alone.too_few


def test_a_measure_that_is_no_number_has_no_outlook():
    values = {"growth": {"a": [1.0, math.nan]}}
    assert outlooks([Above(a="a", bound=0.0, measure="growth")], values, 5) == []


def test_what_is_known_before_anything_is_run():
    """In standard deviations of a seed; as often found where pairing helps nothing and a seed's is one."""
    assert beforehand(1, 2).startswith("WARNING: 2 seeds find differences of 65 standard deviations of one")
    assert beforehand(1, 2).endswith("take --seeds 3 or more") and beforehand(6, 2).endswith("take --seeds 4 or more")
    words = beforehand(1, 5)
    assert words == "power: 5 seeds find differences of 3.51 standard deviations of one, four times in five"
    assert 0.7 < found(Lower(a="a", b="b"), 3.51 * 0.02, 5, own=0.02, shared=0.0) < 0.95


def test_two_seeds_are_told_by_all_comparisons_of_a_measure():
    """One pair of seeds lies by chance close together: alone it would promise too much."""
    values = {"val_loss": {"a": [2.0, 2.1], "b": [2.3, 2.4001], "c": [2.2, 2.5], "d": [2.1, 2.45]}}
    rule = [Lower(a="a", b=name, expects=0.04) for name in "bcd"]
    told = outlooks(rule, values, 5)
    assert len({outlook.smallest for outlook in told}) == 1 and told[0].smallest > 0.1
    other = outlooks([*rule, Above(a="a", bound=1.0, measure="val_loss")], values, 5)[3]
    assert other.smallest != told[0].smallest
    four = {"val_loss": {name: of * 2 for name, of in values["val_loss"].items()}}
    assert len({outlook.smallest for outlook in outlooks(rule, four, 5)}) == 3


def test_half_a_nat_is_asked_of_losses_where_the_claim_states_no_size():
    wild = {
        "val_loss": {"a": [2.0, 3.5, 2.4, 2.9], "b": [3.0, 2.1, 3.9, 2.2]},
        "growth": {"a": [1.0, 9.0], "b": [9.0, 2.0]},
    }
    (loss,) = outlooks([Lower(a="a", b="b")], wild, 5)
    assert loss.too_few and "TOO FEW to see less than" in loss.words
    (calm,) = outlooks([Lower(a="a", b="b")], drawn(random.Random(2), 0.0, 6), 5)
    assert not calm.too_few
    (growth,) = outlooks([Lower(a="a", b="b", measure="growth")], wild, 5)
    assert not growth.too_few
