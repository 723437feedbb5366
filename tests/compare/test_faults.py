"""Planted faults do what they are called, and nothing else."""

import pytest
import torch

from oneblock.compare.faults import FAULTS, plant
from oneblock.config.errors import OneblockError
from oneblock.config.override import override
from oneblock.config.presets import nano
from oneblock.models.build import build
from oneblock.nn.attend import Fused, WrittenOut
from oneblock.nn.context import Mask

B, G, H, T, K = 2, 2, 4, 5, 3


@pytest.fixture
def qkv():
    torch.manual_seed(1)
    return [torch.randn(B, heads, T, K, dtype=torch.float64) for heads in (H, G, G)]


def test_no_mask_is_attention_to_everything(qkv):
    q, k, v = qkv
    found = FAULTS["no-mask"](0.7, None, 0.0)(q, k, v, Mask(True, None), None)
    expected = torch.nn.functional.scaled_dot_product_attention(q, k, v, scale=0.7, enable_gqa=True)
    assert torch.allclose(found, expected, atol=1e-12)


def test_a_mask_after_the_softmax_leaves_rows_that_do_not_sum_to_one(qkv):
    q, k, v = qkv
    bias = torch.randn(H, T, T, dtype=torch.float64)
    found = FAULTS["mask-after-softmax"](0.7, None, 0.0)(q, k, v, Mask(True, None), bias)
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
    assert sum(isinstance(module, FAULTS["no-mask"]) for module in model.modules()) == 3
    assert not any(isinstance(module, Fused) for module in model.modules())
    capped = build(override(nano(), *sizes, "block.attention.soft_cap=5"), seed=0)
    with pytest.raises(OneblockError, match="soft cap"):
        plant(capped, "no-mask")
