"""Who got the tokens: a router made to send all of them to one expert, and none at all."""

import math

import pytest

from oneblock.compare.measures import experts

SWITCH = ("block.feed_forward=switch", "block.feed_forward.num_experts=4", "block.feed_forward.jitter=0")


def test_one_expert_that_takes_all(subject):
    made = subject(*SWITCH, "block.feed_forward.capacity_factor=1")
    for block in made.model.blocks:
        block.feed_forward.router.weight.data[:] = 0
    found = experts.measure(made)
    # All logits are equal, so all tokens go to one of four experts, which has places for a quarter.
    assert found.measures == pytest.approx({"imbalance": 4.0, "dropped": 0.75})
    assert found.curves["tokens by expert"] == [[1.0, 4.0], [2.0, 0.0], [3.0, 0.0], [4.0, 0.0]]


def test_loads_are_the_share_times_the_experts(subject):
    found = experts.measure(subject(*SWITCH))
    loads = [y for _, y in found.curves["tokens by expert"]]
    assert sum(loads) == pytest.approx(4.0) and loads == sorted(loads, reverse=True)
    assert found.measures["imbalance"] == loads[0] and 0 <= found.measures["dropped"] < 0.75


def test_a_model_without_experts_has_none(subject):
    found = experts.measure(subject())
    assert math.isnan(found.measures["imbalance"]) and not found.curves
