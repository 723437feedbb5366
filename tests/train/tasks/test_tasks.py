"""What holds for every objective: it learns, its batches are functions, its pieces add up, its report is written."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch

from oneblock.config.config import Config
from oneblock.config.distribution import Distribution
from oneblock.config.errors import ConfigError
from oneblock.config.objective import NextToken, Pairs
from oneblock.config.presets import nano
from oneblock.runs.errors import RunError
from oneblock.runs.folder import Run
from oneblock.train import session
from oneblock.train.step import Gradients
from oneblock.train.tasks.task import on_device

KINDS = ("masked", "pairs", "denoise")
MEASURES = {
    "masked": ("masked_accuracy", "baseline_accuracy"),
    "pairs": ("phoneme_error_rate", "word_error_rate"),
    "denoise": ("sample_accuracy", "classifier_accuracy"),
}


@pytest.fixture(autouse=True)
def one_thread():
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.mark.parametrize("kind", KINDS)
def test_it_learns_and_its_run_is_whole(kind, tiny, trained):
    result, training = trained(tiny(kind, steps=60), report=True)
    before = training.task.loss_on(session.build(training.config, seed=3), "validation", torch.float32)
    assert result["finished"] and result["val_loss"] < before - 0.05
    assert all(result[name] >= 0 for name in MEASURES[kind])
    path = training.run.path
    for name in training.task.files:
        assert json.loads((path / name).read_text()) == training.task.files[name]
    assert "<svg" in (path / "report.html").read_text()
    assert isinstance(training._sample(), str)
    assert f"oneblock generate {path}" in training.task.try_it(training.run)


@pytest.mark.parametrize("kind", KINDS)
def test_batches_are_functions_of_seed_and_step(kind, tiny):
    task = session.TASKS[type(tiny(kind).recipe.objective)].begin(tiny(kind))[1]
    one, same, other, seeded = (task.batch(*of, whole=False) for of in ((2, 5), (2, 5), (3, 5), (2, 6)))
    assert all(np.array_equal(a, b) for a, b in zip(one, same, strict=True))
    for changed in (other, seeded):
        assert any(a.shape != b.shape or not np.array_equal(a, b) for a, b in zip(one, changed, strict=True))


@pytest.mark.parametrize("kind", KINDS)
def test_pieces_add_up_to_the_whole(kind, tiny):
    config, task = session.TASKS[type(tiny(kind).recipe.objective)].begin(tiny(kind))
    model = session.build(config, seed=1).double().eval()
    with torch.no_grad():
        # Gates that are zero at first would let no gradient through.
        for parameter in model.parameters():
            parameter.add_(
                0.1 * torch.randn(parameter.shape, generator=torch.Generator().manual_seed(parameter.numel()))
            )
    batch = tuple(
        x.double() if x.is_floating_point() else x
        for x in on_device(task.batch(0, 0, whole=False), torch.device("cpu"))
    )
    found = []
    for pieces in (1, 4):
        model.zero_grad()
        gradients = Gradients(
            model, precision=torch.float32, accumulation=pieces, loss=task.loss, num_targets=task.num_targets
        )
        loss = float(gradients(*batch, step=0))
        found.append((loss, [p.grad.clone() for p in model.parameters() if p.grad is not None]))
    assert found[0][0] == pytest.approx(found[1][0], rel=1e-5)
    for one, other in zip(found[0][1], found[1][1], strict=True):
        torch.testing.assert_close(one, other, rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize("kind", KINDS)
def test_it_goes_on_bit_for_bit(kind, tiny, trained):
    whole, _ = trained(tiny(kind, steps=6, checkpoint_every=3), "whole")
    _, training = trained(tiny(kind, steps=3), "parts")
    made = session.reopen(Run.open(training.run.path), lambda config: tiny_steps(config, 6))
    result = session.Session(*made, resume=True, device="cpu").train()
    assert result["val_loss"] == whole["val_loss"] and result["train_loss"] == whole["train_loss"]


def tiny_steps(config, steps):
    return replace(config, recipe=replace(config.recipe, steps=steps))


@pytest.mark.parametrize("kind", KINDS)
def test_changed_data_is_noticed(kind, tiny, trained, data):
    _, training = trained(tiny(kind))
    path = data[kind] / "train-labels-idx1-ubyte" if kind == "denoise" else data[kind]
    raw = bytearray(path.read_bytes())
    raw[-2] = {"denoise": (raw[-2] + 1) % 3}.get(kind, ord("a"))
    path.write_bytes(bytes(raw))
    with pytest.raises(RunError, match="changed since the run began"):
        session.reopen(Run.open(training.run.path), lambda config: config)


def test_an_objective_of_another_model_is_refused(tiny):
    with pytest.raises(ConfigError, match="objective"):
        Config(model=nano().model, recipe=tiny("pairs").recipe)
    with pytest.raises(ConfigError, match="objective"):
        Config(model=tiny("masked").model, recipe=nano().recipe)
    assert isinstance(nano().recipe.objective, NextToken) and isinstance(tiny("pairs").recipe.objective, Pairs)


def test_pairs_are_never_wider_than_their_contexts(tiny, data):
    """The longest source has 11 letters, the context's size; widths are rounded up to 16 and cut."""
    with data["pairs"].open("a") as file:
        file.writelines(f"{'abcdefghab'}{letter}\tA\n" for letter in "abcdefgh")
    config, task = session.TASKS[Pairs].begin(tiny("pairs", batch_size=200, compile="auto"))
    batches = [task.batch(step, 0, whole=False) for step in range(32)]
    assert max(batch[0].shape for batch in batches) == (200, 11)
    assert all(side.shape[1] <= 11 for batch in batches for side in batch)
    model = session.build(config, seed=1)
    assert task.loss_on(model, "train", torch.float32) > 0


@pytest.mark.parametrize("kind", KINDS)
def test_processes_that_share_the_parameters_out_train_as_one(kind, tiny, together, tmp_path):
    results, losses = [], []
    for world, parameters in ((1, "replicated"), (2, "sharded")):
        config = tiny(kind, steps=5, accumulation=2, clip=0.1, distribution=Distribution(parameters=parameters))
        if kind == "denoise":
            # Each process would drop classes of its own.
            config = replace(config, model=replace(config.model, class_dropout=0.0))
        results.append(together(world, tmp_path / f"by{world}", config))
        lines = [json.loads(line) for line in (tmp_path / f"by{world}/metrics.jsonl").read_text().splitlines()]
        losses.append([(line["loss"], line["grad_norm"]) for line in lines if line["event"] == "step"])
    torch.testing.assert_close(torch.tensor(losses[1]), torch.tensor(losses[0]), rtol=1e-5, atol=1e-5)
    for name in ("val_loss", "train_loss", *MEASURES[kind]):
        assert results[1][name] == pytest.approx(results[0][name], rel=1e-5), name
