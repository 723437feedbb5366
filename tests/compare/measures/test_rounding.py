"""Streams whose rounding is known."""

import math
from dataclasses import replace

import pytest
import torch
from torch import nn

from oneblock.compare.measures import rounding


class Add(nn.Module):
    def __init__(self, value):
        super().__init__()
        self.value = value

    def forward(self, x):
        return x + self.value


class Adding(nn.Module):
    """A stream of 256 to which each block adds a number."""

    def __init__(self, *values):
        super().__init__()
        self.blocks = nn.ModuleList(map(Add, values))
        self.nothing = nn.Parameter(torch.zeros(()))

    def forward(self, tokens):
        x = torch.full((*tokens.shape, 3), 256.0)
        for block in self.blocks:
            x = block(x)
        return x


def test_what_a_bfloat16_loses_of_what_a_block_adds(subject):
    # Between 256 and 512 a bfloat16 steps by 2: 257 is rounded to 256, 258 and 512 are kept, 515 becomes 516.
    found = rounding.measure(replace(subject(), model=Adding(1.0, 1.0, 254.0, 3.0)))
    assert found.curves["rounding by layer"] == [[1.0, 1.0], [2.0, 0.0], [3.0, 0.0], [4.0, pytest.approx(1 / 3)]]
    assert found.measures == {"bf16_loss": 0.0, "fp16_over": 0.0}


@pytest.mark.parametrize(("value", "over"), [(65504 - 256, 0.0), (65505 - 256, 1.0), (-1e5, 1.0), (math.nan, 1.0)])
def test_what_passes_the_largest_float16_is_said(subject, value, over):
    assert rounding.measure(replace(subject(), model=Adding(value))).measures["fp16_over"] == over
