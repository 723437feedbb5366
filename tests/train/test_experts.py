"""Training with mixtures of experts: auxiliary losses, biases that balance, and what the log tells."""

import json

import pytest
import torch

from oneblock.nn.experts.mixture import Mixture
from oneblock.train.step import Gradients

EXPERTS = ("block.feed_forward=top_k", "block.feed_forward.num_experts=3", "block.feed_forward.k=2")


def lines(folder, event):
    read = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    return [line for line in read if line["event"] == event]


def test_loads_drops_and_entropy_are_told_at_every_look(tmp_path, train):
    train(tmp_path / "run", "recipe.steps=6", "recipe.evaluate_every=3", "recipe.accumulation=2", *EXPERTS)
    told = lines(tmp_path / "run", "experts")
    assert [line["step"] for line in told] == [3, 6]
    for line in told:
        assert sum(line["layers"]["0.load"]) == pytest.approx(1, abs=1e-5) and len(line["layers"]["0.load"]) == 3
        assert line["layers"]["0.dropped"] == 0 and 0 < line["layers"]["0.entropy"] < 1.1


def test_biases_move_by_their_rate_at_every_step(tmp_path, train):
    settings = ("block.feed_forward.bias_rate=0.125",)
    _, training = train(tmp_path / "run", "recipe.steps=5", *EXPERTS, *settings)
    mixture = next(module for module in training.model.modules() if isinstance(module, Mixture))
    moved = mixture.choice_bias / 0.125
    assert torch.equal(moved, moved.round()) and 0 < moved.abs().max() <= 5


def test_the_loss_has_the_auxiliary_losses_in_it(tmp_path, train):
    _, training = train(tmp_path / "run", "recipe.steps=2", *EXPERTS)
    batch = training.loop.batch(7)
    whole = float(Gradients(training.model, precision=torch.float32)(*batch, step=0))
    alone = float(training.task.loss(training.model, *batch).detach())
    parts = training.gradients
    parts(*batch, step=0)
    assert whole == pytest.approx(alone + float(parts.records[0].loss().detach()), rel=1e-5) and whole > alone


def test_a_model_without_experts_keeps_no_records(tmp_path, train):
    _, training = train(tmp_path / "run", "recipe.steps=2")
    assert training.gradients.records == [] and not lines(tmp_path / "run", "experts")
