"""Tokens that rounding sends elsewhere: logits that differ by less than bfloat16 can say, and by more."""

import math

import pytest
import torch

from oneblock.compare.measures import precision

SWITCH = ("block.feed_forward=switch", "block.feed_forward.num_experts=4")


def test_only_close_logits_change_their_expert(subject):
    made = subject(*SWITCH, "block.norm=none")
    routers = [block.feed_forward.router for block in made.model.blocks]
    for router in routers:
        router.register_forward_pre_hook(lambda module, given: (given[0].abs(),))
        router.weight.data[:] = 0
        router.weight.data[0] = 1
        router.weight.data[1] = -1
    assert precision.measure(made).measures == {"moved": 0.0}
    # The second expert is a hair better; in bfloat16 they are equal, and the first is taken.
    for router in routers:
        router.weight.data[:2] = torch.tensor([[1.0], [1 + 2**-12]])
        router.weight.data[2:] = -1
    assert precision.measure(made).measures == {"moved": pytest.approx(1.0)}


def test_a_model_without_experts_has_none(subject):
    assert math.isnan(precision.measure(subject()).measures["moved"])
