"""A model that tells more the more stands before a token: what each way of judging makes of it."""

import math
from dataclasses import replace
from statistics import fmean

import numpy as np
import pytest
import torch
from torch import nn

from oneblock.compare.measures import sliding

VOCAB, LENGTH = 13, 16


class Later(nn.Module):
    """Tells the next of 0, 1, 2, … the better the later it stands, up to the trained length; then it gains `more`."""

    def __init__(self, more):
        super().__init__()
        self.more, self.nothing = more, nn.Parameter(torch.zeros(()))

    def forward(self, tokens):
        at = torch.arange(tokens.shape[1], dtype=torch.float64)
        sure = 0.1 * at.clamp(max=LENGTH - 1) + self.more * (at >= LENGTH)
        return nn.functional.one_hot((tokens + 1) % VOCAB, VOCAB) * sure[:, None]


def loss(sure):
    return math.log(math.exp(sure) + VOCAB - 1) - sure


@pytest.mark.parametrize("more", [0.0, -1.4])
def test_the_three_ways_are_told_apart(subject, more):
    tokens = np.arange(1500) % VOCAB
    made = replace(subject("context=16"), model=Later(more), tokens=tokens)
    found = sliding.measure(made).measures
    cut = fmean(loss(0.1 * at) for at in range(LENGTH))
    slid = fmean(loss(0.1 * at) for at in (LENGTH - 2, LENGTH - 1))
    whole = loss(0.1 * (LENGTH - 1) + more)
    assert found["naive_change"] == pytest.approx(whole - cut, abs=1e-6)
    assert found["fixed_change"] == pytest.approx(whole - slid, abs=1e-6)
    assert found["early_cost"] == pytest.approx(cut - slid, abs=1e-6)
    assert (found["naive_change"] < 0) == (more == 0.0) and found["early_cost"] > 0


def test_a_length_that_no_eighth_divides(subject):
    made = replace(subject("context=11"), model=Later(0.0), tokens=np.arange(1500) % VOCAB)
    found = sliding.measure(made).measures
    assert found["naive_change"] == pytest.approx(found["fixed_change"] - found["early_cost"], abs=1e-9)
