"""The numbers of the lesson rmsnorm."""

import math

import torch
from torch import Tensor

from oneblock.config import norm as config
from oneblock.learn.course.figures import lines
from oneblock.nn.norm import make_norm

TOKEN = [1.0, 2.0, 3.0, 4.0]
SMALL = [1.0, 7.0]
CENTRED = [-1.0, 0.0, 1.0]
SHIFTED = [101.0, 102.0, 103.0]
TINY = [1e-4, 2e-4, -1e-4, 1e-4]


def rms_norm(x: list[float] = SMALL, eps: float = 0.0) -> list[float]:
    """x over its root mean square."""
    mean_square = sum(value * value for value in x) / len(x)
    return [value / math.sqrt(mean_square + eps) for value in x]


def layer_norm(x: list[float] = SMALL, eps: float = 0.0) -> list[float]:
    """x, its mean taken away, over its standard deviation."""
    mean = sum(x) / len(x)
    variance = sum((value - mean) ** 2 for value in x) / len(x)
    return [(value - mean) / math.sqrt(variance + eps) for value in x]


def partial_rms_norm(x: list[float] = TOKEN, share: float = 0.5) -> list[float]:
    """x over the root mean square of its first features."""
    measured = x[: int(share * len(x))]
    return [value / rms(measured) for value in x]


def mean(x: list[float]) -> float:
    return sum(x) / len(x)


def variance(x: list[float]) -> float:
    return sum((value - mean(x)) ** 2 for value in x) / len(x)


def rms(x: list[float]) -> float:
    return math.sqrt(sum(value * value for value in x) / len(x))


def outside(x: list[float], eps: float) -> list[float]:
    """RMSNorm with ε at the wrong place, behind the root."""
    return [value / (rms(x) + eps) for value in x]


def ours(option: config.Norm, x: list[float]) -> list[float]:
    """The package's own norm."""
    norm = make_norm(option, len(x)).double()
    with torch.no_grad():
        return norm(torch.tensor(x, dtype=torch.float64)).tolist()


ours_rms = ours(config.RMSNorm(eps=1e-5), TOKEN)

# A matrix in front of the norm, and the same times 10: W′ = δW.
WEIGHT = [[1.0, 0.0], [2.0, 1.0], [0.0, -1.0]]
INPUT = [1.0, 2.0]
DELTA = 10.0


def product(weight: list[list[float]] = WEIGHT, x: list[float] = INPUT) -> list[float]:
    return [sum(w * value for w, value in zip(row, x, strict=True)) for row in weight]


def scaled(delta: float = DELTA) -> list[list[float]]:
    return [[delta * w for w in row] for row in WEIGHT]


def one_row_scaled(delta: float = DELTA) -> list[list[float]]:
    return [[delta * w for w in WEIGHT[0]], *WEIGHT[1:]]


def gradient(delta: float) -> Tensor:
    """Of the first output of RMSNorm(δW·x), by δW."""
    weight = torch.tensor(scaled(delta), dtype=torch.float64, requires_grad=True)
    a = weight @ torch.tensor(INPUT, dtype=torch.float64)
    (a / a.square().mean().sqrt())[0].backward()
    assert weight.grad is not None
    return weight.grad


gradient_norm = float(gradient(1.0).norm())
gradient_norm_scaled = float(gradient(DELTA).norm())

# What 48 of 768 features know about all of them.
WIDTH, SHARE = 768, 0.0625
MEASURED = int(SHARE * WIDTH)


def sampled_spread(tokens: int = 4000) -> float:
    """The standard deviation of rms of the first 48 over rms of all 768, over normal tokens."""
    x = torch.randn(tokens, WIDTH, generator=torch.Generator().manual_seed(0))
    ratio = x[:, :MEASURED].square().mean(1).sqrt() / x.square().mean(1).sqrt()
    return float(ratio.std())


sampled = sampled_spread()
sampled_by_hand = math.sqrt((1 - SHARE) / (2 * MEASURED))

# Seconds for 1000 steps, as published: a GRU translator and a Transformer, with LayerNorm, RMSNorm, pRMSNorm.
GRU_PLAIN, GRU_LAYER, GRU_RMS = 399, 665, 501
TRANSFORMER_LAYER, TRANSFORMER_RMS, TRANSFORMER_PARTIAL = 248, 231, 225


def saved(before: int, after: int) -> float:
    return 1 - after / before


# Peri-LN: what a block does to the variance of the stream, if every branch adds independent numbers.
DEPTH = 8


def peri_growth(layers: int = DEPTH, added: float = 1.0) -> list[float]:
    """Each branch's output is normed, so each adds the same variance."""
    values = [1.0]
    for _ in range(layers):
        values.append(values[-1] + added)
    return values


def pre_growth(layers: int = DEPTH, share: float = 0.5) -> list[float]:
    """Nothing holds a branch's output: here it grows with the stream, as under large weights it can."""
    values = [1.0]
    for _ in range(layers):
        values.append(values[-1] * (1 + share))
    return values


def placement(name: str, x: list[float] = [2.0, 1.0, -1.0]) -> list[float]:  # noqa: B006
    """One step of a block under LayerNorm, F(v) = Wv."""

    def f(v: list[float]) -> list[float]:
        return product([[1, 2, 0], [0, 1, -1], [2, 0, 1]], v)

    def added(v: list[float]) -> list[float]:
        return [a + b for a, b in zip(x, v, strict=True)]

    return {
        "post": lambda: layer_norm(added(f(x))),
        "pre": lambda: added(f(layer_norm(x))),
        "peri": lambda: added(layer_norm(f(layer_norm(x)))),
    }[name]()


BASE = {"peri": (51.57, 56.55, 58.56), "pre": (49.69, 53.71, 56.69)}
peri_gain = [peri - pre for peri, pre in zip(BASE["peri"], BASE["pre"], strict=True)]


def figure_growth() -> str:
    """Variance of the stream after each addition. Where what is added grows with the stream, the curve is
    exponential, a straight line on this scale. Where each branch is normed, it flattens.
    """
    return lines(
        "Growth of the stream's variance",
        {"nothing holds the branch": pre_growth(), "the branch is normed (peri)": peri_growth()},
        x="additions",
        y="variance",
        log=True,
    )
