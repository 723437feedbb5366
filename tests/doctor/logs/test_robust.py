"""Onsets in series whose truth is known, and none in noise."""

import numpy as np
import pytest

from oneblock.doctor.logs.robust import departures, level_shifts, period, quickens, recurring, slow_rise


def falling(seed, count=400, noise=0.05):
    draw = np.random.default_rng(seed)
    return 1.5 + 2 * np.exp(-np.arange(count) / 60) + noise * draw.standard_normal(count)


@pytest.mark.parametrize("noise", [0.01, 0.1])
def test_noise_has_no_onset(noise):
    found = [departures(falling(seed, noise=noise), relative=0.04, absolute=0.02) for seed in range(40)]
    assert sum(map(len, found)) <= 1
    shifts = [level_shifts(falling(seed, noise=noise), relative=0.02, absolute=0.01) for seed in range(40)]
    assert sum(map(len, shifts)) <= 1
    assert not any(slow_rise(falling(seed, noise=noise), relative=0.03) for seed in range(40))
    assert not any(period(falling(seed, noise=noise)) for seed in range(40))


def test_heavy_tails_have_few():
    draw = np.random.default_rng(3)
    x = 2 + 0.05 * draw.standard_t(4, 2000)
    assert len(departures(x, relative=0.04, absolute=0.02)) <= 6


def test_a_spike_is_found_where_it_is_and_returns():
    x = falling(1)
    x[211:214] += [2.0, 3.0, 0.7]
    (found,) = departures(x, relative=0.04)
    assert (found.start, found.peak, found.end) == (211, 212, 213) and found.returns
    assert found.first == pytest.approx(2 / 3, abs=0.05)


def test_what_stays_does_not_return():
    x = falling(2)
    x[307:] += 2
    (found,) = departures(x, relative=0.04)
    assert found.start == 307 and not found.returns


@pytest.mark.parametrize("change", [-0.4, 0.15])
def test_a_level_changes(change):
    x = falling(4)
    x[253:] += change
    ((place, by),) = level_shifts(x, relative=0.02)
    assert abs(place - 253) <= 2 and by == pytest.approx(change, abs=0.06)


def test_a_slow_rise_begins_where_it_is_least():
    x = falling(5)
    x[250:] += np.arange(150) * 0.006
    low, high = slow_rise(x, relative=0.03)
    assert 225 <= low <= 285 and high > 370


def test_what_recurs():
    assert recurring([100, 160, 221, 280]) == pytest.approx(60, abs=1)
    assert recurring([100, 160]) is None and recurring([100, 130, 260, 265]) is None
    x = falling(6) + 0.1 * np.sin(np.arange(400) * 2 * np.pi / 47)
    lag, share = period(x)
    assert abs(lag - 47) <= 2 and share > 0.4


def test_growth_that_quickens():
    x = np.log(3) + 0.004 * np.arange(80)
    assert quickens(x) is None
    x[60:] += 0.08 * np.arange(20)
    assert 50 <= quickens(x) <= 68


def test_values_that_are_no_numbers_are_passed_over():
    x = falling(7)
    x[::17] = np.nan
    x[301] = np.inf
    assert departures(x, relative=0.04) == [] and level_shifts(x, relative=0.02) == []
