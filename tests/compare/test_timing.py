"""Equal time: steps solved for from a trial in turns, kept for this machine alone."""

import itertools
import json
import math
from dataclasses import replace

import pytest

from oneblock.compare import timing
from oneblock.compare.engine import compare
from oneblock.compare.experiments import experiment as found
from oneblock.compare.own import at_equal_time
from oneblock.compare.plan import plan
from oneblock.compare.store import Store
from oneblock.compare.words import as_json, as_text, took
from oneblock.config.errors import OneblockError


@pytest.fixture
def made(experiment, tiny):
    variants = {"pre": (), "deep": ("num_layers=5",), "post": ("block.placement=post",)}
    return plan(experiment(variants, equal="time"), replace(tiny, rates=(1.0,)))


def test_steps_are_solved_for_from_the_seconds_of_one(made):
    timed = timing.same_time(made, {"pre": 0.010, "deep": 0.024, "post": 0.009})
    steps = {variant.label: variant.config.recipe.steps for variant in timed.variants}
    assert steps == {"pre": 12, "deep": 5, "post": 13}
    assert timed.variants[1].solved == "steps=5 of 24 ms" and timed.trial["post"] == 0.009
    # Nothing else of a configuration changes.
    for before, after in zip(made.variants, timed.variants, strict=True):
        assert replace(after.config, recipe=before.config.recipe) == before.config
    slow = timing.same_time(made, {"pre": 0.001, "deep": 9.0, "post": 0.001})
    assert slow.variants[1].config.recipe.steps == 1


def test_variants_take_turns_and_the_median_counts(made):
    turns, clock = [], itertools.count(1)

    def step(variant, device):
        turns.append(variant.label)
        # One turn of all is disturbed.
        return [50.0] * 6 if next(clock) in (4, 5, 6) else [{"pre": 1.0, "deep": 2.5, "post": 1.1}[variant.label]] * 6

    assert timing.trial(made, "cpu", step) == {"pre": 1.0, "deep": 2.5, "post": 1.1}
    assert turns == ["pre", "deep", "post"] * timing.ROUNDS


def test_a_turn_takes_steps_as_a_cell_does(made):
    for variant in made.variants[:2]:
        taken = timing._turn(variant, "cpu")
        assert len(taken) == timing.STEPS - timing.WARM and all(0 < seconds < 30 for seconds in taken)
    of_sequences = plan(found("E16"), found("E16").budgets["quick"], settings=["recipe.data=reversal-5", "width=16"])
    assert len(timing._turn(of_sequences.variants[1], "cpu")) == timing.STEPS - timing.WARM


def test_the_trial_is_kept_for_this_machine_and_taken_up_where_that_is_asked_for(made, tmp_path, monkeypatch):
    trials = []

    def trial(of, device):
        trials.append(device)
        return dict(zip(of.labels, (0.010, 0.024, 0.009 + 0.001 * len(trials)), strict=True))

    monkeypatch.setattr(timing, "trial", trial)
    first = timing.equalised(made, "cpu", tmp_path, resume=False)
    assert timing.equalised(made, "cpu", tmp_path, resume=True) == first and len(trials) == 1
    assert timing.equalised(made, "cpu", tmp_path, resume=False) != first and len(trials) == 2
    # Another device, another model, another machine, and a file that is none: measured anew.
    timing.equalised(made, "cuda", tmp_path, resume=True)
    assert len(trials) == 3
    timing.equalised(made, "cpu", tmp_path, resume=True)
    smaller = replace(made, variants=(replace(made.variants[0], parameters=1), *made.variants[1:]))
    timing.equalised(smaller, "cpu", tmp_path, resume=True)
    assert len(trials) == 5
    kept = json.loads((tmp_path / timing.KEPT).read_text())
    (tmp_path / timing.KEPT).write_text(json.dumps(kept | {"machine": kept["machine"] | {"processor": "another"}}))
    timing.equalised(smaller, "cpu", tmp_path, resume=True)
    (tmp_path / timing.KEPT).write_text("{")
    timing.equalised(smaller, "cpu", tmp_path, resume=True)
    assert len(trials) == 7


def test_a_comparison_at_equal_time_says_what_it_was(made, tmp_path):
    timed = timing.same_time(made, {"pre": 0.010, "deep": 0.024, "post": 0.010})
    store = Store(tmp_path)
    outcome = compare(timed, store)
    store.close()
    assert [run["curve"][-1][0] for run in (of[0] for of in outcome.runs.values())] == [12, 5, 12]
    seconds = took(outcome)
    assert seconds["deep"] == pytest.approx(
        5 * sorted(run["measures"]["step_seconds"] for run in outcome.runs["deep"])[0], rel=9
    )
    words = as_text(outcome)
    assert "equal: training time, by steps solved for in a trial on this machine" in words
    assert f"deep ×{seconds['deep'] / seconds['pre']:.2f}" in words and "steps=5 of 24 ms" in words
    assert as_json(outcome, "r", "c")["trial_step_seconds"] == {"pre": 0.010, "deep": 0.024, "post": 0.010}
    said = timing.said(timed)
    assert "deep 5 of 24 ms" in said and "Another trial finds others" in said
    assert all(math.isfinite(value) for value in seconds.values())


def test_what_trains_nothing_has_no_time_to_hold_equal():
    toys = at_equal_time(found("toys"))
    assert toys.name == "toys-at-equal-time"
    with pytest.raises(OneblockError, match="trains nothing"):
        plan(toys, toys.budgets["quick"])
