"""Training from sequence to sequence: the same pairs for every model, judged on targets alone."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch

from oneblock.compare import sequences
from oneblock.compare.cell import Cell
from oneblock.compare.experiments.encoder_decoder import ALONE, WITH_ENCODER
from oneblock.compare.reversal import JUDGE, PAD, Reversal, as_rows, named
from oneblock.config.override import override
from oneblock.models.build import build

TASK = Reversal(longest=5, symbols=5)
KINDS = {"encoder-decoder": WITH_ENCODER, "decoder": ALONE}


def fitted(kind, steps=12, batch=7, task=TASK):
    recipe = ("recipe.data=reversal-5", "recipe.guard=false", f"recipe.steps={steps}", f"recipe.batch_size={batch}")
    return task.fitted(override(KINDS[kind], "width=12", *recipe, "recipe.seed=3"))


@pytest.mark.parametrize("kind", KINDS)
def test_answers_are_those_of_each_pair_alone_without_padding(kind):
    model = build(fitted(kind), seed=1).double()
    pairs = TASK.pairs(JUDGE, 0, 0, 11)
    found = sequences.answers(model, pairs)
    assert found.shape == (11, 6, TASK.vocab_size)
    for index, n in enumerate(pairs.lengths):
        source, given = (
            torch.from_numpy(x[index : index + 1, : n + d]) for x, d in ((pairs.sources, 0), (pairs.inputs, 1))
        )
        alone = model(source, given) if kind != "decoder" else model(torch.cat([source, given], dim=1))[:, n:]
        assert torch.allclose(found[index, : n + 1], alone[0], atol=1e-12)


def test_judged_is_the_loss_and_the_share_of_the_target_tokens():
    model = build(fitted("decoder"), seed=1).double()
    pairs = TASK.pairs(JUDGE, 0, 0, 11)
    logits, total, right = sequences.answers(model, pairs), 0.0, 0
    for index, n in enumerate(pairs.lengths):
        for place in range(n + 1):
            target = int(pairs.targets[index, place])
            total -= float(logits[index, place].detach().log_softmax(-1)[target])
            right += int(logits[index, place].argmax()) == target
    count = int((pairs.lengths + 1).sum())
    loss, told = sequences.judged(model, pairs)
    # Losses are taken in float32.
    assert loss == pytest.approx(total / count, rel=1e-5) and told == pytest.approx(right / count)


@pytest.mark.parametrize("kind", KINDS)
def test_a_training_learns_and_is_the_same_again(kind):
    config = fitted(kind, steps=60, batch=16)
    result = sequences.train(config, TASK)
    assert not result["diverged"] and result["measures"]["val_loss"] < result["curve"][0][1] - 0.5
    assert len(result["curve"]) == 60 and 0 < result["measures"]["told"] < 1
    again = sequences.train(config, TASK)
    assert again["curve"] == result["curve"]
    other = sequences.train(override(config, "recipe.seed=4"), TASK)
    assert other["curve"] != result["curve"]


def test_every_model_is_given_the_same_pairs(monkeypatch):
    seen = {}

    def spied(model, pairs, answers=sequences.answers):
        seen.setdefault(type(model).__name__, []).append(pairs)
        return answers(model, pairs)

    monkeypatch.setattr(sequences, "answers", spied)
    for kind in KINDS:
        sequences.train(fitted(kind, steps=3), TASK)
    one, other = seen.values()
    assert len(one) == len(other) == 3 + 2
    for a, b in zip(one, other, strict=True):
        assert all(np.array_equal(x, y) for x, y in zip(a, b, strict=True))
    assert (as_rows(one[0])[0] == PAD).any()


def test_the_first_step_is_that_of_the_optimiser_written_out():
    config = fitted("encoder-decoder", steps=1)
    optimizer = config.recipe.optimizer
    plain = replace(optimizer, weight_decay=0.0)
    config = replace(config, recipe=replace(config.recipe, optimizer=plain, clip=None))
    result = sequences.train(config, TASK)
    model = build(config, seed=3)
    pairs = TASK.pairs(0, 3, 0, 7)
    logits = sequences.answers(model, pairs)
    valid = torch.from_numpy(pairs.valid)
    loss = torch.nn.functional.cross_entropy(logits[valid], torch.from_numpy(pairs.targets)[valid])
    loss.backward()
    norm = math.sqrt(sum(float(p.grad.square().sum()) for p in model.parameters() if p.grad is not None))
    assert result["curve"] == [[1, pytest.approx(float(loss), rel=1e-6)]]
    assert result["measures"]["grad_norm"] == pytest.approx(norm, rel=1e-5)
    # One step in, a warm-up of half the run: AdamW's first step is the rate times the gradient's sign.
    rate = optimizer.learning_rate
    with torch.no_grad():
        for p in model.parameters():
            if p.grad is not None:
                p -= rate * p.grad / (p.grad.abs() + plain.eps)
    assert result["measures"]["val_loss"] == pytest.approx(
        sequences.judged(model, TASK.pairs(JUDGE, 0, 0, sequences.JUDGED))[0], rel=1e-4
    )


def test_a_loss_that_is_no_number_ends_it_and_is_a_result():
    config = override(
        fitted("decoder", steps=40), "recipe.optimizer.learning_rate=1e30", "block.placement=none", "final_norm=none"
    )
    result = sequences.train(config, TASK)
    assert result["diverged"] and len(result["curve"]) < 40


def test_a_cell_of_a_task_is_trained_on_it_and_its_fault_planted():
    config = fitted("encoder-decoder", steps=5, task=named("reversal-5"))
    cell = Cell(config=config, seed=3, data_sha256=TASK.sha256)
    blind = replace(cell, fault="no-cross-attention")
    assert cell.run()["curve"] == sequences.train(config, named("reversal-5"))["curve"] != blind.run()["curve"]
