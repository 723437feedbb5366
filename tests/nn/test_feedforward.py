import math

import pytest
import torch
import torch.nn.functional as F

from oneblock import config
from oneblock.nn.activation import ACTIVATIONS
from oneblock.nn.feedforward import FEED_FORWARDS

POINTS = (-3, -1, -0.5, 0.5, 1, 2, 3)
TABLE = {
    "gelu": (-0.0040497, -0.1586553, -0.1542688, 0.3457312, 0.8413447, 1.9544997, 2.9959503),
    "gelu_tanh": (-0.0036374, -0.1588080, -0.1542860, 0.3457140, 0.8411920, 1.9545977, 2.9963626),
    "silu": (-0.1422776, -0.2689414, -0.1887703, 0.3112297, 0.7310586, 1.7615942, 2.8577224),
    "relu": (0, 0, 0, 0.5, 1, 2, 3),
    "relu2": (0, 0, 0, 0.25, 1, 4, 9),
    "identity": POINTS,
    "sigmoid": tuple(1 / (1 + math.exp(-x)) for x in POINTS),
}


@pytest.mark.parametrize("name", TABLE)
def test_activation_values(name):
    found = ACTIVATIONS[name](torch.tensor(POINTS, dtype=torch.float64))
    torch.testing.assert_close(found, torch.tensor(TABLE[name], dtype=torch.float64), atol=6e-8, rtol=0)


def test_every_activation_has_an_option_and_a_check():
    assert set(ACTIVATIONS) == set(config.feedforward.ACTIVATIONS) == set(TABLE)


def test_the_two_forms_of_gelu_differ_as_known():
    x = torch.linspace(-5, 5, 100_001, dtype=torch.float64)
    gap = (ACTIVATIONS["gelu"](x) - ACTIVATIONS["gelu_tanh"](x)).abs()
    assert gap.max().item() == pytest.approx(4.732e-4, abs=1e-7)
    assert abs(x[gap.argmax()].item()) == pytest.approx(2.699, abs=1e-3)


def made(option, width=13):
    torch.manual_seed(0)
    return FEED_FORWARDS[type(option)](option, width).double()


@pytest.mark.parametrize("bias", [False, True])
@pytest.mark.parametrize("activation", TABLE)
def test_dense_is_two_matrices(activation, bias):
    module, x = (
        made(config.Dense(activation=activation, hidden=29, bias=bias)),
        torch.randn(2, 5, 13).double(),
    )
    inner = x @ module.up.weight.T + (module.up.bias if bias else 0)
    expected = ACTIVATIONS[activation](inner) @ module.down.weight.T + (module.down.bias if bias else 0)
    torch.testing.assert_close(module(x, None), expected)
    assert sum(p.numel() for p in module.parameters()) == 2 * 13 * 29 + bias * (13 + 29)


@pytest.mark.parametrize("bias", [False, True])
@pytest.mark.parametrize("activation", TABLE)
def test_gated_activates_the_gate(activation, bias):
    module, x = (
        made(config.Gated(activation=activation, hidden=29, bias=bias)),
        torch.randn(2, 5, 13).double(),
    )
    gate, up = (
        F.linear(x, module.gate.weight, module.gate.bias),
        F.linear(x, module.up.weight, module.up.bias),
    )
    torch.testing.assert_close(
        module(x, None), F.linear(ACTIVATIONS[activation](gate) * up, module.down.weight, module.down.bias)
    )
    assert sum(p.numel() for p in module.parameters()) == 3 * 13 * 29 + bias * (13 + 29 + 29)


@pytest.mark.parametrize(("name", "expected"), [("geglu", -2.799578), ("swiglu", -2.452723), ("glu", -1.635149)])
def test_which_half_is_activated(name, expected):
    module = made(type(option := config.feedforward.FEED_FORWARDS[name])(activation=option.activation, hidden=1), 1)
    with torch.no_grad():
        for matrix, value in ((module.gate, 1.5), (module.up, -2.0), (module.down, 1.0)):
            matrix.weight.fill_(value)
    assert module(torch.ones(1, 1, dtype=torch.float64), None).item() == pytest.approx(expected, abs=6e-7)


def test_gated_against_torch_glu():
    module, x = made(config.Gated(activation="sigmoid", hidden=7)), torch.randn(3, 13).double()
    halves = torch.cat([module.up(x), module.gate(x)], -1)
    torch.testing.assert_close(module(x, None), module.down(F.glu(halves)))


@pytest.mark.parametrize(
    ("width", "multiple", "hidden"),
    [
        (4096, 256, 11008),
        (5120, 256, 13824),
        (6656, 256, 17920),
        (8192, 256, 22016),
        (128, 32, 352),
        (128, 64, 384),
        (128, 256, 512),
        (384, 64, 1024),
        (512, 64, 1408),
        (768, 64, 2048),
        (1, 8, 8),
    ],
)
def test_two_thirds_rule(width, multiple, hidden):
    assert config.Gated(multiple_of=multiple).hidden_width(width) == hidden


def test_widths_of_dense_and_explicit_ones():
    assert config.Dense().hidden_width(768) == 3072
    assert config.Dense(ratio=1.5).hidden_width(10) == 15
    assert config.Dense(hidden=7).hidden_width(768) == config.Gated(hidden=7).hidden_width(768) == 7
    assert config.Dense(ratio=0.001).hidden_width(10) == 1
    dense, gated = config.Dense(bias=False), config.Gated(multiple_of=1)
    assert 3 * gated.hidden_width(768) == 2 * dense.hidden_width(768)


@pytest.mark.parametrize("option", [config.Dense(), config.Gated()])
def test_each_token_alone(option):
    module, x = made(option), torch.randn(2, 5, 13).double()
    torch.testing.assert_close(module(x, None)[1, 3], module(x[1, 3], None))


@pytest.mark.parametrize("option", [config.Dense(dropout=0.5, hidden=64), config.Gated(dropout=0.5, hidden=64)])
def test_inner_dropout_in_training_only(option):
    module, x = made(option), torch.randn(5, 13).double()
    assert not torch.equal(module(x, None), module(x, None))
    module.eval()
    assert torch.equal(module(x, None), module(x, None))
