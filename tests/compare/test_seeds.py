"""Hands that train seeds together: chosen by a trial, shared with other processes, and never in anybody's way."""

import time
from dataclasses import replace

import pytest

from oneblock.compare import seeds
from oneblock.compare.cell import Cell
from oneblock.compare.engine import compare
from oneblock.compare.experiment import Figure, Lower
from oneblock.compare.plan import plan
from oneblock.compare.seeds import Seeds, ratio
from oneblock.compare.store import Store
from oneblock.compare.together import Together
from oneblock.config.errors import OneblockError
from oneblock.train.step import Gradients

MIXED = ("block.feed_forward=switch", "block.feed_forward.num_experts=3")


@pytest.fixture(autouse=True)
def short(monkeypatch):
    """A training is long enough for a trial from 13 steps on."""
    monkeypatch.setattr(seeds, "WORTH", 13)


@pytest.fixture
def made(experiment, tiny):
    """`made(setting, …)`: a plan of two variants and three seeds at one rate; the second has these settings."""

    def make(*settings, steps=13, **fields):
        budget = replace(tiny, settings=(*tiny.settings, f"recipe.steps={steps}"), rates=(1.0,))
        return plan(experiment({"pre": (), "post": ("block.placement=post", *settings)}, **fields), budget, seeds=3)

    return make


@pytest.fixture
def known(made, store):
    """The cells of the first variant, in the store."""
    found = made()
    cells = [Cell(config=found.variants[0].config, seed=s, data_sha256=found.data_sha256) for s in found.seeds]
    by_key = {cell.key: cell for cell in cells}
    store.add({key: {"variant": "pre", "seed": cell.seed} for key, cell in by_key.items()})
    return by_key


@pytest.fixture
def gain(monkeypatch):
    """`gain(number)`: what every trial finds; the cells of each trial are in the list it gives."""

    def find(number):
        tried = []
        monkeypatch.setattr(seeds, "trial", lambda cells: (tried.append(list(cells)), number)[1])
        return tried

    return find


def losses(outcome):
    return [run["measures"]["val_loss"] for label in outcome.plan.labels for run in outcome.runs[label]]


def many(outcome, label):
    return [run.get("together", 1) for run in outcome.runs[label]]


def test_a_comparison_of_seeds_together_is_that_of_seeds_alone(made, store, tmp_path):
    found = made()
    told = []
    outcome = compare(found, store, tell=told.append, hands=Seeds("always", told.append))
    assert many(outcome, "pre") == many(outcome, "post") == [3, 3, 3]
    assert any("seeds 6/6" in words for words in told) and all("together" not in words for words in told)
    alone = compare(found, Store(tmp_path / "alone"))
    assert many(alone, "pre") == [1, 1, 1]
    assert losses(outcome) == pytest.approx(losses(alone), rel=1e-5)
    # What is done is not done again, and what is left of a variant may be a single cell.
    more = replace(found, seeds=(0, 1, 2, 3))
    assert many(compare(more, store, hands=Seeds("always", told.append)), "pre") == [3, 3, 3, 1]


def test_experts_are_trained_one_by_one_and_nothing_stands_in_their_way(made, store, tmp_path):
    found = made(*MIXED)
    told = []
    outcome = compare(found, store, hands=Seeds("always", told.append))
    assert (many(outcome, "pre"), many(outcome, "post")) == ([3, 3, 3], [1, 1, 1])
    assert told == ["seeds of post: one by one, for they cannot be trained together"]
    alone = compare(found, Store(tmp_path / "alone"))
    assert losses(outcome)[3:] == losses(alone)[3:]


def test_never_is_never(made, store, gain):
    tried = gain(9.0)
    outcome = compare(made(), store, hands=Seeds("never", pytest.fail))
    assert many(outcome, "pre") == [1, 1, 1] and not tried


def test_auto_tries_each_variant_once_and_says_what_it_found(made, store, gain):
    tried, told = gain(1.31), []
    outcome = compare(made(), store, hands=Seeds("auto", told.append))
    assert told == ["seeds of pre: together, 1.31 × as fast", "seeds of post: together, 1.31 × as fast"]
    assert [[cell.seed for cell in cells] for cells in tried] == [[0, 1, 2]] * 2
    assert many(outcome, "pre") == many(outcome, "post") == [3, 3, 3]


def test_auto_where_alone_is_as_fast_says_nothing(made, store, gain):
    tried = gain(1.05)
    outcome = compare(made(), store, hands=Seeds("auto", pytest.fail))
    assert many(outcome, "pre") == [1, 1, 1] and len(tried) == 2


def test_what_is_over_before_a_trial_has_paid_is_not_tried(made, store, gain):
    tried = gain(9.0)
    assert many(compare(made(steps=12), store, hands=Seeds("auto", pytest.fail)), "pre") == [1, 1, 1] and not tried


@pytest.mark.parametrize(("alone", "beside", "expected"), [(5.0, 10.0, 1.5), (5.0, 30.0, 0.5)])
def test_a_trial_by_a_clock_that_only_gradients_move(known, monkeypatch, alone, beside, expected):
    now = [0.0]
    monkeypatch.setattr(time, "perf_counter", lambda: now[0])

    def takes(kind, name, seconds):
        method, calls = getattr(kind, name), []

        def slow(self, *args, **options):
            # The first step of a turn waits for what the other side has thrown out.
            now[0] += seconds * (1 if len(calls) % seeds.STEPS else 1000)
            calls.append(1)
            return method(self, *args, **options)

        monkeypatch.setattr(kind, name, slow)
        return calls

    monkeypatch.setattr(Together, "error", lambda self: 0.0)
    ones, others = takes(Gradients, "__call__", alone), takes(Together, "gradients", beside)
    assert seeds.trial(list(known.values())) == pytest.approx(expected)
    assert len(ones) == len(others) == seeds.TURNS * seeds.STEPS


def test_turns_meet_the_same_machine_and_their_first_steps_do_not_count():
    order = []

    def side(name, *turns):
        left = iter(turns)

        def turn():
            order.append(name)
            return next(left)

        return turn

    # In the third turn the machine was busy with something else while it was the one's.
    one = side("one", [90.0, 6.0, 9.0, 60.0], [90.0, 6.0, 9.0, 60.0], [90.0, 99.0, 99.0, 99.0])
    other = side("other", [1.0, 4.0, 6.0, 70.0], [1.0, 5.0, 7.5, 80.0], [1.0, 4.0, 6.0, 7.0])
    assert ratio(one, other) == 9.0 / 7.5
    assert order == ["one", "other"] * seeds.TURNS


def test_what_cannot_be_together_is_found_in_the_trial(made, store):
    found = made(*MIXED)
    config = found.variants[1].config
    assert seeds.trial([Cell(config=config, seed=s, data_sha256=found.data_sha256) for s in (0, 1)]) == 0.0


def test_all_of_a_batch_are_taken_while_it_is_trained_and_open_when_it_is_cut_short(known, store, monkeypatch):
    keys, held = list(known), []
    other = Store(store.path.parent, worker="elsewhere:1:x")
    step = Together.step

    def stopped(self):
        if self.taken == 5:
            held.append(other.take(keys))
            raise KeyboardInterrupt
        return step(self)

    monkeypatch.setattr(Together, "step", stopped)
    with pytest.raises(KeyboardInterrupt):
        Seeds("always", pytest.fail)(known, store, lambda *told: None, pytest.fail)
    assert held == [None] and not store.results(keys)
    assert [other.take([key]) for key in keys] == keys
    other.close()


def test_each_is_finished_as_soon_as_it_is_known_and_the_rest_given_back(known, store):
    keys, told = list(known), []

    def done(key, result, seconds):
        told.append((key, sorted(store.results(keys)) == sorted(keys[: len(told) + 1]), seconds == result["seconds"]))
        if len(told) == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        Seeds("always", pytest.fail)(known, store, done, pytest.fail)
    assert told == [(keys[0], True, True), (keys[1], True, True)]
    assert list(store.results(keys)) == keys[:2] and store.take(keys) == keys[2]


def test_what_others_have_taken_is_left_to_them(known, store, monkeypatch):
    keys = list(known)
    other = Store(store.path.parent, worker="elsewhere:1:x")
    assert other.take([keys[1]]) == keys[1]
    waited = []

    def sleep(seconds):
        other.finish(keys[1], {"measures": {}, "diverged": False, "curve": []})

    monkeypatch.setattr("oneblock.compare.hands.time.sleep", sleep)
    Seeds("always", pytest.fail)(known, store, lambda *told: None, waited.append)
    results = store.results(keys)
    assert [results[key].get("together") for key in keys] == [2, None, 2] and waited == [1]
    other.close()


@pytest.mark.parametrize(
    ("asked", "device", "several", "expected"),
    [
        (None, "cpu", False, "never"),
        (None, "cuda", False, "auto"),
        (None, "cuda", True, "never"),
        ("never", "cuda", False, "never"),
        ("always", "cpu", False, "always"),
        ("never", "cpu", True, "never"),
    ],
)
def test_a_gpu_decides_by_itself_and_a_cpu_is_left_alone(made, asked, device, several, expected):
    assert seeds.when(asked, made().experiment, device, several=several) == expected


@pytest.mark.parametrize(
    "fields",
    [
        {"equal": "time"},
        {"figures": (Figure(title="By second", curves=("loss by second",)),)},
        {"rule": (Lower(a="pre", b="post", measure="step_seconds"),)},
    ],
)
def test_where_seconds_are_compared_every_seed_has_its_own(experiment, fields):
    timed = experiment({"pre": (), "post": ("block.placement=post",)}, **fields)
    assert seeds.when(None, timed, "cuda", several=False) == "never"
    with pytest.raises(OneblockError, match="made-here compares seconds"):
        seeds.when("auto", timed, "cuda", several=False)


def test_it_is_for_one_process(made):
    with pytest.raises(OneblockError, match="leave it out, or --workers and --engine"):
        seeds.when("always", made().experiment, "cpu", several=True)
