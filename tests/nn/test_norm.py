import numpy as np
import pytest
import torch
import torch.nn.functional as F

from oneblock import config
from oneblock.nn.norm import make_norm

NORMS = [
    config.LayerNorm(),
    config.LayerNorm(eps=0.1, bias=False),
    config.LayerNorm(gain=False, bias=True),
    config.LayerNorm(gain=False, bias=False),
    config.RMSNorm(),
    config.RMSNorm(eps=0.1, one_plus=True),
    config.RMSNorm(gain=False),
    config.PartialRMSNorm(),
    config.PartialRMSNorm(fraction=0.5, eps=0.1, gain=False),
    config.PartialRMSNorm(fraction=1.0),
]
SMALLEST = 1e-30  # the nearest to eps = 0 that a configuration takes


def norm(option, width=4):
    return make_norm(option, width).double()


def apply(option, *values):
    return norm(option, len(values))(torch.tensor(values, dtype=torch.float64)).detach()


def near(found, *expected, digits=6):
    np.testing.assert_allclose(found.numpy(), expected, atol=0.6 * 10**-digits, rtol=0)


def stirred(option, width):
    module = norm(option, width)
    with torch.no_grad():
        for parameter in module.parameters():
            parameter += torch.randn(width, dtype=torch.float64, generator=torch.Generator().manual_seed(width))
    return module


def reference(option, module, x):
    """numpy, float64, written from the formulas."""
    x = x.detach().numpy()
    gain = 1.0 if module.weight is None else module.weight.detach().numpy()
    if isinstance(option, config.LayerNorm):
        shift = 0.0 if module.bias is None else module.bias.detach().numpy()
        middle = x.mean(-1, keepdims=True)
        variance = ((x - middle) ** 2).mean(-1, keepdims=True)
        return gain * (x - middle) / np.sqrt(variance + option.eps) + shift
    if isinstance(option, config.PartialRMSNorm):
        measured = x[..., : max(1, int(option.fraction * x.shape[-1]))]
    else:
        measured = x
        gain = gain + 1.0 if option.one_plus else gain
    return gain * x / np.sqrt((measured**2).mean(-1, keepdims=True) + option.eps)


@pytest.mark.parametrize("option", NORMS, ids=repr)
def test_against_the_formula(option):
    module = stirred(option, 37)
    x = 3 + 5 * torch.randn(2, 5, 37, dtype=torch.float64)
    before = x.clone()
    np.testing.assert_allclose(module(x).detach().numpy(), reference(option, module, x), rtol=1e-12, atol=1e-12)
    assert torch.equal(x, before), "a norm must not change the stream it reads"


def test_against_torch():
    x = 3 + torch.randn(2, 5, 23, dtype=torch.float64)
    ours, theirs = stirred(config.LayerNorm(eps=1e-3), 23), torch.nn.LayerNorm(23, eps=1e-3).double()
    theirs.load_state_dict(ours.state_dict())
    torch.testing.assert_close(ours(x), theirs(x))
    rms = stirred(config.RMSNorm(eps=1e-3), 23)
    torch.testing.assert_close(rms(x), F.rms_norm(x, (23,), rms.weight, 1e-3))


def test_vectors():
    root = 1.341641, 0.447214
    near(apply(config.LayerNorm(eps=SMALLEST), 1, 2, 3, 4), -root[0], -root[1], root[1], root[0])
    near(apply(config.LayerNorm(), 1, 2, 3, 4)[:2], -1.341635, -0.447212)
    near(apply(config.RMSNorm(eps=SMALLEST), 1, 2, 3, 4), 0.365148, 0.730297, 1.095445, 1.460593)
    half = config.PartialRMSNorm(fraction=0.5, eps=SMALLEST)
    near(apply(half, 1, 2, 3, 4), 0.632456, 1.264911, 1.897367, 2.529822)
    near(apply(config.RMSNorm(eps=0.1), 1, 2, 3, 4), 0.362738, 0.725476, 1.088214, 1.450953)
    tiny = (1e-4, 2e-4, -1e-4, 1e-4)
    near(apply(config.RMSNorm(eps=1e-5), *tiny), 0.031595, 0.063190, -0.031595, 0.031595)
    near(apply(config.RMSNorm(eps=1e-6), *tiny)[:1], 0.099136)


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ((2, 4, 6), (-1.224745, 0, 1.224745)),
        ((3, 5, 7), (-1.224745, 0, 1.224745)),
        ((2.6, 3.8, 6.1), (-1.078822, -0.252490, 1.331312)),
        ((2, -1, 3), (0.392232, -1.372813, 0.980581)),
        ((2.4, -0.8, 2.9), (0.549080, -1.403204, 0.854124)),
        ((0.2, 0.1, -0.1), (1.069045, 0.267261, -1.336306)),
    ],
)
def test_worked_numbers(values, expected):
    near(apply(config.LayerNorm(eps=SMALLEST), *values), *expected)


def test_eps_shows_on_small_inputs():
    near(apply(config.LayerNorm(eps=1e-5), 0.2, 0.4, 0.6), -1.224515, 0, 1.224515)
    near(apply(config.LayerNorm(eps=1e-5), 0.04, 0.02, -0.02), 1.060557, 0.265139, -1.325696)


def test_what_each_norm_does_not_see():
    x = torch.randn(3, 29, dtype=torch.float64)
    layer, rms = norm(config.LayerNorm(eps=SMALLEST), 29), norm(config.RMSNorm(eps=SMALLEST), 29)
    torch.testing.assert_close(layer(x + 7), layer(x))
    for module in (layer, rms):
        torch.testing.assert_close(module(3 * x), module(x))
    assert (rms(x + 7) - rms(x)).abs().max() > 0.1
    centred = x - x.mean(-1, keepdim=True)
    torch.testing.assert_close(rms(centred), layer(centred))


@pytest.mark.parametrize("option", NORMS, ids=repr)
def test_each_token_alone(option):
    module = stirred(option, 13)
    x = torch.randn(2, 5, 13, dtype=torch.float64)
    torch.testing.assert_close(module(x)[1, 3], module(x[1, 3]))


@pytest.mark.parametrize("option", NORMS, ids=repr)
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision_statistics_do_not_overflow(option, dtype):
    module = make_norm(option, 31)
    x = (torch.randn(2, 31) * 1000).to(dtype)
    found = module(x)
    assert found.dtype == dtype
    torch.testing.assert_close(found.double(), module.double()(x.double()), rtol=1e-2, atol=1e-2)


@pytest.mark.parametrize("option", NORMS, ids=repr)
def test_a_whole_norm_in_half_precision(option):
    module = make_norm(option, 31).to(torch.bfloat16)
    assert module(torch.randn(2, 31).to(torch.bfloat16)).dtype == torch.bfloat16


def test_gains_start_as_the_identity():
    for option in NORMS:
        fresh = make_norm(option, 11)
        x = torch.randn(5, 11)
        plain = type(option)(**{name: getattr(option, name) for name in ("eps", "fraction") if hasattr(option, name)})
        torch.testing.assert_close(fresh(x), make_norm(plain, 11)(x))
    assert make_norm(config.RMSNorm(one_plus=True), 3).weight.tolist() == [0, 0, 0]


def test_partial_measures_at_least_one_feature_and_rounds_down():
    assert make_norm(config.PartialRMSNorm(fraction=0.0625), 7).measured == 1
    assert make_norm(config.PartialRMSNorm(fraction=0.5), 7).measured == 3
    assert make_norm(config.PartialRMSNorm(fraction=0.0625), 768).measured == 48


def test_no_norm_is_the_identity():
    x = torch.randn(2, 3)
    assert make_norm(config.NoNorm(), 3)(x) is x
