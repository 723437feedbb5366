import json
import math
import random

import pytest

from oneblock.config.errors import ConfigError
from oneblock.train.guard import SpikeGuard


def curve(seed, steps, correlated=False):
    """A loss that falls by two time constants with noise, and a log-normal gradient norm."""
    draw = random.Random(seed)
    drift = 0.0
    for step in range(steps):
        level = 1.4 + 1.8 * math.exp(-step / 150) + 0.9 * math.exp(-step / 4000)
        drift = 0.9 * drift + draw.gauss(0, 0.02)
        noise = drift if correlated else draw.gauss(0, 0.05)
        norm = (0.4 + 2.0 * math.exp(-step / 100)) * math.exp(draw.gauss(0, 0.25))
        yield level + noise, norm


def settled(steps=300, **options):
    guard = SpikeGuard(**options)
    for loss, norm in curve(0, steps):
        assert guard.verdict(loss, norm) == "ok"
    return guard


@pytest.mark.parametrize("correlated", [False, True])
@pytest.mark.parametrize("seed", [1, 2, 3])
def test_at_most_one_false_alarm_in_twenty_thousand_steps(seed, correlated):
    guard = SpikeGuard()
    alarms = sum(guard.verdict(*values) != "ok" for values in curve(seed, 20_000, correlated))
    assert alarms <= 1
    assert guard.rollbacks == 0


def test_a_warming_up_gradient_norm_is_no_spike():
    guard = SpikeGuard()
    for step in range(1000):
        assert guard.verdict(4.0, 0.5 * (1 + step / 50) * (1 + 0.1 * math.sin(step))) == "ok"


@pytest.mark.parametrize(
    ("loss", "norm", "words"),
    [
        (math.nan, 1.0, "loss is nan"),
        (math.inf, 1.0, "loss is inf"),
        (2.0, math.nan, "gradient norm is nan"),
        (2.0, math.inf, "gradient norm is inf"),
        (9.0, 1.0, "loss 9 is above"),
        (1.9, 300.0, "gradient norm 300 is above"),
    ],
)
def test_a_single_spike_is_skipped_with_its_reason_and_forgotten(loss, norm, words):
    guard = settled()
    before = guard.state()
    assert guard.verdict(loss, norm) == "skip"
    assert words in guard.reason
    assert guard.state() == before | {"consecutive": 1}
    assert guard.verdict(*next(curve(5, 1))) in ("ok", "skip")
    guard = settled()
    guard.verdict(loss, norm)
    assert guard.verdict(before["losses"][-1], math.exp(before["log_norms"][-1])) == "ok"
    assert (guard.reason, guard.consecutive) == ("", 0)


def test_what_is_not_finite_is_refused_from_the_first_step():
    guard = SpikeGuard()
    assert guard.verdict(math.nan, 1.0) == "skip"
    assert guard.state()["losses"] == []


def test_the_limit_is_six_sigma_over_the_window():
    # 64 times 1 and 64 times 3: mean 2, sample deviation √(128/127), and older values have left the window.
    def history():
        guard = SpikeGuard(minimum=128)
        for index in range(228):
            guard.verdict(500.0 if index < 100 else 1.0 + 2 * (index % 2), 1.0)
        return guard

    limit = 2 + 6 * math.sqrt(128 / 127)
    assert history().verdict(limit + 1e-6, 1.0) == "skip"
    assert history().verdict(limit - 1e-6, 1.0) == "ok"
    assert history().verdict(-1e6, 1.0) == "ok"  # below is never a spike


def test_a_flat_history_does_not_flag_small_changes():
    for level in (0.0, 0.01, 1.5, 11.0):
        guard = SpikeGuard()
        for _ in range(200):
            guard.verdict(level, 0.3)
        assert guard.verdict(level + 0.05, 0.4) == "ok"
        assert guard.verdict(2 * level + 1.0, 0.3) == "skip"
        assert guard.verdict(level, 3.0) == "skip"


def test_several_in_a_row_ask_for_a_rollback_but_not_with_a_good_one_between():
    guard = settled(rollback_after=3)
    good = next(curve(0, 1))[0] / 2
    verdicts = [guard.verdict(loss, 0.5) for loss in (9.0, math.nan, good, 9.0, 9.0, 9.0)]
    assert verdicts == ["skip", "skip", "ok", "skip", "skip", "rollback"]
    assert guard.rollbacks == 1
    assert "3 in a row" in guard.reason
    assert "rollback number 1" in guard.reason


def test_a_level_that_has_changed_for_good_costs_one_rollback():
    guard = settled()
    verdicts = [guard.verdict(8.0 + 0.1 * math.sin(step), 40.0) for step in range(400)]
    assert verdicts == ["skip"] * 4 + ["rollback"] + ["ok"] * 395
    assert guard.verdict(30.0, 40.0) == "skip"


def replay(guard, distance, spike):
    """A loop that goes back `distance` steps and meets the same spike again: how often, until it is past."""
    for replays in range(50):
        if replays:
            assert [guard.verdict(*pair) for pair in curve(0, distance)] == ["ok"] * distance
        verdicts = [guard.verdict(spike, 1.0) for _ in range(5)]
        if verdicts[-1] != "rollback":
            return replays
        if guard.exhausted and not math.isfinite(spike):
            return None
    raise AssertionError("the loop never ends")


@pytest.mark.parametrize("distance", [10, 100, 300])
def test_even_an_exact_replay_of_a_spike_ends(distance):
    # In the first `minimum` steps after a rollback the level is learned anew; later it takes all the tries.
    assert replay(settled(max_rollbacks=4), distance, 9.0) == (1 if distance < 32 else 4)


def test_a_nan_that_always_returns_exhausts_the_guard_and_is_never_accepted():
    guard = settled(max_rollbacks=4)
    assert replay(guard, 100, math.nan) is None
    assert guard.exhausted
    assert "ok" not in [guard.verdict(math.nan, 1.0) for _ in range(20)]
    assert guard.rollbacks > guard.max_rollbacks


def test_the_state_passes_through_json_and_goes_on_exactly():
    values = list(curve(4, 600))
    for place in (70, 250, 400, 401, 402):
        values[place] = (50.0, 1.0)
    straight, resumed = SpikeGuard(rollback_after=3), SpikeGuard(rollback_after=3)
    first = [straight.verdict(*pair) for pair in values[:401]]
    resumed.load(json.loads(json.dumps(straight.state())))
    assert first.count("skip") == 3
    assert [resumed.verdict(*pair) for pair in values[401:]] == [straight.verdict(*p) for p in values[401:]]
    assert resumed.state() == straight.state()
    assert straight.rollbacks == 1


def test_a_gradient_of_zero_is_no_spike_and_leaves_no_trace():
    guard = settled()
    assert guard.verdict(1.4, 0.0) == "ok"
    assert min(guard.state()["log_norms"]) > -5


@pytest.mark.parametrize(
    "options",
    [
        {"window": 10, "minimum": 11},
        {"minimum": 1},
        {"sigmas": 0.0},
        {"sigmas": math.nan},
        {"rollback_after": 0},
        {"max_rollbacks": -1},
    ],
)
def test_settings_out_of_bounds_are_refused(options):
    with pytest.raises(ConfigError):
        SpikeGuard(**options)
