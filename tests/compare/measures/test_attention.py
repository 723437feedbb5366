"""The spread of scores and the slope of their softmax, where both are known."""

import math

import pytest

from oneblock.compare.measures import attention


def test_even_weights_have_all_of_the_slope(subject):
    made = subject("block.attention.scale=1e-9")
    found = attention.measure(made)
    assert found.measures["softmax_slope"] == pytest.approx(1.0)
    assert [x for x, _ in found.curves["slope by layer"]] == [1.0, 2.0, 3.0]


def test_scores_a_thousand_times_as_large_have_a_million_times_the_variance_and_hardly_a_slope(subject):
    plain, wide = (attention.measure(subject(f"block.attention.scale={scale}", "num_layers=1")) for scale in (1, 1000))
    grown = wide.measures["score_variance"] - plain.measures["score_variance"]
    assert grown == pytest.approx(2 * math.log(1000))
    assert wide.measures["softmax_slope"] < 0.05 < plain.measures["softmax_slope"] < 1
