"""A token's mean and deviation, against stacks whose answers are known and NumPy's of the same streams."""

import math

import numpy as np
import pytest
import torch

from oneblock.compare.measures import drift
from oneblock.compare.measures.subject import streams

STACK = ("block.steps=attention", "block.norm=none", "final_norm=none")


def test_what_multiplies_moves_both_by_its_factor(subject):
    made = subject(*STACK, "block.residual=scaled", "block.residual.skip=1.5", "block.residual.branch=0")
    found = drift.measure(made)
    means, deviations = (dict(found.curves[name]) for name in ("mean by layer", "deviation by layer"))
    for layer in range(4):
        assert means[layer] == pytest.approx(means[0] * 1.5**layer)
        assert deviations[layer] == pytest.approx(deviations[0] * 1.5**layer)
    assert found.measures["token_mean"] == means[3]
    assert found.measures["deviation"] == pytest.approx(math.log(deviations[3]))


def test_a_shift_moves_the_mean_alone_and_layernorm_takes_it_out(subject):
    found = drift.measure(subject(*STACK, fault="shift"))
    deviations = [value for _, value in found.curves["deviation by layer"]]
    assert found.measures["token_mean"] == pytest.approx(3, rel=0.05)
    assert deviations == pytest.approx([deviations[0]] * 4)
    normed = drift.measure(subject(*STACK, "block.placement=post", "block.norm=layer", fault="shift")).measures
    assert normed["token_mean"] < 1e-12 and normed["deviation"] == pytest.approx(0, abs=1e-3)
    kept = drift.measure(subject(*STACK, "block.placement=post", "block.norm=rms", fault="shift")).measures
    assert kept["token_mean"] > 0.9 and kept["deviation"] < -2 * math.log(2)


def test_as_numpy_finds_them(subject):
    made = subject()
    with streams(made.model) as seen, torch.no_grad():
        made.model(made.windows(made.context, drift.ROWS))
    last = seen[-1].numpy()
    found = drift.measure(made).measures
    assert found["token_mean"] == pytest.approx(np.sqrt(np.mean(last.mean(-1) ** 2)))
    assert found["deviation"] == pytest.approx(np.log(np.sqrt(np.mean(last.std(-1) ** 2))))
