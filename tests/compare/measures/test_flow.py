"""Growth, turns and the gradient through the blocks, of stacks whose answers are known."""

import math

import pytest

from oneblock.compare.measures import flow

ONE_STEP = ("block.steps=attention", "block.norm=none", "final_norm=none", "block.residual=scaled")


def test_a_stack_that_only_multiplies(subject):
    found = flow.measure(subject(*ONE_STEP, "block.residual.skip=-1.5", "block.residual.branch=0")).measures
    assert found == pytest.approx({"growth": 3 * math.log(1.5), "gradient": 3 * math.log(1.5), "flips": 1.0})


def test_a_stream_that_is_no_number_has_no_growth(subject):
    made = subject()
    made.model.embedding.weight.data[:] = math.inf
    found = flow.measure(made).measures
    assert math.isnan(found["growth"]) and math.isnan(found["gradient"])
