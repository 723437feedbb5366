"""What seeds can tell: held against how often the judge finds a planted difference of that size."""

import math
import random

import pytest

from oneblock.compare.experiment import SUPPORTED, Above, Alike, Lower
from oneblock.compare.power import MOST, outlooks
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
    verdicts = [judge([rule], drawn(draw, gap, seeds, **spread), "a")[0].verdict for _ in range(rounds)]
    return sum(verdict == SUPPORTED for verdict in verdicts) / rounds


@pytest.mark.parametrize("seeds", [3, 5, 11])
@pytest.mark.parametrize("spread", [{}, {"own": 0.04, "shared": 0.0}], ids=["floor decides", "test decides"])
def test_a_difference_of_that_size_is_found_about_four_times_in_five(seeds, spread):
    rule = Lower(a="a", b="b")
    (outlook,) = outlooks([rule], drawn(random.Random(1), 0.0, LONG, **spread), "a", seeds)
    # The shifted t is a little low for few seeds.
    assert 0.7 < found(rule, outlook.smallest, seeds, **spread) < 0.93
    assert found(rule, outlook.smallest / 2, seeds, **spread) < 0.6


def test_a_margin_that_is_wide_enough_is_shown_about_four_times_in_five():
    values = drawn(random.Random(1), 0.0, LONG)
    (outlook,) = outlooks([Alike(a="a", b="b", within=0.03)], values, "a", 5)
    assert outlook.expects == 0.03 and 0.7 < found(Alike(a="a", b="b", within=outlook.smallest), 0.0, 5) < 0.93


def test_enough_is_the_fewest_seeds_that_show_what_is_claimed():
    values = drawn(random.Random(2), 0.0, 6)
    (outlook,) = outlooks([Lower(a="a", b="b", expects=0.02)], values, "a", 3)
    assert outlook.too_few and outlook.smallest > 0.02 and outlook.known == 6
    (enough,) = outlooks([Lower(a="a", b="b", expects=0.02)], values, "a", outlook.enough)
    (fewer,) = outlooks([Lower(a="a", b="b", expects=0.02)], values, "a", outlook.enough - 1)
    assert enough.smallest <= 0.02 < fewer.smallest and not enough.too_few
    assert f"--seeds {outlook.enough}" in outlook.words and "TOO FEW" in outlook.words


def test_what_no_number_of_seeds_shows():
    (hopeless,) = outlooks([Lower(a="a", b="b", expects=1e-6)], drawn(random.Random(2), 0.0, 6), "a", 5)
    assert hopeless.enough is None and f"not even {MOST} would do" in hopeless.words


def test_more_comparisons_need_more():
    values = drawn(random.Random(2), 0.0, 6, own=0.04, shared=0.0)
    (alone,) = outlooks([Lower(a="a", b="b")], values, "a", 5)
    together = outlooks([Lower(a="a", b="b"), Above(a="a", bound=1.0, measure="val_loss")], values, "a", 5)
    assert together[0].smallest > alone.smallest and alone.expects is None and not alone.too_few


def test_a_measure_that_is_no_number_has_no_outlook():
    values = {"growth": {"a": [1.0, math.nan]}}
    assert outlooks([Above(a="a", bound=0.0, measure="growth")], values, "a", 5) == []
