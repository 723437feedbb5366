"""One projection and three: the same function, and the clock is read the right way round."""

import math

import pytest
import torch

from oneblock.compare.measures import projections
from oneblock.nn.attention import Attention


@pytest.mark.parametrize("settings", [(), ("block.attention.bias=true",), ("block.attention.num_kv_heads=1",)])
def test_three_are_the_same_model(subject, settings):
    made = subject(*settings)
    torch.manual_seed(0)
    for name, parameter in made.model.named_parameters():
        if name.endswith("bias"):
            torch.nn.init.normal_(parameter)
    three = projections.with_three(made.model)
    tokens = made.windows(8, 3)
    torch.testing.assert_close(three(tokens), made.model(tokens))
    for model in (three, made.model):
        model(tokens).square().mean().backward()
    attention, plain = (next(m for m in model.modules() if isinstance(m, Attention)) for model in (three, made.model))
    gradient = torch.cat([one.weight.grad for one in attention.qkv.each])
    torch.testing.assert_close(gradient, plain.qkv.weight.grad)
    assert [one.weight.shape[0] for one in attention.qkv.each] == plain.sizes
    assert sum(p.numel() for p in three.parameters()) == sum(p.numel() for p in made.model.parameters())
    assert isinstance(plain.qkv, torch.nn.Linear), "the model that was given keeps its own"


def test_longer_for_three_is_a_gain(subject, monkeypatch):
    asked = []

    def in_turns(things, rounds, device):
        asked.append(rounds)
        outputs = {name: thing() for name, thing in things.items()}
        if len(asked) < 3:
            three, fused = outputs["three"], outputs["fused"]
            assert all(torch.allclose(a, b, atol=1e-5) for a, b in zip(three, fused, strict=True))
            assert fused[0].shape[:2] == ((5, 8) if len(asked) == 1 else (1, 1))
        return {"fused": [1.0] * 3, "three": [float(1 + len(asked))] * 3}

    monkeypatch.setattr(projections, "in_turns", in_turns)
    found = projections.measure(subject("recipe.batch_size=5"))
    names = ("projection_gain", "projection_token_gain", "projection_step_gain", "projection_training_gain")
    assert found.measures == pytest.approx({name: math.log(ratio) for ratio, name in enumerate(names, 2)})
