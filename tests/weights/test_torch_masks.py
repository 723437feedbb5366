import pytest
import torch
import torch.nn.functional as F
from torch import nn

from oneblock.weights.torch_masks import allowed_from_torch, bias_from_torch, torch_context, torch_from_allowed

INF = float("inf")
ALLOWED = torch.tensor([[True, False, False], [True, True, False]])


def test_the_senses_are_opposite_and_there_and_back_is_the_same():
    assert torch.equal(torch_from_allowed(ALLOWED), ~ALLOWED)
    assert torch.equal(torch_from_allowed(ALLOWED, "allowed"), ALLOWED)
    for sense in ("blocked", "allowed"):
        assert torch.equal(allowed_from_torch(torch_from_allowed(ALLOWED, sense), sense), ALLOWED)
    added = torch.zeros(2, 3).masked_fill(~ALLOWED, -INF)
    for sense in ("blocked", "allowed"):
        assert torch.equal(allowed_from_torch(added, sense), ALLOWED)


def test_the_senses_are_those_of_the_two_functions():
    # One query, two keys; whoever attends to the first key alone gives its value back.
    torch.manual_seed(0)
    q, v = torch.randn(1, 1, 4), torch.randn(1, 2, 4)
    first = torch.tensor([[True, False]])
    wanted = v[:, :1]
    got = F.scaled_dot_product_attention(q, v, v, attn_mask=torch_from_allowed(first, "allowed"))
    torch.testing.assert_close(got, wanted)
    layer = nn.MultiheadAttention(4, 1, batch_first=True)
    nn.init.eye_(layer.out_proj.weight)
    value = F.linear(v, layer.in_proj_weight[8:], layer.in_proj_bias[8:])
    torch.testing.assert_close(layer(q, v, v, attn_mask=torch_from_allowed(first, "blocked"))[0], value[:, :1])


def test_a_mask_is_a_copy():
    allowed_from_torch(ALLOWED, "allowed")[:] = False
    assert ALLOWED.any()


def test_the_finite_part_of_a_float_mask_is_its_bias():
    mask = torch.tensor([[0.0, -INF], [1.5, -2.0]])
    assert torch.equal(bias_from_torch(mask), torch.tensor([[0.0, 0.0], [1.5, -2.0]]))
    assert torch.equal(allowed_from_torch(mask), torch.tensor([[True, False], [True, True]]))
    assert bias_from_torch(torch.tensor([[0.0, -INF]])) is None and bias_from_torch(~ALLOWED) is None
    assert bias_from_torch(torch.tensor([0.0, torch.finfo(torch.float32).min])) is not None


def test_what_is_no_mask_is_refused():
    with pytest.raises(TypeError, match="a mask is boolean or float, got torch.int64"):
        allowed_from_torch(torch.tensor([0, 1]))
    with pytest.raises(TypeError, match="allowed must be boolean"):
        torch_from_allowed(torch.zeros(2))
    with pytest.raises(ValueError, match="sense='true' must be one of blocked, allowed"):
        allowed_from_torch(ALLOWED, "true")
    x = torch.zeros(2, 3, 4)
    with pytest.raises(ValueError, match="with B=2; got 3 × 3 × 3"):
        torch_context(x, mask=torch.zeros(3, 3, 3))
    with pytest.raises(ValueError, match="a key padding mask is B × S with B=2; got 3"):
        torch_context(x, key_padding_mask=torch.zeros(3, dtype=torch.bool))
    with pytest.raises(ValueError, match="memory_mask adds finite numbers"):
        torch_context(x, memory_BSD=x, memory_mask=torch.ones(3, 3))
