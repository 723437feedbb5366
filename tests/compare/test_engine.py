"""The engine from a plan to a verdict: cached, resumed, shared, and not stopped by what diverges."""

import hashlib
import json
import math
import os
import signal
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest

from oneblock.compare import hands, sitting
from oneblock.compare.cell import Cell
from oneblock.compare.engine import TUNING_SEED, compare, timed_on
from oneblock.compare.experiment import BUDGETS, INSIDE, Above, Lower
from oneblock.compare.experiments import EXPERIMENTS
from oneblock.compare.plan import plan, with_rate
from oneblock.compare.store import Store
from oneblock.compare.words import as_json, origin
from oneblock.config.override import override
from oneblock.config.serial import to_dict
from oneblock.data.batches import sample_batch

CLOCKS = ("step_seconds",)


@pytest.fixture
def ran(monkeypatch):
    """The cells that were trained, in order."""
    cells = []
    run = Cell.run

    def counted(self):
        cells.append(self)
        return run(self)

    monkeypatch.setattr(Cell, "run", counted)
    return cells


def bare(result):
    return result["curve"], {name: value for name, value in result["measures"].items() if name not in CLOCKS}


def test_a_whole_comparison(experiment, tiny, store, ran):
    made = plan(experiment({"pre": (), "post": ("block.placement=post",)}), tiny)
    told = []
    outcome = compare(made, store, tell=told.append)
    # Of two rates the best lies at an edge in any case, so each variant is given one beyond it.
    assert len(ran) == 2 * (2 + 1) + 2 * 2 and len(told) == 12
    # The first variant's seeds are first: they tell the noise floor.
    assert [cell.seed for cell in ran] == [TUNING_SEED] * 6 + [0, 1, 0, 1]
    assert told[0].startswith("WARNING: 2 seeds find differences of 65 standard deviations of one")
    (at,) = [number for number, words in enumerate(told) if words.startswith("noise floor: ")]
    assert "seeds 2/4  pre, seed 1" in told[at - 1] and "seeds 3/4  post, seed 0" in told[at + 1]
    assert "2 other seeds change the val_loss of pre by up to" in told[at]
    for label in ("pre", "post"):
        assert outcome.rates[label] == min(outcome.tuned[label], key=outcome.tuned[label].get)
        edge = outcome.rates[label] in (min(outcome.tuned[label]), max(outcome.tuned[label]))
        assert outcome.fair_rate(label) == "its best of 3" + ", at the edge of the grid" * edge
        assert all(0 < value < made.nothing_learned + 1 for value in outcome.values["val_loss"][label])
    assert outcome.noise_floor == outcome.findings[0].floor > 0
    assert outcome.findings[0].difference == pytest.approx(
        np.mean(outcome.values["val_loss"]["pre"]) - np.mean(outcome.values["val_loss"]["post"])
    )


def test_nothing_is_run_twice(experiment, tiny, store, ran):
    made = plan(experiment({"pre": (), "post": ("block.placement=post",)}), tiny)
    first = compare(made, store)
    number = len(ran)
    again = compare(made, store)
    assert len(ran) == number and again.values == first.values and again.findings == first.findings
    # Another experiment with a variant of the same content, and one seed more.
    other = experiment({"peri": ("block.placement=peri",), "as before": ()}, name="another")
    compare(plan(other, tiny, seeds=3), store)
    assert [(cell.config.model.blocks[0].placement, cell.seed) for cell in ran[number:]].count(("pre", 2)) == 1
    assert len(ran) == number + (2 + 1 + 3) + 1


def test_a_cell_is_the_same_whenever_and_under_whatever_name_it_runs(experiment, tiny):
    (variant, _) = plan(experiment({"pre": (), "post": ("block.placement=post",)}), tiny).variants
    cell = Cell(config=variant.config, seed=3, data_sha256="d")
    assert bare(cell.run()) == bare(cell.run())
    assert replace(cell, config=replace(cell.config, name="other")).key == cell.key
    changes = (
        {"seed": 4},
        {"data_sha256": "e"},
        {"asked": ("far",)},
        {"asked": ("layers",)},
        {"fault": "no-mask"},
        {"device": "cuda"},
        {"config": with_rate(cell.config, 3.0)},
    )
    assert len({cell.key, *(replace(cell, **change).key for change in changes)}) == 8


def test_what_was_run_before_there_were_probes_is_found_again(experiment, tiny):
    (variant, _) = plan(experiment({"pre": (), "post": ("block.placement=post",)}), tiny).variants
    cell = Cell(config=variant.config, seed=3, data_sha256="d")
    plain = replace(cell.config, name="", recipe=replace(cell.config.recipe, seed=3))
    for asked, far in (((), False), (("far",), True)):
        content = {"config": to_dict(plain), "data": "d", "far": far, "trains": True, "device": "cpu", "version": 1}
        expected = hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()
        assert replace(cell, asked=asked).key == expected


def test_cells_of_before_keep_their_keys():
    """Of one experiment as it stood when its results were recorded: what is known of a text is found again."""
    config = plan(EXPERIMENTS["placement"], BUDGETS["quick"], settings=["recipe.data=pattern"]).variants[0].config
    cell = Cell(config=config, seed=3, data_sha256="d", asked=("layers", "spikes"))
    content = {
        "config": to_dict(replace(config, name="", recipe=replace(config.recipe, seed=3))),
        "data": "d",
        "far": False,
        "trains": True,
        "device": "cpu",
        "version": 1,
        "asked": ["layers", "spikes"],
    }
    assert cell.key == hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def test_cells_with_experts_keep_theirs_though_routers_have_a_precision_now():
    config = plan(EXPERIMENTS["experts"], BUDGETS["quick"], settings=["recipe.data=pattern"]).variants[0].config
    cell = Cell(config=config, seed=3, data_sha256="d", asked=("experts",))
    plain = to_dict(replace(config, name="", recipe=replace(config.recipe, seed=3)))
    assert plain["model"]["blocks"][0]["feed_forward"].pop("router_precision") == "float32"
    content = {"config": plain, "data": "d", "far": False, "trains": True, "device": "cpu", "version": 1}
    content["asked"] = ["experts"]
    assert cell.key == hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()
    narrow = override(config, "block.feed_forward.router_precision=bfloat16")
    assert replace(cell, config=narrow).key != cell.key


def test_another_version_of_the_measures_is_run_again(experiment, tiny, monkeypatch):
    (variant, _) = plan(experiment({"pre": (), "post": ("block.placement=post",)}), tiny).variants
    cell = Cell(config=variant.config, seed=3, data_sha256="d")
    before = cell.key
    monkeypatch.setattr("oneblock.compare.cell.VERSION", 999)
    assert cell.key != before


def test_variants_see_the_same_batches_in_the_same_order(experiment, tiny, store, monkeypatch):
    seen = {}

    def spied(tokens, *, seed, step, **sizes):
        batch = sample_batch(tokens, seed=seed, step=step, **sizes)
        seen.setdefault((seed, step), []).append(batch)
        return batch

    monkeypatch.setattr("oneblock.train.tasks.next_token.sample_batch", spied)
    compare(plan(experiment({"pre": (), "post": ("block.placement=post",)}), replace(tiny, rates=(1.0,))), store)
    assert len(seen) == 2 * 12 and all(len(batches) == 2 for batches in seen.values())
    for one, other in seen.values():
        assert all(np.array_equal(a, b) for a, b in zip(one, other, strict=True))


def test_a_diverged_run_is_a_result(experiment, tiny, store):
    wild = ("recipe.optimizer.learning_rate=1e30", "block.placement=none", "final_norm=none")
    outcome = compare(plan(experiment({"wild": wild, "tame": ()}), tiny), store)
    assert [run["diverged"] for run in outcome.runs["wild"]] == [True, True]
    assert not any(run["diverged"] for run in outcome.runs["tame"])
    assert all(value >= outcome.plan.nothing_learned for value in outcome.values["val_loss"]["wild"])
    assert outcome.fair_rate("wild") == "diverged at every rate tried" and outcome.rates["wild"] == pytest.approx(1 / 3)
    assert outcome.findings[0].difference > 0


def test_the_same_variant_twice_is_inside_the_noise(experiment, tiny, store, ran):
    outcome = compare(plan(experiment({"one": (), "the same": ("block.placement=pre",)}), tiny), store)
    assert outcome.verdict == INSIDE and outcome.findings[0].difference == 0.0
    assert len(ran) == 2 + 1 + 2, "what is the same is trained once"


def test_an_interrupted_comparison_goes_on_where_it_was(experiment, tiny, store, ran, monkeypatch):
    made = plan(experiment({"pre": (), "post": ("block.placement=post",)}), tiny)

    def stops(words):
        if len(ran) == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        compare(made, store, tell=stops)
    kept = len(ran)
    outcome = compare(made, store)
    assert len(ran) == 10 and kept == 3
    fresh = compare(made, Store(store.path.parent / "fresh"))
    assert [bare(run) for run in outcome.runs["pre"]] == [bare(run) for run in fresh.runs["pre"]]


WORKS = """
import sys
from pathlib import Path
import torch
torch.set_num_threads(1)
from oneblock.compare.engine import compare
from oneblock.compare.own import vary
from oneblock.compare.experiment import Budget
from oneblock.compare.plan import plan
from oneblock.compare.store import Store
from oneblock.compare.words import as_json, origin
budget = Budget(settings=tuple(sys.argv[2:]), seeds=3, rates=(1.0,))
made = plan(vary("block.placement=pre,post,peri", "nano"), budget)
outcome = compare(made, Store(Path(sys.argv[1])), tell=lambda words: print(words, flush=True))
print("END", repr(outcome.values["val_loss"]), flush=True)
"""


def works(folder, tiny):
    command = [sys.executable, "-c", WORKS, str(folder), *tiny.settings]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


def test_processes_share_the_work_and_one_that_is_killed_is_made_up_for(tiny, tmp_path):
    workers = [works(tmp_path / "shared", tiny) for _ in range(2)]
    while "loss" not in (line := workers[0].stdout.readline()):
        assert line and not line.startswith("END")
    os.kill(workers[0].pid, signal.SIGKILL)
    rest, _ = workers[1].communicate(timeout=120)
    workers[0].communicate()
    assert workers[1].returncode == 0
    alone, _ = works(tmp_path / "alone", tiny).communicate(timeout=120)
    assert rest.splitlines()[-1] == alone.splitlines()[-1]
    assert rest.splitlines()[-1].startswith("END")


def test_what_another_process_runs_is_waited_for(experiment, tiny, tmp_path, monkeypatch):
    made = plan(experiment({"pre": (), "post": ("block.placement=post",)}), replace(tiny, rates=(1.0,)))
    ours, theirs = (Store(tmp_path, worker=f"elsewhere:{n}:x") for n in (1, 2))
    keys = [Cell(config=v.config, seed=s, data_sha256=made.data_sha256).key for s in made.seeds for v in made.variants]
    theirs.add({key: {} for key in keys})
    assert theirs.take(keys) == keys[0]
    told, slept = [], []

    def sleep(seconds):
        slept.append(seconds)
        theirs.finish(keys[0], {"measures": {"val_loss": 1.25}, "diverged": False, "curve": []})

    monkeypatch.setattr(hands.time, "sleep", sleep)
    outcome = compare(made, ours, tell=told.append)
    assert len(slept) == 1 and any("waiting for 1 runs" in words for words in told)
    assert outcome.values["val_loss"]["pre"][0] == 1.25


def test_far_texts_are_measured_where_they_are_asked_for(experiment, tiny, store):
    made = experiment(
        {"alibi": ("position=alibi",), "rotary": ()}, rule=(Lower(a="alibi", b="rotary", measure="stretch"),)
    )
    outcome = compare(plan(made, replace(tiny, rates=(1.0,))), store)
    for label in ("alibi", "rotary"):
        for run in outcome.runs[label]:
            assert math.isfinite(run["measures"]["far_loss"]) and abs(run["measures"]["stretch"]) < 2


@pytest.fixture
def planted(monkeypatch):
    """`planted(loss)`: cells that train nothing: `loss(rate, seed, placement)` is their loss everywhere."""

    def plant(loss):
        def run(cell):
            rate = cell.config.recipe.optimizer.learning_rate / 0.012
            value = loss(rate, cell.seed, cell.config.model.blocks[0].placement)
            measures = dict.fromkeys(("val_loss", "selection_loss", "train_loss", "step_seconds"), value)
            return {"measures": measures, "diverged": math.isinf(value), "curve": []}

        monkeypatch.setattr(Cell, "run", run)

    return plant


def pair(experiment, tiny, seeds=2, expects=None, **fields):
    variants = {"pre": (), "post": ("block.placement=post",)}
    rule = (Lower(a="pre", b="post", expects=expects),)
    return plan(experiment(variants, rule=rule), replace(tiny, seeds=seeds, rates=(1 / 3, 1.0, 3.0), **fields))


def test_where_the_best_rate_lies_at_the_edge_one_more_is_tried(experiment, tiny, store, planted):
    best = {"pre": 1.0, "post": 9.0}
    planted(lambda rate, seed, placement: 1 + math.log(rate / best[placement]) ** 2)
    told = []
    outcome = compare(pair(experiment, tiny), store, tell=told.append)
    assert sorted(outcome.tuned["pre"]) == pytest.approx([1 / 3, 1, 3])
    assert sorted(outcome.tuned["post"]) == pytest.approx([1 / 3, 1, 3, 9])
    assert outcome.rates == pytest.approx(best)
    assert outcome.fair_rate("pre") == "its best of 3"
    assert outcome.fair_rate("post") == "its best of 4, at the edge of the grid"
    assert sum("beyond the grid 1/1  post, rate ×9" in words for words in told) == 1


def test_the_grid_grows_downwards_too_and_only_once(experiment, tiny, store, planted):
    planted(lambda rate, seed, placement: math.inf if rate > 0.2 else rate)
    outcome = compare(pair(experiment, tiny), store)
    for label in ("pre", "post"):
        assert outcome.rates[label] == pytest.approx(1 / 9)
        assert outcome.fair_rate(label) == "its best of 4, at the edge of the grid"


def test_what_the_seeds_can_tell_is_said_after_two_of_them(experiment, tiny, store, planted):
    luck = [0.0, 0.1, -0.05, 0.02, 0.03]

    def loss(rate, seed, placement):
        return 2 + rate / 100 + (0.3 + luck[seed % 5] if placement == "post" else 0.001 * seed)

    planted(loss)
    told = []
    outcome = compare(pair(experiment, tiny, seeds=5, expects=0.01), store, tell=told.append)
    (at,) = [number for number, words in enumerate(told) if words.startswith("WARNING")]
    assert "seeds 7/10" in told[at - 1] and "seeds 8/10" in told[at + 1]
    assert "TOO FEW, about" in told[at] and "known from 2, so roughly" in told[at]
    (outlook,) = outcome.outlooks
    assert (outlook.known, outlook.seeds) == (2, 5) and outlook.enough > 5
    # More seeds of the same: known from those, and said before anything is run.
    again = []
    more = compare(pair(experiment, tiny, seeds=6, expects=0.2), store, tell=again.append)
    assert again[0].startswith("power: 6 seeds find differences of")
    assert again[1].startswith("power: ") and "known from 5" in again[1] and "0.2 is claimed: enough" in again[1]
    assert more.outlooks[0].known == 5 and not more.outlooks[0].too_few


def test_seconds_say_where_they_were_taken(experiment, tiny, store, monkeypatch):
    """Timed on one machine, then half of it on another: a warning, and both stand in the report."""
    rule = (Above(a="a", bound=-100.0, measure="cached_training_gain"),)
    made = plan(
        experiment({"a": (), "b": ("block.placement=post",)}, rule=rule, trains=False), replace(tiny, rates=(1.0,))
    )
    told = []
    here = compare(made, store, tell=told.append)
    assert not any("several machines" in words for words in told)
    (name,) = timed_on(here.runs)
    assert name == sitting.where() and name in " ".join(origin(here))
    monkeypatch.setattr(sitting, "where", lambda: "another, 64 of 64 cores")
    more = compare(replace(made, seeds=(0, 1, 2)), store, tell=told.append)
    assert timed_on(more.runs) == sorted([name, "another, 64 of 64 cores"])
    assert any(words.startswith("WARNING: seconds of several machines are compared: ") for words in told)
    assert as_json(more, "", "")["machine"]["timed_on"] == timed_on(more.runs)
    untimed = compare(plan(experiment({"a": (), "b": ("block.placement=post",)}), tiny), store)
    assert timed_on(untimed.runs) == []
