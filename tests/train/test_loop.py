"""The guard at work in the loop, what is kept, and what is told."""

import json
import math

import numpy as np
import pytest
import torch

import oneblock
from oneblock.config.recipe import WSD, Constant, Cosine
from oneblock.runs.checkpoint import load_checkpoint
from oneblock.runs.metrics import MetricsLog
from oneblock.runs.weights import load_weights
from oneblock.train import loop, schedule, session
from oneblock.train.evaluate import evaluate
from oneblock.train.guard import SpikeGuard
from oneblock.train.step import Gradients

STEPS = ("recipe.steps=16", "recipe.evaluate_every=5", "recipe.checkpoint_every=4")


@pytest.fixture
def nervous(monkeypatch):
    """A guard that knows what is normal after 2 steps and goes back after 3 spikes in a row, at most twice."""
    made = lambda: SpikeGuard(minimum=2, window=16, rollback_after=3, max_rollbacks=2)  # noqa: E731
    monkeypatch.setattr(session, "SpikeGuard", made)


@pytest.fixture
def spikes(monkeypatch):
    """`spikes[step] = factor`: the loss of that step (and its gradients) times `factor`, each time or `once`."""
    planned, calls = {}, []
    compute = Gradients.__call__

    def spoilt(self, inputs, targets, step):
        calls.append((step, inputs.clone()))
        loss = compute(self, inputs, targets, step=step)
        factor = planned.get(step, 1.0)
        factor = factor(len(calls)) if callable(factor) else factor
        for parameter in self.model.parameters():
            parameter.grad.mul_(factor)
        return loss * factor

    monkeypatch.setattr(Gradients, "__call__", spoilt)
    planned["calls"] = calls
    return planned


def lines(folder, event):
    return [line for line in MetricsLog(folder / "metrics.jsonl").read() if line["event"] == event]


@pytest.mark.parametrize("factor", [math.nan, math.inf, 1e4])
@pytest.mark.parametrize("optimizer", ["adamw", "muon"])
def test_a_spoilt_step_is_skipped_and_leaves_no_trace(tmp_path, train, nervous, spikes, factor, optimizer):
    spikes[7] = factor
    seen = {}

    def listen(event):
        if event["event"] in ("step", "skip"):
            tensors = training.parts.tensors() if training else {}
            seen[event["step"]] = event["event"], {name: tensor.clone() for name, tensor in tensors.items()}

    training = None
    made = session.Session.__init__

    def init(self, *of, **options):
        nonlocal training
        made(self, *of, **options)
        training = self

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(session.Session, "__init__", init)
        settings = (
            *STEPS,
            f"recipe.optimizer={optimizer}",
            "recipe.average=0.9",
            "recipe.optimizer.learning_rate=0.001",
        )
        result, _ = train(tmp_path / "run", *settings, listen=listen)
    assert [seen[step][0] for step in (7, 8, 9)] == ["step", "skip", "step"]
    for name, tensor in seen[7][1].items():
        assert torch.equal(tensor, seen[8][1][name]), name
    assert any(not torch.equal(tensor, seen[9][1][name]) for name, tensor in seen[8][1].items())
    (skip,) = lines(tmp_path / "run", "skip")
    assert skip["step"] == 8 and ("loss" in skip["reason"] or "gradient" in skip["reason"])
    assert result["finished"] and result["steps"] == 16 and result["tokens"] == 15 * 12 * 8
    assert math.isfinite(result["val_loss"])


def test_several_in_a_row_go_back_and_read_other_text(tmp_path, train, nervous, spikes):
    """Steps 9, 10, 11 are spoilt the first time: back to the checkpoint of 8, then past them."""
    for step in (9, 10, 11):
        spikes[step] = lambda calls: math.nan if calls <= 12 else 1.0
    result, training = train(tmp_path / "run", *STEPS)
    assert result["finished"] and result["diverged"] is None
    assert [line["step"] for line in lines(tmp_path / "run", "skip")] == [10, 11]
    (back,) = lines(tmp_path / "run", "rollback")
    assert back["to_step"] == back["step"] == 8 and back["rollbacks"] == 1 and "in a row" in back["reason"]
    calls = spikes["calls"]
    assert [step for step, _ in calls] == [*range(12), *range(8, 16)]
    for before, after in zip(calls[8:12], calls[12:16], strict=True):
        assert before[0] == after[0] and not torch.equal(before[1], after[1])
    assert training.parts.guard.rollbacks == 1
    assert load_checkpoint(tmp_path / "run").state["guard"]["rollbacks"] == 1


def test_a_rollback_resumes_bitwise(tmp_path, train, nervous, spikes, left, same):
    def spoil(run):
        spikes["calls"].clear()
        for step in (9, 10, 11):
            spikes[step] = lambda calls: math.nan if run == "whole" and calls <= 12 else 1.0

    spoil("whole")
    train(tmp_path / "whole", *STEPS)
    for step in (9, 10, 11):
        spikes[step] = lambda calls: math.nan if calls <= 12 else 1.0
    spikes["calls"].clear()
    train(tmp_path / "parts", *STEPS, stop_at=13)
    assert lines(tmp_path / "parts", "rollback")
    train(tmp_path / "parts", resume=True)
    same(left(tmp_path / "whole"), left(tmp_path / "parts"))


def test_what_was_kept_before_a_rollback_stays_kept(tmp_path, train, nervous, spikes):
    """Kept at step 6; the checkpoint of step 5 does not know it, the disk does; nothing later is better."""
    for step in (6, 7, 8):
        spikes[step] = lambda calls: math.nan if calls <= 9 else 1.0
    settings = ("recipe.steps=10", "recipe.evaluate_every=3", "recipe.checkpoint_every=5")
    with pytest.MonkeyPatch.context() as patch:
        losses = iter([3.0, 2.0, 2.5, 2.9, 2.8])
        compute = loop.Loop.loss_on
        patch.setattr(
            loop.Loop,
            "loss_on",
            lambda self, split, *of: next(losses) if split == "selection" else compute(self, split, *of),
        )
        # Of steps 3, 6, and after the rollback 6, 9, 10.
        result, _ = train(tmp_path / "run", *settings)
    assert lines(tmp_path / "run", "rollback")[0]["to_step"] == 5
    assert (result["kept_step"], result["selection_loss"]) == (6, 2.0)
    assert load_weights(tmp_path / "run", "kept")[1]["step"] == 6


def test_a_longer_horizon_survives_a_rollback(tmp_path, train, nervous, spikes):
    """The checkpoint it goes back to was written when the run was to end at step 6."""
    train(tmp_path / "run", "recipe.steps=6", "recipe.checkpoint_every=100")
    for step in (7, 8, 9):
        spikes[step] = lambda calls: math.nan if calls <= 4 else 1.0
    spikes["calls"].clear()
    result, _ = train(tmp_path / "run", "recipe.steps=12", resume=True)
    assert lines(tmp_path / "run", "rollback") and result["steps"] == 12 and result["finished"]


def test_a_loss_that_stays_nan_ends_the_run_and_leaves_it_whole(tmp_path, train, nervous, spikes):
    for step in range(5, 99):
        spikes[step] = math.nan
    result, _ = train(tmp_path / "run", *STEPS)
    assert not result["finished"] and "rollback number 3" in result["diverged"]
    assert "Lower the learning rate" in result["diverged"] and "step 4" in result["diverged"]
    assert len(lines(tmp_path / "run", "rollback")) == 3 and result["steps"] == 4
    checkpoint = load_checkpoint(tmp_path / "run")
    assert checkpoint.step == 4
    assert all(tensor.isfinite().all() for tensor in checkpoint.tensors.values() if tensor.is_floating_point())
    for step in range(5, 99):
        del spikes[step]
    assert train(tmp_path / "run", resume=True)[0]["finished"]


def test_a_loss_that_stays_high_is_accepted_in_the_end(tmp_path, train, nervous, spikes):
    """After two rollbacks the third streak is the new level, and the run goes on."""
    for step in range(6, 99):
        spikes[step] = 50.0
    result, training = train(tmp_path / "run", *STEPS)
    assert result["finished"] and result["diverged"] is None
    assert training.parts.guard.rollbacks <= 2


def test_without_a_guard_nothing_is_skipped(tmp_path, train, nervous, spikes):
    spikes[7] = math.nan
    result, training = train(tmp_path / "run", *STEPS, "recipe.guard=false", "recipe.sample_every=4")
    assert not lines(tmp_path / "run", "skip") and not lines(tmp_path / "run", "rollback")
    assert result["finished"] and result["kept_step"] == 5, "weights that are NaN are never kept"
    assert any(not p.isfinite().all() for p in training.model.parameters())
    assert math.isfinite(result["val_loss"]) and not math.isfinite(result["final_val_loss"])
    assert "no text" in lines(tmp_path / "run", "sample")[-1]["text"]


def test_nan_from_the_start_keeps_nothing(tmp_path, train, spikes):
    spikes[0] = math.nan
    result, _ = train(tmp_path / "run", *STEPS, "recipe.guard=false")
    assert result["finished"] and result["kept_step"] is None and result["val_loss"] is None


@pytest.mark.parametrize("average", ["none", "0.8"])
def test_the_kept_weights_are_those_of_the_least_selection_loss(tmp_path, train, average):
    """The learning rate is far too high at the end, so that the best step is not the last."""
    settings = ("recipe.steps=30", "recipe.evaluate_every=3", f"recipe.average={average}")
    settings += ("recipe.optimizer.learning_rate=0.3", "recipe.schedule=constant", "recipe.guard=false")
    result, training = train(tmp_path / "run", *settings)
    looks = lines(tmp_path / "run", "evaluate")
    assert len(looks) == 10
    judged = {}
    for look in looks:
        judged[look["step"], False] = look["selection_loss"]
        if average != "none":
            judged[look["step"], True] = look["averaged_selection_loss"]
    step, averaged = min(judged, key=judged.get)
    assert (result["kept_step"], result["kept_weights"]) == (step, "averaged" if averaged else "plain")
    assert result["selection_loss"] == judged[step, averaged]
    assert average == "none" or step < 30 or averaged
    best = min(judged.values())
    flags = [look["step"] for look in looks if look["kept"]]
    assert flags[-1] == step and judged[flags[-1], averaged] == best


def test_val_loss_is_that_of_the_loaded_run(tmp_path, train):
    settings = (*STEPS, "recipe.average=0.8", "recipe.precision=bfloat16", "width=64")
    result, training = train(tmp_path / "run", *settings)
    model = oneblock.load(tmp_path / "run")
    corpus = training.task.corpus
    assert result["val_loss"] == evaluate(model, corpus.validation, context=8)
    assert result["val_perplexity"] == pytest.approx(math.exp(result["val_loss"]), rel=1e-15)
    assert result["train_perplexity"] == pytest.approx(math.exp(result["train_loss"]), rel=1e-15)
    assert result["final_val_loss"] == evaluate(training.model, corpus.validation, context=8, precision=torch.bfloat16)
    assert json.loads((tmp_path / "run/result.json").read_text()) == result


def test_the_validation_split_has_no_say(tmp_path, train):
    """Poisoned so that each step makes it worse: the same weights are kept, the same text is written."""

    def poisoned(event):
        if event["event"] == "start":
            training.task.corpus.__dict__["validation"] = np.random.default_rng(0).integers(0, 14, 120).astype(np.uint8)

    settings = (
        "recipe.steps=24",
        "recipe.evaluate_every=2",
        "recipe.average=0.9",
        "recipe.optimizer.learning_rate=0.1",
    )
    honest, _ = train(tmp_path / "honest", *settings)
    made = session.Session.__init__

    def init(self, *of, **options):
        nonlocal training
        made(self, *of, **options)
        training = self

    training = None
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(session.Session, "__init__", init)
        spoilt, _ = train(tmp_path / "spoilt", *settings, listen=poisoned)
    assert spoilt["val_loss"] > honest["val_loss"] + 0.1
    for key in ("kept_step", "kept_weights", "selection_loss", "train_loss"):
        assert spoilt[key] == honest[key]
    one, other = (load_weights(tmp_path / name, "kept")[0] for name in ("honest", "spoilt"))
    assert all(torch.equal(tensor, other[name]) for name, tensor in one.items())


def test_a_step_is_what_a_plain_loop_does(tmp_path, train, small):
    """Three steps of AdamW with clipping, by PyTorch alone, on the batches that the loop was given."""
    batches = []
    with pytest.MonkeyPatch.context() as patch:
        compute = Gradients.__call__
        patch.setattr(
            Gradients, "__call__", lambda self, x, y, step: (batches.append((x, y)), compute(self, x, y, step=step))[1]
        )
        settings = ("recipe.steps=3", "recipe.clip=0.5", "recipe.optimizer.weight_decay=0", "recipe.guard=false")
        _, training = train(tmp_path / "run", *settings)
    config = training.config
    model = oneblock.build(config, seed=config.recipe.seed)
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.01, betas=(0.9, 0.99), weight_decay=0)
    for step, (inputs, targets) in enumerate(batches):
        optimizer.param_groups[0]["lr"] = 0.01 * schedule.cosine(step, 3, 3, 0.1)
        optimizer.zero_grad()
        torch.nn.functional.cross_entropy(model(inputs).flatten(0, 1), targets.flatten()).backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 0.5)
        optimizer.step()
    for name, parameter in training.model.named_parameters():
        torch.testing.assert_close(parameter, model.get_parameter(name), rtol=1e-5, atol=1e-6)


def test_rate_factors():
    for step in (0, 3, 11, 40, 96):
        assert schedule.factor(Constant(warmup=7), step, 97) == schedule.constant(step, 97, 7)
        assert schedule.factor(Cosine(warmup=7, final=0.2), step, 97) == schedule.cosine(step, 97, 7, 0.2)
        wsd = WSD(warmup=7, decay=0.3, final=0.1, shape="one-minus-sqrt")
        assert schedule.factor(wsd, step, 97) == schedule.wsd(step, 97, 7, 0.3, 0.1, "one-minus-sqrt")


def test_each_batch_is_read_once_an_epoch(tmp_path, train):
    _, training = train(tmp_path / "run", "recipe.steps=1")
    rows = torch.cat([training.loop.batch(step)[0] for step in range(10)])
    assert rows.shape == (120, 8)
    again = training.loop.batch(3)
    assert torch.equal(again[0], training.loop.batch(3)[0]) and torch.equal(again[0][:, 1:], again[1][:, :-1])
    training.parts.guard.rollbacks = 1
    assert not torch.equal(again[0], training.loop.batch(3)[0])


def test_looking_up_at_its_times(tmp_path, train):
    settings = ("recipe.steps=13", "recipe.evaluate_every=4", "recipe.sample_every=5", "recipe.checkpoint_every=6")
    saved = []
    with pytest.MonkeyPatch.context() as patch:
        save = loop.Loop.save
        patch.setattr(loop.Loop, "save", lambda self: (saved.append(self.parts.count.step), save(self)))
        train(tmp_path / "run", *settings)
    assert [line["step"] for line in lines(tmp_path / "run", "evaluate")] == [4, 8, 12, 13]
    assert [line["step"] for line in lines(tmp_path / "run", "sample")] == [5, 10, 13]
    assert saved == [0, 6, 12, 13]
    assert sorted(path.name for path in (tmp_path / "run/checkpoints").iterdir()) == ["step-00000012", "step-00000013"]


REFIT = ("recipe.steps=20", "recipe.evaluate_every=3", "recipe.average=0.9", "recipe.refit=0.4")


def windows(tokens, context=8):
    return {tuple(tokens[start : start + context].tolist()) for start in range(len(tokens) - context)}


def test_refitting_reads_the_held_out_end_and_not_before(tmp_path, train, spikes):
    """Of 20 steps the last 8."""
    _, training = train(tmp_path / "run", *REFIT)
    corpus = training.task.corpus
    known, hidden, validation = (windows(corpus.splits[name]) for name in ("train", "selection", "validation"))
    hidden, validation = hidden - known, validation - known
    read = [[tuple(row) for row in inputs.tolist()] for _, inputs in spikes["calls"]]
    assert not any(row in hidden for rows in read[:12] for row in rows)
    assert any(row in hidden for rows in read[12:] for row in rows)
    assert not any(row in validation for rows in read for row in rows)


def test_a_refit_keeps_the_last_weights_of_the_kind_that_was_better(tmp_path, train):
    """Until the refit the selection split decides; after it nothing is held out that could."""
    result, training = train(tmp_path / "run", *REFIT)
    looks = lines(tmp_path / "run", "evaluate")
    assert [look["step"] for look in looks] == [3, 6, 9, 12, 15, 18, 20]
    assert [look["selection_loss"] is None for look in looks] == [False] * 4 + [True] * 3
    before = {
        (look["step"], kind): look[name]
        for look in looks[:4]
        for kind, name in ((False, "selection_loss"), (True, "averaged_selection_loss"))
    }
    averaged = min(before, key=before.get)[1]
    assert (result["kept_step"], result["kept_weights"]) == (20, "averaged" if averaged else "plain")
    assert result["selection_loss"] == min(before.values())
    kept, _ = load_weights(tmp_path / "run", "kept")
    with training.loop.weights(averaged):
        for name, tensor in training.model.state_dict().items():
            assert torch.equal(tensor, kept[name])


def test_a_refit_that_ends_in_nan_does_not_replace_what_was_kept(tmp_path, train, spikes):
    spikes[14] = math.nan
    result, _ = train(tmp_path / "run", *REFIT, "recipe.guard=false")
    assert result["kept_step"] <= 12 and math.isfinite(result["val_loss"])
    spikes[0] = math.nan
    result, _ = train(tmp_path / "none", *REFIT, "recipe.refit=1", "recipe.guard=false")
    assert result["kept_step"] is None and result["val_loss"] is None


def test_refit_from_the_first_step(tmp_path, train):
    result, _ = train(tmp_path / "run", *REFIT, "recipe.refit=1")
    assert (result["kept_step"], result["kept_weights"]) == (20, "averaged") and result["finished"]
    assert all(look["selection_loss"] is None for look in lines(tmp_path / "run", "evaluate"))
