import math

import numpy as np
import pytest
import torch

from oneblock.config import LinearScaling, Llama3Scaling, NTKScaling, Rope, YarnScaling
from oneblock.nn.context import Context
from oneblock.nn.position import Position
from oneblock.nn.position import Rope as RopeModule
from oneblock.nn.rope import frequencies

STYLES = ["half", "interleaved"]


def at(position, x, **option):
    """One vector turned as if it stood at that position."""
    x = torch.as_tensor(x, dtype=torch.float64)
    ctx = Context(position + 1, x.device, position=Position())
    rows = x.expand(1, 1, position + 1, -1)
    return RopeModule(Rope(**option), x.shape[-1]).rotate(rows, rows, ctx)[1][0, 0, -1]


@pytest.mark.parametrize(
    ("style", "expected"),
    [
        ("interleaved", (-1.142640, 1.922076, 2.959851, 4.029800)),
        ("half", (-1.984111, 1.959901, 2.462378, 4.019800)),
    ],
)
def test_vector(style, expected):
    torch.testing.assert_close(at(1, [1, 2, 3, 4], style=style), torch.tensor(expected).double(), atol=6e-7, rtol=0)


@pytest.mark.parametrize(("style", "dot"), [("interleaved", -0.0123868), ("half", -1.0813448)])
@pytest.mark.parametrize(("q_at", "k_at"), [(3, 1), (7, 5), (1002, 1000)])
def test_only_the_distance_counts(style, dot, q_at, k_at):
    q, k = at(q_at, [1, 0, 0.5, -1], style=style), at(k_at, [0.3, 1, -0.2, 0.7], style=style)
    assert (q @ k).item() == pytest.approx(dot, abs=6e-8)


@pytest.mark.parametrize("style", STYLES)
@pytest.mark.parametrize("fraction", [1.0, 0.5, 0.25])
def test_against_complex_numbers(style, fraction):
    width, rotated = 16, int(16 * fraction)
    x = np.random.default_rng(0).normal(size=width)
    pairs = np.arange(rotated).reshape(2, -1).T if style == "half" else np.arange(rotated).reshape(-1, 2)
    expected = x.copy()
    for i, (a, b) in enumerate(pairs):
        turned = (x[a] + 1j * x[b]) * np.exp(1j * 5 * 100.0 ** (-2 * i / rotated))
        expected[a], expected[b] = turned.real, turned.imag
    found = at(5, x, style=style, theta=100.0, fraction=fraction)
    np.testing.assert_allclose(found.numpy(), expected, rtol=1e-12, atol=1e-12)


def test_the_styles_are_a_permutation_apart():
    x = torch.randn(8).double()
    order = [0, 2, 4, 6, 1, 3, 5, 7]
    torch.testing.assert_close(at(3, x, style="interleaved")[order], at(3, x[order], style="half"))


@pytest.mark.parametrize("style", STYLES)
def test_lengths_stay_and_position_zero_is_the_identity(style):
    x = torch.randn(12).double()
    torch.testing.assert_close(at(11, x, style=style).norm(), x.norm())
    torch.testing.assert_close(at(0, x, style=style), x, rtol=0, atol=0)


def ratios(scaling, theta, width=128):
    plain, one = frequencies(Rope(theta=theta), width)
    scaled, factor = frequencies(Rope(theta=theta, scaling=scaling), width)
    assert one == 1.0 and scaled.dtype == torch.float64 and scaled.shape == (width // 2,)
    return (scaled / plain).tolist(), factor


def test_frequencies():
    found, _ = frequencies(Rope(), 8)
    np.testing.assert_allclose(found.numpy(), [1, 0.1, 0.01, 0.001], rtol=1e-14)
    part, _ = frequencies(Rope(fraction=0.25), 32)
    np.testing.assert_allclose(part.numpy(), found.numpy(), rtol=1e-14)


def test_linear():
    assert ratios(LinearScaling(factor=3), 1e4) == ([pytest.approx(1 / 3)] * 64, 1.0)


def test_ntk():
    scaled, factor = frequencies(Rope(scaling=NTKScaling(factor=4)), 128)
    base = 40889.942
    np.testing.assert_allclose(scaled.numpy(), base ** -(np.arange(64) / 64), rtol=1e-6)
    assert factor == 1.0 and scaled[0] == 1.0
    plain, _ = frequencies(Rope(), 128)
    assert (plain[-1] / scaled[-1]).item() == pytest.approx(4), "the slowest pair is interpolated in full"
    assert frequencies(Rope(scaling=NTKScaling()), 2)[0].tolist() == [1.0]


def test_yarn():
    found, factor = ratios(YarnScaling(factor=4, original_context=4096), 1e4)
    assert factor == pytest.approx(1.138629, abs=6e-7)
    expected = {20: 1, 21: 0.971154, 30: 0.711538, 40: 0.423077, 45: 0.278846}
    for i, ratio in expected.items():
        assert found[i] == pytest.approx(ratio, abs=6e-7)
    assert found[:21] == [1.0] * 21 and found[46:] == [pytest.approx(0.25)] * 18


def test_yarns_factor_is_on_queries_and_keys():
    scaling = YarnScaling(factor=4, original_context=4096)
    x = torch.randn(128).double()
    grown = at(7, x, scaling=scaling).norm() / x.norm()
    assert grown.item() == pytest.approx(1.138629, abs=6e-7)


def test_llama3():
    found, factor = ratios(Llama3Scaling(), 5e5)
    assert factor == 1.0 and found[:29] == [1.0] * 29 and found[35:] == [0.125] * 29
    expected = [0.828168, 0.643743, 0.493507, 0.371122, 0.271425, 0.190211]
    assert found[29:35] == [pytest.approx(ratio, abs=6e-7) for ratio in expected]


def test_values_are_not_turned_and_halves_are_turned_wide():
    ctx = Context(2, torch.device("cpu"), position=Position())
    q = torch.randn(1, 1, 2, 8).bfloat16()
    turned, _ = RopeModule(Rope(), 8).rotate(q, q, ctx)
    assert turned.dtype == torch.bfloat16
    exact, _ = RopeModule(Rope(), 8).rotate(q.double(), q.double(), Context(2, q.device, position=Position()))
    torch.testing.assert_close(turned.double(), exact, rtol=2**-8, atol=1e-3)


def test_far_positions_keep_their_phase():
    """Phases in float64: at a million the fastest pair is still right to 1e-6."""
    x = torch.tensor([1.0, 0.0, 0.0, 0.0])
    ctx = Context(1, x.device, position=Position())
    ctx.positions = torch.tensor([1_000_003])
    turned, _ = RopeModule(Rope(), 4).rotate(x.view(1, 1, 1, 4), x.view(1, 1, 1, 4), ctx)
    assert turned[0, 0, 0, 0].item() == pytest.approx(math.cos(1_000_003), abs=1e-6)


def test_rows_with_their_own_positions_and_more_heads_than_tokens():
    padding = torch.tensor([[False] * 3, [True, True, False]])
    ctx = Context(3, padding.device, position=Position(), padding_BS=padding)
    x = torch.randn(2, 5, 3, 8).double()
    found, _ = RopeModule(Rope(), 8).rotate(x, x, ctx)
    torch.testing.assert_close(found[1, :, 2], x[1, :, 2])
    torch.testing.assert_close(found[0, 4, 2], at(2, x[0, 4, 2]))


def test_two_schemes_in_one_pass_do_not_mix():
    ctx = Context(3, torch.device("cpu"), position=Position())
    x = torch.randn(1, 1, 3, 8).double()
    schemes = [
        Rope(),
        Rope(theta=5.0),
        Rope(fraction=0.5),
        Rope(scaling=LinearScaling()),
        Rope(style="interleaved"),
    ]
    found = [RopeModule(option, 8).rotate(x, x, ctx)[0][0, 0, 2] for option in schemes]
    for option, one in zip(schemes, found, strict=True):
        fresh = Context(3, x.device, position=Position())
        torch.testing.assert_close(one, RopeModule(option, 8).rotate(x, x, fresh)[0][0, 0, 2], rtol=0, atol=0)
