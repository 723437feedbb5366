"""What probes share."""

import math

import numpy as np
import pytest
import torch

from oneblock.compare.catalogue import CURVES, MEASURES
from oneblock.compare.measures import PROBES
from oneblock.compare.measures.subject import log10_or_none, log_ratio, streams, windows
from oneblock.inspect.capture import capture


def test_windows_are_at_even_distances_and_end_with_the_text():
    found = windows(np.arange(23, dtype=np.uint8), 5, 4)
    assert found.dtype == torch.int64 and found[:, 0].tolist() == [0, 6, 12, 18] and found[-1, -1] == 22


def test_streams_are_those_of_a_capture_and_the_model_is_left_as_found(subject):
    made = subject("block.dropout=0.3")
    made.model.train()
    tokens = made.windows(8, 2)
    with streams(made.model) as seen:
        made.model(tokens)
    found = capture(made.model, tokens)
    expected = [found["embedding"], *(found[f"blocks.{layer}"] for layer in range(3))]
    assert made.model.training and len(seen) == 4
    assert all(torch.allclose(a, b, atol=1e-12) for a, b in zip(seen, expected, strict=True))
    made.model(tokens)
    assert len(seen) == 4


@pytest.mark.parametrize("name", PROBES)
def test_a_model_that_diverged_is_measured_too(subject, name):
    made = subject("block.feed_forward=gshard")
    for parameter in made.model.parameters():
        parameter.data[:] = math.nan
    found = PROBES[name](made)
    assert {*found.measures} <= {*MEASURES} and {*found.curves} <= {*CURVES}
    assert all(MEASURES[measure].by == name for measure in found.measures)
    assert all(CURVES[curve].by == name for curve in found.curves)


def test_ratios_of_what_has_none_are_no_numbers():
    assert log_ratio(math.e, 1.0) == 1.0
    assert all(math.isnan(log_ratio(a, b)) for a, b in ((0.0, 1.0), (1.0, math.inf), (math.nan, 1.0), (-1.0, 1.0)))
    assert log10_or_none(0.0) == -16.0 and log10_or_none(100.0) == 2.0 and math.isnan(log10_or_none(math.inf))


def test_every_probe_leaves_the_model_as_it_was(subject):
    made = subject("block.feed_forward=switch")
    before = {name: tensor.clone() for name, tensor in made.model.state_dict().items()}
    state = torch.get_rng_state()
    for probe in PROBES.values():
        made.model.train()
        probe(made)
        assert made.model.training
    assert torch.equal(torch.get_rng_state(), state)
    assert all(torch.equal(tensor, before[name]) for name, tensor in made.model.state_dict().items())
    assert all(p.grad is None for p in made.model.parameters())
    assert not any(module._forward_hooks or module._forward_pre_hooks for module in made.model.modules())
