"""Spikes planted in a row of gradient norms are counted."""

import math
from dataclasses import replace

import pytest

from oneblock.compare.measures import spikes


def test_planted_spikes_are_counted_per_thousand_steps(subject):
    norms = [1.0 + 0.1 * (step % 3) for step in range(250)]
    norms[20], norms[100], norms[130], norms[131], norms[200] = 99.0, 4.9, 3.9, 40.0, math.nan
    found = spikes.measure(replace(subject(), norms=norms))
    assert found.measures["spikes"] == pytest.approx(1000 * 3 / 200), "step 20 has not 50 before it, 3.9 is below 4.4"
    curve = found.curves["gradient norm by step"]
    assert len(curve) == 84 and curve[0] == [3.0, 1.2] and curve[6] == [21.0, 99.0]


def test_a_short_run_has_no_count(subject):
    assert math.isnan(spikes.measure(replace(subject(), norms=[1.0] * 50)).measures["spikes"])
