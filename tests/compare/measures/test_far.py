"""Beyond the trained length, by position and naively."""

import pytest
import torch

from oneblock.compare.measures import far, reach
from oneblock.train.evaluate import evaluating


def test_attention_that_does_not_look_has_no_stretch(subject):
    made = subject("position=none", "block.steps=feed_forward")
    found = far.measure(made).measures | reach.measure(made).measures
    assert found["stretch"] == pytest.approx(0.0, abs=1e-6) and found["naive_stretch"] == pytest.approx(0.0, abs=1e-6)
    assert 1 < found["far_loss"] < 6


def test_the_curve_and_the_naive_difference_by_hand(subject):
    made = subject("position=none")
    found = reach.measure(made)
    texts = made.windows(33, reach.ROWS)
    loss = torch.nn.CrossEntropyLoss()
    with evaluating(made.model):
        logits = made.model(texts[:, :-1])
        short = [made.model(texts[:, at : at + 8]) for at in range(0, 32, 8)]
    expected = [float(loss(logits[:, at], texts[:, at + 1])) for at in range(32)]
    assert found.curves["loss by position"] == [
        pytest.approx([at + 1.0, value], rel=1e-5) for at, value in enumerate(expected)
    ]
    near = [loss(part.flatten(0, 1), texts[:, 8 * n + 1 : 8 * n + 9].flatten()) for n, part in enumerate(short)]
    assert found.measures["naive_stretch"] == pytest.approx(sum(expected) / 32 - float(sum(near)) / 4, abs=1e-5)
