"""Student's t against tables and scipy, Holm against its paper's rule, and what the paired test promises."""

import math
import random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from oneblock.compare.statistics import (
    deviation,
    floor_of,
    holm,
    incomplete_beta,
    noise_floor,
    paired,
    spread_quantile,
    t_cdf,
    t_quantile,
)

# Two-sided 5 % and 1 % points, as every textbook prints them.
TABLE = {
    1: (12.706, 63.657),
    2: (4.303, 9.925),
    3: (3.182, 5.841),
    4: (2.776, 4.604),
    7: (2.365, 3.499),
    30: (2.042, 2.750),
}


@pytest.mark.parametrize("freedom", TABLE)
def test_quantiles_are_those_of_the_tables(freedom):
    five, one = TABLE[freedom]
    assert t_quantile(0.975, freedom) == pytest.approx(five, abs=5e-4)
    assert t_quantile(0.995, freedom) == pytest.approx(one, abs=5e-4)
    assert t_quantile(0.005, freedom) == pytest.approx(-one, abs=5e-4)


@given(t=st.floats(-50, 50), freedom=st.integers(1, 200))
@settings(max_examples=150, deadline=None)
def test_the_distribution_is_scipys(t, freedom):
    # scipy's own is 1e-12 off near 0: with one degree of freedom it should be 1/2 + atan(t)/π.
    assert t_cdf(t, freedom) == pytest.approx(stats.t.cdf(t, freedom), abs=1e-10)
    assert t_cdf(t, 1) == pytest.approx(0.5 + math.atan(t) / math.pi, abs=1e-14)


@given(a=st.floats(0.3, 40), b=st.floats(0.3, 40), x=st.floats(0, 1))
@settings(max_examples=150, deadline=None)
def test_the_incomplete_beta_function_is_scipys(a, b, x):
    assert incomplete_beta(a, b, x) == pytest.approx(stats.beta.cdf(x, a, b), abs=1e-11)


@given(probability=st.floats(0.001, 0.999), freedom=st.integers(1, 60))
@settings(max_examples=60, deadline=None)
def test_the_quantile_undoes_the_distribution(probability, freedom):
    assert t_cdf(t_quantile(probability, freedom), freedom) == pytest.approx(probability, abs=1e-11)


def test_a_quantile_of_one_is_refused():
    with pytest.raises(ValueError, match="between 0 and 1"):
        t_quantile(1.0, 3)


def test_paired_differences_are_those_of_scipy():
    a, b = [1.31, 1.27, 1.44, 1.39, 1.30], [1.22, 1.25, 1.29, 1.35, 1.21]
    found = paired(a, b)
    expected = stats.ttest_rel(a, b)
    assert 2 * min(found.beyond(0), found.below(0)) == pytest.approx(expected.pvalue, rel=1e-9)
    low, high = expected.confidence_interval(0.99)
    assert found.interval(0.01) == pytest.approx((low, high), rel=1e-9)
    assert found.beyond(0.05) == pytest.approx(stats.ttest_rel(a, [y + 0.05 for y in b], alternative="greater").pvalue)


def test_one_number_may_stand_for_the_other_side():
    found = paired([2.0, 3.0, 7.0], 1.0)
    assert (found.count, found.mean) == (3, 3.0)
    assert found.error == pytest.approx(deviation([2, 3, 7]) / math.sqrt(3))


def test_what_is_the_same_for_all_seeds_decides_exactly():
    found = paired([0.3, 0.3, 0.3], [0.1, 0.1, 0.1])
    assert (found.error, found.beyond(0.0), found.below(0.0)) == (0.0, 0.0, 1.0)
    assert found.interval(0.01) == pytest.approx((0.2, 0.2))
    assert paired([5.0, 5.0], [5.0, 5.0]).beyond(0.0) == 1.0


@pytest.mark.parametrize(("a", "b"), [([1.0], [2.0]), ([1.0, 2.0], [1.0, 2.0, 3.0])])
def test_seeds_that_cannot_be_paired_are_refused(a, b):
    with pytest.raises(ValueError, match="one for each seed"):
        paired(a, b)


def test_holm_as_worked_by_hand():
    # 4 · 0.005, 3 · 0.01, then 2 · 0.03, and never falling: 0.04 · 1 stays at 0.06.
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([0.9, 0.8]) == [1.0, 1.0]
    assert holm([]) == []


@given(st.lists(st.floats(0, 1), min_size=1, max_size=12))
@settings(deadline=None)
def test_holm_lies_between_nothing_and_bonferroni_and_keeps_the_order(ps):
    adjusted = holm(ps)
    for p, q in zip(ps, adjusted, strict=True):
        assert p <= q <= min(1.0, len(ps) * max(ps))
    assert min(adjusted) == min(1.0, len(ps) * min(ps))
    order = sorted(range(len(ps)), key=lambda i: ps[i])
    assert [adjusted[i] for i in order] == sorted(adjusted)


def test_the_noise_floor_is_what_two_sets_of_one_variant_differ_by():
    draw, beyond, rounds = random.Random(7), 0, 4000
    for _ in range(rounds):
        one, other = ([draw.gauss(2.0, 0.03) for _ in range(5)] for _ in range(2))
        beyond += abs(sum(one) - sum(other)) / 5 > noise_floor(one)
    assert 0.03 < beyond / rounds < 0.07


def test_the_detectable_difference_is_found_about_as_often_as_said():
    draw, found, rounds = random.Random(11), 0, 3000
    error = 0.02 / math.sqrt(8)
    truth = (t_quantile(0.995, 7) + t_quantile(0.8, 7)) * error
    for _ in range(rounds):
        differences = paired([draw.gauss(truth, 0.02) for _ in range(8)], 0.0)
        found += 2 * min(differences.beyond(0), differences.below(0)) <= 0.01
    assert 0.74 < found / rounds < 0.9
    given = paired([draw.gauss(truth, 0.02) for _ in range(8)], 0.0)
    assert given.detectable(0.01) == pytest.approx((t_quantile(0.995, 7) + t_quantile(0.8, 7)) * given.error)


@pytest.mark.parametrize("freedom", [2, 4, 7, 19])
@pytest.mark.parametrize("probability", [0.2, 0.5, 0.8, 0.95])
def test_how_far_a_measured_spread_lies_from_the_true_one(probability, freedom):
    expected = math.sqrt(stats.chi2.ppf(probability, freedom) / freedom)
    assert spread_quantile(probability, freedom) == pytest.approx(expected, rel=0.02)


def test_what_is_found_must_be_above_the_floor_too():
    found = paired([0.1, 0.3, 0.2, 0.4], 0.0)
    plain = found.detectable(0.01)
    assert found.detectable(0.01, floor=1e-6) == plain
    high = found.detectable(0.01, floor=10.0)
    assert high == pytest.approx(10 * spread_quantile(0.8, 3) + t_quantile(0.8, 3) * found.error)
    assert found.detectable(0.01, power=0.9) > plain


def test_the_floor_of_two_is_that_of_their_mean_variance():
    calm, wild = [1.0, 1.1, 0.9, 1.05, 0.95], [3.0, 4.0, 2.0, 3.5, 2.5]
    spread = math.sqrt((np.var(calm, ddof=1) + np.var(wild, ddof=1)) / 2)
    assert noise_floor(calm, wild) == pytest.approx(stats.t.ppf(0.975, 4) * spread * math.sqrt(2 / 5))
    assert noise_floor(wild, calm) == noise_floor(calm, wild) > 5 * noise_floor(calm)
    assert floor_of(np.std(calm, ddof=1), 20) == pytest.approx(
        stats.t.ppf(0.975, 19) * np.std(calm, ddof=1) * math.sqrt(2 / 20)
    )
