"""A block of somebody else's in a decoder: the same numbers with a cache, without one, and beside pads."""

import pytest
import torch
from torch import nn

from oneblock.config import override, presets
from oneblock.decoding.generate import generate
from oneblock.decoding.step import Fixed, Plain
from oneblock.models.build import build
from oneblock.models.own import OwnBlock, with_own_blocks

SETTINGS = ("vocab_size=11", "width=15", "num_layers=2", "context=13", "block.attention.num_heads=3")


class Mean(nn.Module):
    """Causal and simple: the mean of what is before, through a matrix."""

    def __init__(self, width, num_heads, hidden):
        super().__init__()
        self.sizes = width, num_heads, hidden
        self.turn = nn.Linear(width, width)

    def forward(self, x):
        count = torch.arange(1, x.shape[1] + 1, dtype=x.dtype)[:, None]
        return x + torch.tanh(self.turn(x.cumsum(1) / count))


@pytest.fixture
def model():
    torch.manual_seed(0)
    config = override(presets.nano(), *SETTINGS, "position=learned", "block.dropout=0", "embedding_dropout=0")
    model = with_own_blocks(build(config, seed=0), Mean).double().eval()
    nn.init.normal_(model.position.weight)
    return model


def test_each_block_is_one_of_theirs_with_the_sizes_of_ours(model):
    assert all(isinstance(block, OwnBlock) for block in model.blocks) and len(model.blocks) == 2
    assert model.blocks[1].own.sizes == (15, 3, 60) and model.blocks[0].own is not model.blocks[1].own


def test_a_cache_changes_nothing_though_the_width_is_odd(model):
    tokens = torch.randint(11, (2, 9))
    whole, cache = model(tokens), model.cache(2)
    parts = [model(part, cache=cache) for part in tokens.split((1, 5, 3), dim=1)]
    assert torch.allclose(torch.cat(parts, 1), whole, atol=1e-12)


def test_rows_beside_pads_are_as_they_are_alone(model):
    tokens = torch.randint(11, (3, 7))
    padding = torch.zeros(3, 7, dtype=torch.bool)
    padding[1, :4] = True
    padding[2] = True
    whole, cache = model(tokens, padding), model.cache(3)
    assert torch.allclose(whole[1:2, 4:], model(tokens[1:2, 4:]), atol=1e-12)
    first = model(tokens[:, :5], padding[:, :5], cache=cache)
    assert torch.allclose(torch.cat([first, model(tokens[:, 5:], padding[:, 5:], cache=cache)], 1)[:2], whole[:2])
    assert torch.isfinite(whole).all()


def test_text_is_the_same_with_a_cache_and_past_the_context(model):
    tokens, padding = torch.randint(11, (2, 5)), torch.tensor([[0, 0, 0, 0, 0], [1, 1, 0, 0, 0]]).bool()
    one, two = (generate(model, tokens, 14, seed=3, padding=padding, use_cache=cached) for cached in (True, False))
    assert torch.equal(one, two)


def test_a_step_of_fixed_shape(model):
    from oneblock.decoding.step import one_token

    tokens, cache = torch.randint(11, (1, 6)), model.cache(1)
    model(tokens[:, :5], cache=cache)
    made = one_token(model, tokens[:, 5], torch.tensor([5]), None, (cache.keys, cache.values, cache.capacity))
    assert torch.allclose(made, model(tokens)[:, 5], atol=1e-12)


class Uncompiled(Fixed):
    compile = False


def test_a_step_of_fixed_shape_with_texts_of_different_lengths(model, monkeypatch):
    tokens = torch.randint(11, (3, 5))
    padding = torch.arange(5) < torch.tensor([[0], [2], [4]])
    plain = generate(model, tokens, 8, seed=3, padding=padding)
    monkeypatch.setattr("oneblock.decoding.generate.Fixed", Uncompiled)
    assert torch.equal(generate(model, tokens, 8, seed=3, padding=padding, compile=True), plain)
    with torch.inference_mode():
        steppers = [make(model, 3, 13, None) for make in (Plain, Uncompiled)]
        begun = [stepper.start(tokens, padding) for stepper in steppers]
        assert torch.allclose(*begun, atol=1e-12)
        for ids in torch.randint(11, (6, 3)):
            assert torch.allclose(*(stepper.next(ids) for stepper in steppers), atol=1e-12)


@pytest.mark.slow
def test_compiled_too(model):
    tokens, padding = torch.randint(11, (2, 5)), torch.arange(5) < torch.tensor([[3], [0]])
    plain = generate(model, tokens, 8, seed=3, padding=padding)
    assert torch.equal(generate(model, tokens, 8, seed=3, padding=padding, compile=True), plain)
