"""The written-out and the fused attention, against numpy, PyTorch and hand-made numbers."""

import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from oneblock.nn.attend import Fused, WrittenOut, make_attend
from oneblock.nn.context import Mask
from oneblock.nn.one_query import for_each_head

B, H, G, T, S, K = 2, 6, 3, 5, 7, 11
Q = torch.tensor([[1, 0], [0, 1], [1, 1]]).double()[None, None]
KEYS = torch.tensor([[1, 1], [1, 0], [0, 2]]).double()[None, None]
VALUES = torch.tensor([[1, 2], [3, 4], [5, 6]]).double()[None, None]
ALL, CAUSAL = Mask(False, None), Mask(True, None)


def both(soft_cap=None, scale=2**-0.5, dropout=0.0):
    forms = [WrittenOut(scale, soft_cap, dropout).eval()]
    return forms if soft_cap else [*forms, Fused(scale, dropout).eval()]


def window(size, num_queries=3, num_keys=3):
    distance = torch.arange(num_queries)[:, None] + num_keys - num_queries - torch.arange(num_keys)
    return Mask(False, (distance >= 0) & (distance < size))


@pytest.mark.parametrize(
    ("mask", "cap", "weights", "out"),
    [
        (
            ALL,
            None,
            [[0.401112, 0.401112, 0.197776], [0.283995, 0.140029, 0.575975], [0.401112, 0.197776, 0.401112]],
            [[2.593327, 3.593327], [3.583960, 4.583960], [3, 4]],
        ),
        (
            CAUSAL,
            None,
            [[1, 0, 0], [0.669762, 0.330238, 0], [0.401112, 0.197776, 0.401112]],
            [[1, 2], [1.660477, 2.660477], [3, 4]],
        ),
        (
            CAUSAL,
            1.0,
            [[1, 0, 0], [0.647681, 0.352319, 0], [0.362826, 0.274348, 0.362826]],
            [[1, 2], [1.704639, 2.704639], [3, 4]],
        ),
        (
            window(2),
            None,
            [[1, 0, 0], [0.669762, 0.330238, 0], [0, 0.330238, 0.669762]],
            [[1, 2], [1.660477, 2.660477], [4.339523, 5.339523]],
        ),
    ],
    ids=["full", "causal", "soft cap", "window"],
)
def test_vectors(mask, cap, weights, out):
    for attend in both(cap):
        seen = []
        if isinstance(attend, WrittenOut):
            attend.softmax.register_forward_hook(lambda module, given, found, seen=seen: seen.append(found))
        found = attend(Q, KEYS, VALUES, mask, None)[0, 0]
        torch.testing.assert_close(found, torch.tensor(out).double(), atol=6e-7, rtol=0)
        for row in seen:
            torch.testing.assert_close(row[0, 0], torch.tensor(weights).double(), atol=6e-7, rtol=0)


def drawn(seed=0, keys=S):
    torch.manual_seed(seed)
    q, k, v = torch.randn(B, H, T, K), torch.randn(B, G, keys, K), torch.randn(B, G, keys, K)
    return [x.double().requires_grad_() for x in (q, k, v)]


def by_numpy(q, k, v, *, scale, cap=None, bias=0.0, allowed=None):
    """One head at a time, one query at a time."""
    q, k, v = (x.detach().numpy() for x in (q, k, v))
    bias = np.broadcast_to(np.asarray(bias, dtype=float), (B, H, T, k.shape[2]))
    out = np.zeros(q.shape)
    for b, h, t in np.ndindex(B, H, T):
        group = h // (H // G)
        scores = k[b, group] @ q[b, h, t] * scale
        scores = cap * np.tanh(scores / cap) if cap else scores
        powers = np.exp(scores + bias[b, h, t])
        if allowed is not None:
            powers = powers * np.broadcast_to(allowed.numpy(), bias.shape)[b, h, t]
        out[b, h, t] = powers / powers.sum() @ v[b, group]
    return torch.from_numpy(out)


@pytest.mark.parametrize("cap", [None, 2.0])
@pytest.mark.parametrize("biased", [False, True])
@pytest.mark.parametrize("masked", ["all", "triangle", "window", "rows"])
def test_against_numpy(masked, biased, cap):
    keys = T if masked == "triangle" else S
    q, k, v = drawn(keys=keys)
    rows = torch.rand(B, 1, T, keys, generator=torch.Generator().manual_seed(2)) < 0.6
    rows[..., 0] = True
    mask = {"all": ALL, "triangle": CAUSAL, "window": window(3, T, keys), "rows": Mask(False, rows)}[masked]
    bias = torch.randn(H, T, keys, generator=torch.Generator().manual_seed(1)).double() if biased else None
    allowed = torch.ones(T, keys).tril() if masked == "triangle" else mask.allowed
    expected = by_numpy(q, k, v, scale=0.3, cap=cap, bias=0.0 if bias is None else bias, allowed=allowed)
    for attend in both(cap, scale=0.3):
        torch.testing.assert_close(attend(q, k, v, mask, bias).detach(), expected)


def test_against_torch_with_groups():
    q, k, v = drawn()
    allowed = window(4, T, S).allowed
    expected = F.scaled_dot_product_attention(q, k, v, attn_mask=allowed, enable_gqa=True)
    expected_gradients = torch.autograd.grad(expected.square().sum(), (q, k, v))
    for attend in both(scale=K**-0.5):
        found = attend(q, k, v, Mask(False, allowed), None)
        torch.testing.assert_close(found, expected)
        gradients = torch.autograd.grad(found.square().sum(), (q, k, v))
        for one, other in zip(gradients, expected_gradients, strict=True):
            torch.testing.assert_close(one, other)


def test_neighbouring_heads_share_a_group():
    q = torch.zeros(1, 6, 1, 2)
    k, v = torch.zeros(1, 3, 1, 2), torch.arange(3.0).view(1, 3, 1, 1).expand(1, 3, 1, 2)
    for attend in both():
        assert attend(q, k, v, ALL, None)[0, :, 0, 0].tolist() == [0, 0, 1, 1, 2, 2]


def test_the_cap_comes_before_the_mask_and_the_bias():
    """A masked score stays −∞ and a bias is not bounded by the cap."""
    q, k, v = drawn()
    attend = WrittenOut(1.0, 0.5, 0.0)
    allowed = torch.zeros(T, S, dtype=torch.bool)
    allowed[:, 2] = True
    torch.testing.assert_close(
        attend(q, k, v, Mask(False, allowed), None), v[:, :, 2:3].repeat_interleave(2, 1).expand(q.shape)
    )
    bias = torch.zeros(H, T, S).double()
    bias[..., 4] = 1e3
    torch.testing.assert_close(attend(q, k, v, ALL, bias), v[:, :, 4:5].repeat_interleave(2, 1).expand(q.shape))


@pytest.mark.parametrize("size", [1e4, -1e4])
def test_large_scores_stay_finite(size):
    q, k, v = drawn()
    for attend in both():
        found = attend(q * size, k * abs(size), v, ALL, None)
        gradients = torch.autograd.grad(found.sum(), (q, k, v))
        assert found.isfinite().all() and all(gradient.isfinite().all() for gradient in gradients)


def test_softmax_is_taken_in_float32_for_halves():
    q, k, v = (x.detach().bfloat16() for x in drawn())
    seen = []
    attend = WrittenOut(1.0, None, 0.0)
    attend.softmax.register_forward_hook(lambda module, given, found: seen.append(found))
    assert attend(q, k, v, ALL, None).dtype == torch.bfloat16
    assert seen[0].dtype == torch.float32
    torch.testing.assert_close(seen[0].sum(-1), torch.ones(B, H, T))


def test_weights_by_hook_are_those_that_are_used():
    q, k, v = drawn()
    seen = []
    attend = WrittenOut(0.7, None, 0.0)
    attend.softmax.register_forward_hook(lambda module, given, found: seen.append(found))
    torch.testing.assert_close(attend(q, k, v, ALL, None), seen[0] @ v.repeat_interleave(2, 1))


@pytest.mark.parametrize("fused", [False, True])
def test_dropout_on_weights_without_renormalising(fused):
    attend = make_attend(scale=1.0, soft_cap=None, dropout=0.5, fused=fused)
    torch.manual_seed(0)
    q = torch.zeros(7, 2, 101, 3)
    k, v = torch.zeros(7, 2, 13, 3), torch.ones(7, 2, 13, 3)
    out = attend(q, k, v, ALL, None)
    shares = out[..., 0] * 13 / 2
    torch.testing.assert_close(shares, shares.round(), atol=1e-4, rtol=0)
    assert out.mean().item() == pytest.approx(1.0, abs=0.05) and out.std() > 0.1
    attend.eval()
    torch.testing.assert_close(attend(q, k, v, ALL, None), torch.ones_like(q))


@torch.no_grad()
@pytest.mark.parametrize("training", [False, True])
def test_a_compiled_step_by_sums_is_not_for_dropout(training, monkeypatch):
    """Sums drop nothing: a model that is compiled in training mode, without gradients, must not take them."""
    monkeypatch.setattr(torch.compiler, "is_compiling", lambda: True)
    taken = []
    monkeypatch.setattr("oneblock.nn.one_query.attend", lambda q, *others: taken.append(True) or q)
    torch.manual_seed(0)
    q, k, v = torch.zeros(1, 2, 1, 3), torch.zeros(1, 2, 997, 3), torch.ones(1, 2, 997, 3)
    out = Fused(1.0, 0.5).train(training)(q, k, v, ALL, None)
    assert bool(taken) is not training
    assert not training or (out - 1).abs().max() > 1e-4
    taken.clear()
    Fused(1.0, 0.0).train(training)(q, k, v, ALL, None)
    assert taken


def test_keys_for_each_head():
    x = torch.arange(3.0).view(1, 3, 1, 1)
    assert for_each_head(x, torch.zeros(1, 6, 5, 1)).flatten().tolist() == [0, 0, 1, 1, 2, 2]
    assert for_each_head(x, torch.zeros(1, 3, 5, 1)) is x


def test_which_form_is_taken():
    assert isinstance(make_attend(scale=1.0, soft_cap=None, dropout=0.0, fused=True), Fused)
    assert isinstance(make_attend(scale=1.0, soft_cap=3.0, dropout=0.0, fused=True), WrittenOut)
    assert isinstance(make_attend(scale=1.0, soft_cap=None, dropout=0.0, fused=False), WrittenOut)


def test_unscaled_scores_would_saturate():
    """Why 1/√K: the scores of unit-variance queries and keys have variance 1."""
    torch.manual_seed(0)
    q, k = torch.randn(1, 1, 499, 64), torch.randn(1, 1, 503, 64)
    assert (q @ k.transpose(-2, -1) * 64**-0.5).std().item() == pytest.approx(1, rel=0.02)
    assert math.isclose((q @ k.transpose(-2, -1)).std().item(), 8, rel_tol=0.02)
