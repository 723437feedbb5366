"""Numbers of the lesson `optimisers`: a valley, AdamW by hand, schedules, Newton-Schulz on a small matrix."""

from __future__ import annotations

import math
from typing import Any

# A valley that is flat along one weight and steep along the other: f = (1·a² + 9·b²) / 2.
CURVES = (1.0, 9.0)
START = (4.0, 1.0)
RATE = 0.1
TOO_HIGH = 0.25
MOMENTUM = 0.9

WEIGHT = 1.0
GRADIENTS = (0.5, 0.3)
BETA1, BETA2 = 0.9, 0.99
DECAY = 0.1
SIZES = (0.001, 1.0, 1000.0)

MATRIX = ((3.0, 0.0), (0.0, 1.0), (0.0, 0.0))
A, B, C = 3.4445, -4.775, 2.0315

GRADIENT = (3.0, 4.0)
BOUND = 1.0
SPIKE = 100.0
DECAY_RATE = 0.01
BAND = (0.7, 1.2)
LARGE_BETA2, TORCH_BETA2 = 0.95, 0.999


# Plain descent


def slope(weights: Any) -> list[float]:
    """The gradient of the valley: curve times weight, for each."""
    return [curve * weight for curve, weight in zip(CURVES, weights, strict=True)]


def height(weights: Any) -> float:
    """The loss: half the sum of curve times weight squared."""
    return sum(curve * weight**2 for curve, weight in zip(CURVES, weights, strict=True)) / 2


def sgd(rate: float = RATE, steps: int = 2) -> list[list[float]]:
    """Plain descent: each weight goes against its gradient, times the rate."""
    weights = list(START)
    path = [weights]
    for _ in range(steps):
        weights = [weight - rate * g for weight, g in zip(weights, slope(weights), strict=True)]
        path.append(weights)
    return path


def momentum(rate: float = RATE, mu: float = MOMENTUM, steps: int = 2) -> list[list[float]]:
    """Descent with momentum: the speed keeps a share mu of itself and takes up the gradient."""
    weights, speed = list(START), [0.0, 0.0]
    path = [weights]
    for _ in range(steps):
        speed = [mu * v + g for v, g in zip(speed, slope(weights), strict=True)]
        weights = [weight - rate * v for weight, v in zip(weights, speed, strict=True)]
        path.append(weights)
    return path


def highest_rate() -> float:
    """Above this rate the steep weight overshoots by more at each step: 2 / curve."""
    return 2 / max(CURVES)


def figure_descent() -> str:
    """The loss over steps. At the higher rate the steep weight overshoots, and the loss explodes."""
    from oneblock.learn.course.figures import lines

    return lines(
        "Loss in the valley: plain descent, momentum, and a rate that is too high",
        {
            "plain": [height(w) for w in sgd(steps=12)],
            "momentum": [height(w) for w in momentum(steps=12)],
            "rate too high": [height(w) for w in sgd(TOO_HIGH, steps=12)],
        },
        x="step",
        y="loss",
        log=True,
    )


# AdamW


def adamw(gradients: Any = GRADIENTS, decay: float = DECAY, rate: float = RATE) -> list[dict[str, float]]:
    """AdamW on one weight, every quantity of every step."""
    weight, mean, square, rows = WEIGHT, 0.0, 0.0, []
    for step, gradient in enumerate(gradients, start=1):
        shrunk = weight * (1 - rate * decay)
        mean = BETA1 * mean + (1 - BETA1) * gradient
        square = BETA2 * square + (1 - BETA2) * gradient**2
        mean_hat = mean / (1 - BETA1**step)
        square_hat = square / (1 - BETA2**step)
        change = rate * mean_hat / (math.sqrt(square_hat) + 1e-8)
        weight = shrunk - change
        rows.append(
            {
                "gradient": gradient,
                "shrunk": shrunk,
                "m": mean,
                "v": square,
                "m_hat": mean_hat,
                "v_hat": square_hat,
                "root": math.sqrt(square_hat),
                "change": change,
                "weight": weight,
            }
        )
    return rows


def torch_adamw() -> list[float]:
    """The weight after each step of torch's own AdamW."""
    import torch

    weight = torch.tensor([WEIGHT]).double().requires_grad_()
    optimizer = torch.optim.AdamW(
        [weight],
        lr=RATE,
        betas=(BETA1, BETA2),
        weight_decay=DECAY,
    )
    found = []
    for gradient in GRADIENTS:
        weight.grad = torch.full_like(weight, gradient)
        optimizer.step()
        found.append(float(weight.detach()))
    return found


def first_changes() -> list[float]:
    """The first change of weights whose gradients are of very different size."""
    return [adamw([size], decay=0.0)[0]["change"] for size in SIZES]


def sgd_changes() -> list[float]:
    """What plain descent does with the same gradients."""
    return [RATE * size for size in SIZES]


def after_decay(coupled: bool, size: float, steps: int = 100, rate: float = DECAY_RATE) -> float:
    """A weight of 1 after 100 steps under gradients +size, −size, …: decay inside the gradient (L2), or decoupled."""
    weight, mean, square = 1.0, 0.0, 0.0
    for step in range(1, steps + 1):
        gradient = size * (-1) ** step
        if coupled:
            gradient += DECAY * weight
        else:
            weight *= 1 - rate * DECAY
        mean = BETA1 * mean + (1 - BETA1) * gradient
        square = BETA2 * square + (1 - BETA2) * gradient**2
        weight -= rate * (mean / (1 - BETA1**step)) / (math.sqrt(square / (1 - BETA2**step)) + 1e-8)
    return weight


def memory(beta: float) -> float:
    """About how many of the last gradients a running mean holds: 1 / (1 − β)."""
    return 1 / (1 - beta)


# Schedules


def factors(step: int, total: int = 1000) -> dict[str, float]:
    """The share of the full rate at a step, by the schedules of this package."""
    from oneblock.config.recipe import WSD, Constant, Cosine
    from oneblock.train.schedule import factor

    return {
        "cosine": factor(Cosine(warmup=100, final=0.1), step, total),
        "wsd": factor(WSD(warmup=100, decay=0.2), step, total),
        "constant": factor(Constant(warmup=100), step, total),
    }


def figure_schedules() -> str:
    """A run of a thousand steps under three schedules, each with a warm-up of a hundred."""
    from oneblock.learn.course.figures import lines

    steps = list(range(0, 1001, 20))
    return lines(
        "Learning rate over the steps, as a share of the full one",
        {name: [factors(step)[name] for step in steps] for name in ("cosine", "wsd", "constant")},
        xs=steps,
        x="step",
        y="share of the full rate",
        marks=False,
    )


def recipe(name: str = "nano") -> Any:
    """The recipe of a preset."""
    from oneblock.config.presets import preset

    return preset(name).recipe


# Muon


def frobenius() -> float:
    """The root of the sum of the squared entries."""
    return math.sqrt(sum(entry**2 for row in MATRIX for entry in row))


def polynomial(s: float) -> float:
    """One step of Newton-Schulz on one singular value."""
    return A * s + B * s**3 + C * s**5


def singular_values(steps: int = 5) -> list[list[float]]:
    """The two singular values before the first step and after each."""
    values = [MATRIX[0][0] / frobenius(), MATRIX[1][1] / frobenius()]
    rows = [values]
    for _ in range(steps):
        values = [polynomial(value) for value in values]
        rows.append(values)
    return rows


def newton_schulz() -> Any:
    """In double precision; the function takes lying matrices."""
    import torch

    from oneblock.train.muon import newton_schulz

    lying = torch.tensor(MATRIX).double().mT
    found = newton_schulz(lying[None], dtype=torch.float64)
    return found[0].mT


def muon_scale() -> float:
    """By what the step of a matrix that stands is enlarged: √(rows / columns)."""
    return math.sqrt(max(1.0, len(MATRIX) / len(MATRIX[0])))


# Clipping


def norm(gradient: Any = GRADIENT) -> float:
    """The length of the gradient."""
    return math.sqrt(sum(g**2 for g in gradient))


def clipped(gradient: Any = GRADIENT, bound: float = BOUND) -> list[float]:
    """The gradient, shortened to the bound where it is longer; its direction stays."""
    return [g * min(1.0, bound / norm(gradient)) for g in gradient]


def after_spike(waited: int, spike: float = SPIKE) -> float:
    """The step as a share of the rate: gradients of 1, one of `spike`, then `waited` more of 1."""
    gradients = [1.0] * 200 + [spike] + [1.0] * waited
    return adamw(gradients, decay=0.0)[-1]["change"] / RATE
