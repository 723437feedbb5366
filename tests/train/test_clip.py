import math

import pytest
import torch

from oneblock.config.errors import ConfigError
from oneblock.train.clip import clip_gradients, global_norm


def parameters(dtype=torch.float32, scale=1.0):
    torch.manual_seed(0)
    made = [torch.nn.Parameter(torch.zeros(shape, dtype=dtype)) for shape in [(7, 5), (11,), (3, 2), (1,)]]
    for parameter in made[:3]:
        parameter.grad = (torch.randn(parameter.shape) * scale).to(dtype)
    return made


def exact(made):
    return math.sqrt(sum(float((p.grad.double() ** 2).sum()) for p in made if p.grad is not None))


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16])
def test_the_norm_is_that_of_all_gradients_as_one_vector(dtype):
    made = parameters(dtype)
    norm = global_norm(made)
    assert norm.dtype == (torch.float64 if dtype == torch.float64 else torch.float32)
    assert float(norm) == pytest.approx(exact(made), rel=1e-12 if dtype == torch.float64 else 1e-6)


def test_a_long_bfloat16_gradient_is_added_up_in_float32():
    parameter = torch.nn.Parameter(torch.zeros(100_003, dtype=torch.bfloat16))
    parameter.grad = torch.full_like(parameter, 0.001)
    assert float(global_norm([parameter])) == pytest.approx(exact([parameter]), rel=2e-4)
    assert abs(float(torch.linalg.vector_norm(parameter.grad)) / exact([parameter]) - 1) > 5e-4


@pytest.mark.parametrize("max_norm", [0.1, 1.0, 20.0, 1e3])
def test_clipping_equals_torch_and_returns_the_norm_before(max_norm):
    ours, theirs = parameters(scale=3.0), parameters(scale=3.0)
    before = exact(ours)
    norm = clip_gradients(ours, max_norm)
    torch.nn.utils.clip_grad_norm_(theirs, max_norm)
    assert float(norm) == pytest.approx(before, rel=1e-6)
    for mine, other in zip(ours[:3], theirs[:3], strict=True):
        torch.testing.assert_close(mine.grad, other.grad, rtol=1e-6, atol=0)
    assert ours[3].grad is None


def test_small_gradients_and_no_limit_leave_every_bit():
    made = parameters()
    before = [p.grad.clone() for p in made[:3]]
    clip_gradients(made, 1e3)
    clip_gradients(made, math.inf)
    assert all(torch.equal(p.grad, kept) for p, kept in zip(made[:3], before, strict=True))


def test_no_gradient_at_all_is_zero_and_a_nan_is_told():
    assert float(clip_gradients([torch.nn.Parameter(torch.zeros(3))], 1.0)) == 0.0
    made = parameters()
    made[0].grad[1, 2] = math.nan
    assert math.isnan(float(clip_gradients(made, 1.0)))


@pytest.mark.parametrize("max_norm", [0.0, -1.0, math.nan])
def test_a_limit_that_is_not_positive_is_refused(max_norm):
    with pytest.raises(ConfigError, match="max_norm"):
        clip_gradients(parameters(), max_norm)
