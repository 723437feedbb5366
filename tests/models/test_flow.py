"""Rectified flow: the line, its direction, and how times are drawn."""

import pytest
import torch

from oneblock.config import RectifiedFlow as Config
from oneblock.models.flow import RectifiedFlow

FLOW = RectifiedFlow(Config())
DATA, NOISE = (torch.tensor(v).double().view(1, 1, 1, 2) for v in ([1.0, -1.0], [0.5, 2.0]))


def test_vectors():
    x = FLOW.noised(DATA, torch.tensor([0.25]), NOISE)
    assert x.flatten().tolist() == [0.625, 1.25]
    assert FLOW.target(DATA, NOISE).flatten().tolist() == [0.5, -3.0]


def test_not_the_other_direction():
    assert FLOW.noised(DATA, torch.tensor([0.25]), NOISE).flatten().tolist() != [0.875, -0.25]
    assert torch.equal(FLOW.noised(DATA, torch.tensor([0.0]), NOISE), NOISE)
    assert torch.equal(FLOW.noised(DATA, torch.tensor([1.0]), NOISE), DATA)


def test_loss():
    answer = torch.tensor([1.5, -3.0]).double().view(1, 1, 1, 2)
    assert FLOW.losses(answer, DATA, torch.tensor([0.3]), NOISE).tolist() == [0.5]


def test_uniform_times():
    times = FLOW.times(100_003, torch.Generator().manual_seed(0))
    assert times.min() >= 0 and times.max() < 1
    assert times.mean().item() == pytest.approx(1 / 2, abs=0.005) and times.var().item() == pytest.approx(1 / 12, 0.01)


def test_logit_normal_times():
    flow = RectifiedFlow(Config(time="logit_normal", mean=-0.5, std=0.7))
    logits = flow.times(100_003, torch.Generator().manual_seed(0)).double().logit()
    assert logits.mean().item() == pytest.approx(-0.5, abs=0.01) and logits.std().item() == pytest.approx(0.7, rel=0.01)


def test_shift_is_towards_the_noise():
    flow = RectifiedFlow(Config(shift=3.0))
    # Share of noise 1/2 becomes 3·½ / (1 + 2·½) = 3/4.
    assert flow.shifted(torch.tensor([0.0, 0.5, 1.0])).tolist() == [0.0, 0.25, 1.0]
    share = 1 - flow.times(100_003, torch.Generator().manual_seed(0))
    assert (share > 0.75).float().mean().item() == pytest.approx(0.5, abs=0.01)
    assert flow.grid(4).tolist() == pytest.approx([0, 1 - 9 / 10, 1 - 3 / 4, 1 - 1 / 2, 1])
    assert torch.equal(FLOW.grid(4), torch.tensor([0, 0.25, 0.5, 0.75, 1]).double())
