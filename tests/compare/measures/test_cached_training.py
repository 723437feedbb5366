"""Training with a cache: the same gradients, of as many passes as tokens."""

import math

import pytest
import torch

from oneblock.compare.measures import cached_training


@pytest.mark.parametrize("settings", [(), ("position=rope", "block.attention.num_kv_heads=1"), ("position=alibi",)])
def test_the_gradients_are_those_of_one_pass(subject, settings):
    made = subject(*settings)
    model, tokens = made.model.eval(), made.windows(made.context, 2)
    whole = cached_training.gradients(model, cached_training.one_pass(model, tokens), tokens)
    parts = cached_training.gradients(model, cached_training.one_by_one(model, tokens), tokens)
    assert len(whole) == len(list(model.parameters()))
    for one, other in zip(whole, parts, strict=True):
        assert torch.allclose(one, other, rtol=1e-9, atol=1e-14)
    assert any(float(one.abs().max()) > 1e-3 for one in whole)


def test_the_fastest_of_each_way_counts(subject, monkeypatch):
    made = subject()
    ticks = iter([0, 7, 0, 20, 0, 2, 0, 10, 0, 3, 0, 11])
    monkeypatch.setattr(cached_training.time, "perf_counter", lambda: next(ticks))
    found = cached_training.measure(made).measures
    assert found == {"cached_training_gain": pytest.approx(math.log(10 / 2))}
    assert made.model.training
