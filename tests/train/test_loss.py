import math

import numpy as np
import pytest
import torch

from oneblock.train.loss import cross_entropy

B, T, V = 3, 5, 7


def drawn(dtype=torch.float64):
    generator = torch.Generator().manual_seed(3)
    logits = torch.randn(B, T, V, generator=generator, dtype=torch.float64).to(dtype)
    targets = torch.randint(V, (B, T), generator=generator)
    valid = torch.rand(B, T, generator=generator) < 0.6
    return logits, targets, valid


def by_hand(logits, targets, valid):
    losses = []
    for b, t in np.ndindex(B, T):
        if valid[b, t]:
            row = [float(x) for x in logits[b, t]]
            losses.append(math.log(sum(math.exp(x) for x in row)) - row[targets[b, t]])
    return sum(losses) / len(losses)


def test_against_numbers_written_out():
    logits, targets, valid = drawn()
    everything = torch.ones_like(valid)
    assert cross_entropy(logits, targets).item() == pytest.approx(by_hand(logits, targets, everything), abs=1e-14)
    found = cross_entropy(logits, targets, valid).item()
    assert found == pytest.approx(by_hand(logits, targets, valid), abs=1e-14)
    assert 0 < valid.sum() < B * T


def test_what_is_not_valid_has_no_say_and_no_gradient():
    logits, targets, valid = drawn()
    other = torch.where(valid[..., None], logits, 50.0 * logits.flip(-1)).requires_grad_()
    loss = cross_entropy(other, targets, valid)
    assert loss.item() == cross_entropy(logits, targets, valid).item()
    loss.backward()
    assert (other.grad[~valid] == 0).all() and (other.grad[valid] != 0).any()


def test_taken_in_float32_for_halves():
    logits, targets, _ = drawn(torch.bfloat16)
    loss = cross_entropy(logits, targets)
    assert loss.dtype == torch.float32
    assert loss.item() == pytest.approx(cross_entropy(logits.double(), targets).item(), abs=1e-6)


def test_a_uniform_guess_costs_ln_v():
    assert cross_entropy(torch.zeros(B, T, V), torch.zeros(B, T, dtype=torch.long)).item() == pytest.approx(math.log(V))
