"""The losses in their papers' scales, by hand and by loops."""

import math

import pytest
import torch

from oneblock.nn.experts.losses import gshard_loss, switch_loss, top_k_loss, z_loss
from oneblock.nn.experts.routing import best

LOGITS = torch.tensor(
    [[2, 1, 0], [1, 2, 0], [3, 0, 0], [0.5, 0, 1], [2, 1.5, 1], [0, 0, 1]], dtype=torch.float64
).unsqueeze(0)
P = LOGITS.softmax(-1)


def test_vectors():
    assert switch_loss(P, best(P, 1)).item() == pytest.approx(1.098693, abs=6e-7)
    assert gshard_loss(P, best(P, 2)).item() == pytest.approx(0.122077, abs=6e-7)
    assert top_k_loss(P, best(P, 2)).item() == pytest.approx(2.225128, abs=6e-7)
    assert z_loss(LOGITS).item() == pytest.approx(5.597636, abs=6e-7)


def test_each_layer_has_its_own_and_pooled_they_hide_one_another():
    second = LOGITS[..., [1, 2, 0]].softmax(-1)
    assert switch_loss(second, best(second, 1)).item() == pytest.approx(1.098693, abs=6e-7)
    pooled = torch.cat([P, second], 1)
    assert top_k_loss(pooled, best(pooled, 1)).item() == pytest.approx(1.024673, abs=6e-7)


def test_switch_can_be_below_its_balanced_value():
    p = torch.tensor([[[0.51, 0.49], [0.51, 0.49], [0.0, 1.0]]], dtype=torch.float64)
    assert switch_loss(p, best(p, 1)).item() == pytest.approx(0.8933, abs=6e-5)


@pytest.mark.parametrize(("experts", "k"), [(3, 1), (5, 2), (7, 3)])
def test_balanced_values(experts, k):
    """Each expert chosen as often as every other, probabilities even."""
    tokens = torch.arange(experts)
    chosen = (tokens[:, None] + torch.arange(k)) % experts
    p = torch.full((1, experts, experts), 1 / experts, dtype=torch.float64)
    assert switch_loss(p, chosen[None]).item() == pytest.approx(1)
    assert gshard_loss(p, chosen[None]).item() == pytest.approx(1 / experts**2)
    assert top_k_loss(p, chosen[None]).item() == pytest.approx(k)


def test_groups_and_pads_by_loop():
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(4, 11, 5, generator=generator, dtype=torch.float64)
    p, real = logits.softmax(-1), torch.rand(4, 11, generator=generator) > 0.4
    real[2] = False
    chosen = best(p, 2)
    values: dict[str, list[float]] = {"switch": [], "gshard": [], "top": [], "z": []}
    for g in (0, 1, 3):
        tokens = [s for s in range(11) if real[g, s]]
        first, every = [0.0] * 5, [0.0] * 5
        for s in tokens:
            first[chosen[g, s, 0]] += 1 / len(tokens)
            for j in range(2):
                every[chosen[g, s, j]] += 1 / len(tokens)
        mean = [sum(float(p[g, s, e]) for s in tokens) / len(tokens) for e in range(5)]
        values["switch"].append(5 * sum(f * m for f, m in zip(first, mean, strict=True)))
        values["gshard"].append(sum(f * m for f, m in zip(first, mean, strict=True)) / 5)
        values["top"].append(5 * sum(f * m for f, m in zip(every, mean, strict=True)))
        values["z"].append(
            sum(math.log(sum(math.exp(v) for v in logits[g, s].tolist())) ** 2 for s in tokens) / len(tokens)
        )
    found = {
        "switch": switch_loss(p, chosen, real),
        "gshard": gshard_loss(p, chosen, real),
        "top": top_k_loss(p, chosen, real),
        "z": z_loss(logits, real),
    }
    for name, expected in values.items():
        assert found[name].item() == pytest.approx(sum(expected) / 3), name


def test_the_gradient_goes_through_the_probabilities_alone_and_evens_them_out():
    logits = LOGITS.clone().requires_grad_()
    p = logits.softmax(-1)
    switch_loss(p, best(p, 1)).backward()
    # Expert 0 has half of the tokens: its logits must fall.
    assert (logits.grad[..., 0] > 0).all()
    f = torch.tensor([3, 1, 2], dtype=torch.float64) / 6
    torch.testing.assert_close(logits.grad, P * (3 * f - (3 * f * P).sum(-1, keepdim=True)) / 6)
