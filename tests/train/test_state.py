"""All of a training into a checkpoint and back, bit for bit."""

import pytest
import torch

from oneblock.config.errors import OneblockError
from oneblock.config.recipe import AdamW, Muon
from oneblock.models.build import build
from oneblock.runs.checkpoint import load_checkpoint, save_checkpoint
from oneblock.train.average import WeightAverage
from oneblock.train.guard import SpikeGuard
from oneblock.train.horizon import Horizon
from oneblock.train.optimizer import make_optimizer
from oneblock.train.state import Count, Kept, Training

HORIZON = Horizon(steps=7, evaluate_every=3, sample_every=5, checkpoint_every=2)


def made(small, option=AdamW(), *, seed=1, average=True, steps=0):  # noqa: B008 - frozen
    model = build(small("recipe.steps=1", "vocab_size=11").model, seed=seed)
    ema = WeightAverage(model.named_parameters(), 0.9) if average else None
    parts = Training(model, make_optimizer(model, option), ema, SpikeGuard())
    for step in range(steps):
        generator = torch.Generator().manual_seed(step)
        for parameter in model.parameters():
            parameter.grad = torch.randn(parameter.shape, generator=generator)
        parts.optimizer.set_lr_factor(1 / (step + 3))
        parts.optimizer.step()
        if ema:
            ema.update()
        parts.guard.verdict(3.0 + step / 7, 0.1)
    return parts


@pytest.mark.parametrize("option", [AdamW(), Muon()])
@pytest.mark.parametrize("average", [True, False])
@pytest.mark.parametrize("kept", [None, Kept(step=2, averaged=True, selection_loss=1 / 3, val_loss=float("nan"))])
def test_there_and_back(tmp_path, small, option, average, kept):
    before = made(small, option, average=average, steps=3)
    before.horizon, before.count = HORIZON, Count(step=3, tokens=291, seconds=0.1, compile_seconds=0.7, kept=kept)
    save_checkpoint(tmp_path, 3, before.tensors(), before.scalars())
    after = made(small, option, average=average, seed=2)
    after.load(load_checkpoint(tmp_path))
    mine, theirs = before.tensors(), after.tensors()
    assert mine.keys() == theirs.keys()
    assert all(torch.equal(tensor, theirs[name]) for name, tensor in mine.items())
    assert after.horizon == HORIZON and repr(after.count) == repr(before.count)
    assert repr(after.scalars()) == repr(before.scalars()) and after.guard.state() == before.guard.state()


def test_every_kind_of_tensor_is_there(small):
    names = set(made(small, steps=1).tensors())
    qkv = "blocks.0.attention.qkv.weight"
    assert {f"model.{qkv}", f"optimizer.{qkv}.exp_avg", f"optimizer.{qkv}.exp_avg_sq", f"average.{qkv}"} <= names


def test_a_rollback_remembers_three_things(tmp_path, small):
    parts = made(small, steps=3)
    parts.horizon, parts.count = HORIZON, Count(step=3)
    save_checkpoint(tmp_path, 3, parts.tensors(), parts.scalars())
    saved = {name: tensor.clone() for name, tensor in parts.tensors().items()}
    longer = Horizon(steps=70, evaluate_every=3, sample_every=5, checkpoint_every=2)
    kept = Kept(step=4, averaged=False, selection_loss=1.0, val_loss=1.1)
    parts.horizon, parts.count = longer, Count(step=5, tokens=9, kept=kept)
    parts.guard.rollbacks = 2
    with torch.no_grad():
        next(parts.model.parameters()).zero_()
    parts.roll_back(load_checkpoint(tmp_path))
    assert all(torch.equal(tensor, saved[name]) for name, tensor in parts.tensors().items())
    assert (parts.count.step, parts.count.tokens) == (3, 0)
    assert parts.horizon == longer and parts.count.kept == kept and parts.guard.rollbacks == 2


def test_another_optimizer_is_refused(tmp_path, small):
    save_checkpoint(tmp_path, 3, *(lambda parts: (parts.tensors(), parts.scalars()))(made(small, steps=1)))
    with pytest.raises(OneblockError, match="AdamW.*Muon"):
        made(small, Muon()).load(load_checkpoint(tmp_path))
