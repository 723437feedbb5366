"""Which norm makes y of x: its kind and eps, solved for and rounded to a number that somebody would write."""

from __future__ import annotations

import itertools

import torch
from torch import Tensor

from oneblock.doctor.parity.twin import Choices, norm

EPS = (1e-5, 1e-6, 1e-8, 1e-12, 1e-4, 1e-3, 1e-2, 1e-1, 1e-7, 1e-9, 1e-10, 0.0)
PLAIN: Choices = {
    "kind": "layer",
    "eps": 1e-5,
    "form": "weight",
    "variance": "population",
    "eps_place": "inside the root",
}
CLOSE = 2e-5
"""Largest difference, relative to the largest value, at which a part of a model is taken for read."""


def gap(found: Tensor, wanted: Tensor) -> float:
    """max|Δ| / max|wanted|, infinite where shapes differ or something is not finite."""
    if found.shape != wanted.shape:
        return float("inf")
    most = float((found - wanted).abs().max()) / (float(wanted.abs().max()) or 1.0)
    return most if most == most else float("inf")


def fit_norm(
    x: Tensor, gain: Tensor | None, bias: Tensor | None, y: Tensor, guesses: tuple[Choices | None, ...] = ()
) -> tuple[Choices, float]:
    """The choices that come closest, and how close. A guess is kept where nothing is clearly closer."""
    tensors = {"n.gain": gain, "n.bias": bias}

    def off(c: Choices) -> float:
        return gap(norm(x, c, tensors, "n"), y)

    tried = [(off(c), c) for c in candidates(x, gain, bias, y)]
    best = min(tried, key=lambda pair: pair[0], default=(float("inf"), PLAIN))
    for guess in guesses:
        if guess is not None and guess["kind"] != "none":
            c = {key: guess[key] for key in PLAIN}
            distance = off(c)
            if distance <= 3 * best[0] + 1e-9:
                return c, distance
    return best[1], best[0]


def candidates(x: Tensor, gain: Tensor | None, bias: Tensor | None, y: Tensor) -> list[Choices]:
    """Norms whose direction is that of y, each with the eps that its length asks for."""
    y = y if bias is None else y - bias
    found: list[Choices] = []
    forms = ("weight",) if gain is None else ("weight", "1 + weight")
    for kind, form in itertools.product(("scale", "rms", "layer"), forms):
        base = x - x.mean(-1, keepdim=True) if kind == "layer" else x
        shaped = base if gain is None else base * (1 + gain if form == "1 + weight" else gain)
        if kind == "scale":
            if gain is not None and gap(shaped, y) < CLOSE:
                found.append(PLAIN | {"kind": kind, "form": form})
            continue
        times = (y * shaped).sum(-1, keepdim=True) / shaped.square().sum(-1, keepdim=True)
        if not gap(times * shaped, y) < CLOSE or bool((times <= 0).any()):
            continue
        for variance, place in itertools.product(("population", "sample"), ("inside the root", "outside the root")):
            count = x.shape[-1] - (variance == "sample")
            square = base.square().sum(-1, keepdim=True) / count
            exact = (1 / times - square.sqrt()) if place == "outside the root" else (times**-2 - square)
            solved = max(float(exact.median()), 0.0)
            rounded = float(f"{solved:.1e}")
            near = sorted(EPS, key=lambda eps: abs(eps - solved))[:3]
            found += [
                PLAIN | {"kind": kind, "form": form, "variance": variance, "eps_place": place, "eps": eps}
                for eps in dict.fromkeys([*near, rounded])
            ]
    return found


def ratio(x: Tensor, out: Tensor, gain: Tensor | None, bias: Tensor | None, y: Tensor) -> list[float]:
    """k where y is a norm of x + k · out, solved for token by token; with and without the mean taken away."""
    y = y if bias is None else y - bias
    y = y if gain is None else torch.where(gain.abs() > 1e-6, y / gain, 0)
    found = []
    for centred in (False, True):
        a, b = (t - t.mean(-1, keepdim=True) if centred else t for t in (x, out))
        columns = torch.stack([a, b], -1).flatten(0, -3)
        weights = torch.linalg.lstsq(columns, y.reshape(-1, y.shape[-1], 1)).solution[..., 0]
        k = weights[:, 1] / weights[:, 0]
        if bool(torch.isfinite(k).all()) and float(k.std()) < 1e-3 * (1 + float(k.abs().mean())):
            found.append(tidy(float(k.median())))
    return found


def tidy(value: float) -> float:
    """A number as somebody would write it: four digits where they suffice."""
    for digits in range(1, 7):
        short = float(f"{value:.{digits}g}")
        if abs(short - value) <= 1e-6 * abs(value):
            return short
    return value
