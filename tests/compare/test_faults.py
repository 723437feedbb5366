"""Planted faults do what they are called, and nothing else."""

import pytest
import torch

from oneblock.compare.faults import ATTENDS, plant
from oneblock.compare.measures.subject import streams
from oneblock.config.errors import OneblockError
from oneblock.config.override import override
from oneblock.config.presets import nano, seq2seq_nano
from oneblock.models.build import build
from oneblock.nn.attend import Fused, WrittenOut
from oneblock.nn.attention import Attention
from oneblock.nn.context import Mask
from oneblock.nn.dense import Dense, Gated

B, G, H, T, K = 2, 2, 4, 5, 3


@pytest.fixture
def qkv():
    torch.manual_seed(1)
    return [torch.randn(B, heads, T, K, dtype=torch.float64) for heads in (H, G, G)]


def test_no_mask_is_attention_to_everything(qkv):
    q, k, v = qkv
    found = ATTENDS["no-mask"](0.7, None, 0.0)(q, k, v, Mask(True, None), None)
    expected = torch.nn.functional.scaled_dot_product_attention(q, k, v, scale=0.7, enable_gqa=True)
    assert torch.allclose(found, expected, atol=1e-12)


def test_a_mask_after_the_softmax_leaves_rows_that_do_not_sum_to_one(qkv):
    q, k, v = qkv
    bias = torch.randn(H, T, T, dtype=torch.float64)
    found = ATTENDS["mask-after-softmax"](0.7, None, 0.0)(q, k, v, Mask(True, None), bias)
    wide_k, wide_v = (x.repeat_interleave(H // G, dim=1) for x in (k, v))
    weights = (0.7 * torch.einsum("bhtk,bhsk->bhts", q, wide_k) + bias).softmax(-1).tril()
    assert torch.allclose(found, weights @ wide_v, atol=1e-12)
    assert float(weights.sum(-1)[..., :-1].max()) < 1
    right = WrittenOut(0.7, None, 0.0)(q, k, v, Mask(True, None), bias)
    assert torch.allclose(found[..., -1, :], right[..., -1, :], atol=1e-12), "the last query has nothing blocked"


def test_planted_in_every_attention_and_in_none_without_a_name():
    sizes = ("context=8", "width=12", "num_layers=3", "block.attention.num_heads=2")
    model = build(override(nano(), *sizes), seed=0)
    plant(model, "")
    assert sum(isinstance(module, Fused) for module in model.modules()) == 3
    plant(model, "no-mask")
    assert sum(isinstance(module, ATTENDS["no-mask"]) for module in model.modules()) == 3
    assert not any(isinstance(module, Fused) for module in model.modules())
    capped = build(override(nano(), *sizes, "block.attention.soft_cap=5"), seed=0)
    with pytest.raises(OneblockError, match="soft cap"):
        plant(capped, "no-mask")


def test_a_shift_adds_one_to_every_feature_in_every_layer():
    sizes = ("context=8", "width=12", "num_layers=3", "block.attention.num_heads=2")
    stack = (*sizes, "block.steps=attention", "block.norm=none", "final_norm=none")
    model = build(override(nano(), *stack), seed=0).eval()
    plant(model, "shift")
    tokens = torch.tensor([[2, 7, 1, 8, 2]])
    with streams(model) as seen:
        model(tokens)
    assert len(seen) == 4
    for layer, x in enumerate(seen):
        assert torch.allclose(x, seen[0] + layer)
    attention_only = build(override(nano(), *sizes), seed=0)
    plant(attention_only, "shift")
    assert not any(isinstance(module, Attention) for module in attention_only.modules())
    assert sum(isinstance(module, Dense | Gated) for module in attention_only.modules()) == 3


def test_without_cross_attention_the_source_changes_nothing():
    heads = ("encoder.block.attention", "decoder.block.attention", "decoder.block.cross_attention")
    model = build(override(seq2seq_nano(), "width=12", *(f"{name}.num_heads=2" for name in heads)), seed=0)
    model.eval()
    source, other = torch.tensor([[3, 4, 5, 6]]), torch.tensor([[7, 3, 3, 8]])
    target = torch.tensor([[1, 5, 4]])
    assert not torch.equal(model(source, target), model(other, target))
    numbers = {name: tuple(p.shape) for name, p in model.named_parameters() if "cross_attention." not in name}
    plant(model, "no-cross-attention")
    assert torch.equal(model(source, target), model(other, target))
    left = {name: tuple(p.shape) for name, p in model.named_parameters()}
    assert left == numbers
    plain = build(override(nano(), "context=8", "width=12", "num_layers=1", "block.attention.num_heads=2"), seed=0)
    with pytest.raises(OneblockError, match="a Decoder has nothing to plant it in"):
        plant(plain, "no-cross-attention")
