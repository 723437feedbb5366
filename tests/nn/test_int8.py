"""Weights in 8-bit integers: rounded by half a step at most, the same numbers in both forms, every linear map found."""

import pytest
import torch
from torch import nn

import oneblock
from oneblock.config import override, presets
from oneblock.config.errors import OneblockError
from oneblock.nn.int8 import Int8Linear, to_int8
from oneblock.nn.linear import Linear

E, D = 11, 7


def drawn(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def tiny(*settings):
    sizes = ("vocab_size=61", "width=24", "num_layers=2", "context=23", "block.attention.num_heads=2")
    return oneblock.build(override(presets.preset("llama-nano"), *sizes, "block.feed_forward.hidden=37", *settings))


def test_by_hand():
    layer = Int8Linear(torch.tensor([[127.0, -50.4], [0.0, 0.0], [1.27, 0.004]]), torch.tensor([1.0, 2.0, 3.0]))
    assert layer.weight.tolist() == [[127, -50], [0, 0], [127, 0]] and layer.weight.dtype == torch.int8
    torch.testing.assert_close(layer(torch.tensor([2.0, 1.0])), torch.tensor([205.0, 2.0, 5.54]))


@pytest.mark.parametrize("size", [1e-20, 1.0, 1e20])
def test_a_weight_is_off_by_half_a_step_at_most(size):
    weight = drawn(E, D) * size
    layer = Int8Linear(weight, None)
    step = weight.abs().amax(1, keepdim=True) / 127
    assert ((layer.weight * layer.scale.double().unsqueeze(1) - weight).abs() <= 0.5001 * step).all()
    assert layer.weight.abs().amax(1).tolist() == [127] * E


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16])
@pytest.mark.parametrize("bias", [False, True])
@torch.no_grad()
def test_one_row_and_many_are_the_same_product(bias, dtype, monkeypatch):
    layer = Int8Linear(drawn(E, D), drawn(E, seed=1) if bias else None)
    x = drawn(3, 5, D, seed=2).to(dtype)
    right = x.double() @ (layer.weight * layer.scale.double().unsqueeze(1)).mT
    right = right + layer.bias.double() if bias else right
    found = layer(x)
    assert found.dtype == dtype
    tolerance = {"rtol": 1e-2, "atol": 1e-2} if dtype == torch.bfloat16 else {"rtol": 1e-5, "atol": 1e-5}
    torch.testing.assert_close(found, right.to(dtype), **tolerance)
    monkeypatch.setattr(torch.compiler, "is_compiling", lambda: True)
    one = layer(x[:1, :1])
    assert one.shape == (1, 1, E)
    torch.testing.assert_close(one, right[:1, :1].to(dtype), **tolerance)


@pytest.mark.parametrize("tied", ["true", "false"])
@torch.no_grad()
def test_a_model_keeps_its_answers_nearly(tied):
    model, tokens = tiny(f"tied={tied}").eval(), torch.arange(2 * 13).view(2, 13) % 61
    before, table = model(tokens), model.embedding.weight.clone()
    assert to_int8(model) is model and not model.training
    after = model(tokens)
    assert 0 < (after - before).norm() / before.norm() < 0.02
    assert torch.equal(model.embedding.weight, table)
    kinds = [type(module) for module in model.modules()]
    # Queries with keys and values, output, gate, up, down in two blocks, and the head.
    assert kinds.count(Int8Linear) == 2 * 5 + 1 and Linear not in kinds
    made = oneblock.generate(model, tokens, 5, temperature=0.0)
    assert torch.equal(made, oneblock.generate(model, tokens, 5, temperature=0.0, use_cache=False))


def test_where_there_is_nothing_to_hold():
    with pytest.raises(OneblockError, match="Sequential has no linear map"):
        to_int8(nn.Sequential(nn.LayerNorm(3)))
