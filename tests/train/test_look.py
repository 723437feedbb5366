"""Looks: what the log says of the inside, against the same computed apart; and that training does not notice."""

import math

import pytest
import torch
from torch import nn

import oneblock
from oneblock.nn.attend import WrittenOut
from oneblock.nn.context import Mask
from oneblock.runs.metrics import MetricsLog
from oneblock.train import look
from oneblock.train.layout import Layout
from oneblock.train.look import Looks, sharpness
from oneblock.train.optimizer import make_optimizer
from oneblock.train.step import Gradients

SETTINGS = ("recipe.steps=12", "recipe.evaluate_every=6", "recipe.checkpoint_every=6")


def looked(folder):
    return [line for line in MetricsLog(folder / "metrics.jsonl").read() if line["event"] == "look"]


@pytest.mark.parametrize(("groups", "soft_cap", "causal"), [(3, None, True), (1, 2.0, True), (3, None, False)])
def test_sharpness_is_that_of_the_written_out_softmax(groups, soft_cap, causal):
    torch.manual_seed(3)
    q, k, v = torch.randn(2, 3, 5, 7) * 2, torch.randn(2, groups, 5, 7), torch.randn(2, groups, 5, 7)
    bias = torch.randn(3, 5, 5)
    mask = Mask(causal, None)
    attend, seen = WrittenOut(0.4, soft_cap, 0.0), {}
    attend.softmax.register_forward_hook(lambda module, given, out: seen.update(scores=given[0], weights=out))
    attend(q, k, v, mask, bias)
    largest, entropy = sharpness(q, k, v, mask, bias, scale=0.4, soft_cap=soft_cap)
    assert largest == pytest.approx(seen["scores"].max().item(), rel=1e-6)
    shares = []
    for row in range(5):
        visible = row + 1 if causal else 5
        p = seen["weights"][:, :, row, :visible].double()
        if visible > 1:
            shares.append(-(p * p.log()).sum(-1) / math.log(visible))
    assert entropy.item() == pytest.approx(torch.stack(shares).mean().item(), rel=1e-5)


def test_a_look_says_what_is_there(small):
    config = oneblock.override(small(), "num_layers=3", "vocab_size=29")
    model = oneblock.build(config, seed=1)
    optimizer = make_optimizer(model, config.recipe.optimizer)
    gradients = Gradients(model, precision=torch.float32)
    looks = Looks(gradients, Layout(model), optimizer, clip=0.05)
    batch = torch.randint(0, 29, (5, 8)), torch.randint(0, 29, (5, 8))
    gradients(*batch, step=0)
    norms = [math.sqrt(sum(float(p.grad.square().sum()) for p in block.parameters())) for block in model.blocks]
    whole = nn.utils.clip_grad_norm_(model.parameters(), 0.05)
    weights = [p.detach().clone() for p in model.blocks[1].parameters()]
    captured, told = oneblock.inspect.capture(model, batch[0][:2]), {}
    looks.before(0, batch, float(whole), "ok")
    optimizer.step()
    looks.after(lambda event, **found: told.update(found, event=event))
    assert told["event"] == "look" and len(told["stream"]) == 4 and len(told["max_logit"]) == 3
    assert told["grad_norms"][:3] == pytest.approx(norms, rel=1e-3)
    for layer in range(3):
        rms = float(captured[f"blocks.{layer}"].square().mean().sqrt())
        assert told["stream"][layer + 1] == pytest.approx(rms, rel=1e-5)
    moved = sum(
        float((p.detach() - old).square().sum()) for p, old in zip(model.blocks[1].parameters(), weights, strict=True)
    )
    norm = sum(float(old.square().sum()) for old in weights)
    assert told["updates"][1] == pytest.approx(math.sqrt(moved / norm), rel=1e-3)


def test_training_does_not_notice(tmp_path, train, left, monkeypatch):
    """Looks at every step, or at none: weights, moments and every loss are the same, bit for bit."""
    settings = (*SETTINGS, "block.dropout=0.1")
    monkeypatch.setattr(look, "EVERY", 1)
    train(tmp_path / "often", *settings)
    monkeypatch.setattr(look, "EVERY", 10**9)
    train(tmp_path / "never", *settings)
    assert len(looked(tmp_path / "often")) == 12 and len(looked(tmp_path / "never")) == 1
    often, never = left(tmp_path / "often"), left(tmp_path / "never")
    assert often["told"] == never["told"]
    assert all(torch.equal(tensor, never["tensors"][name]) for name, tensor in often["tensors"].items())


def test_looks_resume_bitwise(tmp_path, train, monkeypatch):
    monkeypatch.setattr(look, "EVERY", 3)
    train(tmp_path / "whole", *SETTINGS)
    train(tmp_path / "parts", *SETTINGS, stop_at=7)
    train(tmp_path / "parts", resume=True)
    whole, parts = ([{**line, "seconds": 0} for line in looked(tmp_path / name)] for name in ("whole", "parts"))
    assert whole == parts and [line["step"] for line in whole] == [1, 4, 7, 10]


def test_a_refused_step_is_looked_at(tmp_path, train, monkeypatch):
    compute = Gradients.__call__
    monkeypatch.setattr(
        Gradients, "__call__", lambda self, *of, step: compute(self, *of, step=step) * (math.nan if step == 5 else 1)
    )
    train(tmp_path / "run", *SETTINGS)
    found = looked(tmp_path / "run")
    assert [line["step"] for line in found] == [1, 6]
    assert "updates" in found[0] and "updates" not in found[1] and "stream" in found[1]


def test_experts_tell_their_router(tmp_path, train):
    train(tmp_path / "run", *SETTINGS, "block.feed_forward=top_k", "block.feed_forward.num_experts=3")
    found = looked(tmp_path / "run")[0]
    assert 0 < found["router_entropy"][0] <= math.log(3) + 1e-6 and 1 / 3 <= found["router_load"][0] <= 1
