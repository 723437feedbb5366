"""Experts: the reference against what others compute."""

import torch
import torch.nn.functional as F

from oneblock.learn.exercises import text_of


def test_the_reference_is_every_expert_on_every_token():
    names: dict = {}
    exec(text_of("experts", "reference"), names)
    mixture, x = names["MixtureOfExperts"](5, 7, 3, 2).double(), torch.randn(2, 11, 5).double()
    p = mixture.router(x).softmax(-1)
    keep = p >= p.sort(-1).values[..., 1:2]
    weights = p * keep / (p * keep).sum(-1, keepdim=True)
    every = torch.stack([F.gelu(x @ e.up.weight.T) @ e.down.weight.T for e in mixture.experts], -2)
    torch.testing.assert_close(mixture(x), (weights[..., None] * every).sum(-2))
