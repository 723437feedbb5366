"""Attention in several heads: the reference against what others compute."""

import pytest
import torch

from oneblock.learn.exercises import text_of


@pytest.mark.parametrize("shape", [(5, 5), (2, 5, 5), (2, 1, 5, 5), (2, 6, 5, 5)])
def test_the_reference_is_torchs_own(shape):
    names: dict = {}
    exec(text_of("multi_head", "reference"), names)
    module = names["MultiHeadAttention"](18, 6, 3).double()
    x, mask = torch.randn(2, 5, 18).double(), torch.rand(shape) < 0.5
    mask |= torch.eye(5, dtype=torch.bool)
    q, k, v = module.qkv(x).split([18, 9, 9], -1)
    q, k, v = (part.unflatten(-1, (-1, 3)).transpose(1, 2) for part in (q, k, v))
    lined = mask[:, None] if mask.dim() == 3 else mask
    right = torch.nn.functional.scaled_dot_product_attention(q, k, v, attn_mask=lined, enable_gqa=True)
    torch.testing.assert_close(module(x, mask), module.output(right.transpose(1, 2).flatten(2)))
