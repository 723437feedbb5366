"""Learning-rate schedules: pure functions from a step to a factor of the peak learning rate.

Steps count from 0. The warm-up is (step + 1) / (warmup + 1), so step 0 already moves and step `warmup`
is the first at the peak; the decay reaches `final` at step `total`, the first that is no longer trained.
From `total` on the factor stays at `final`.
"""

from __future__ import annotations

import math

from oneblock.config.errors import ConfigError
from oneblock.config.recipe import WSD, Constant, Cosine, Schedule

_SHAPES = ("linear", "one-minus-sqrt")


def factor(option: Schedule, step: int, total: int) -> float:
    """The learning rate of a step as a share of the full one."""
    match option:
        case Constant():
            return constant(step, total, option.warmup)
        case Cosine():
            return cosine(step, total, option.warmup, option.final)
        case WSD():
            return wsd(step, total, option.warmup, option.decay, option.final, option.shape)


def constant(step: int, total: int, warmup: int = 0) -> float:
    """Warm-up, then the peak for ever.

    factor = min(1, (step + 1) / (warmup + 1))
    """
    return _warming(step, _warmup_within(step, total, warmup))


def cosine(step: int, total: int, warmup: int = 0, final: float = 0.1) -> float:
    """Warm-up, then half a cosine from the peak down to `final`.

    factor = final + (1 - final) · (1 + cos(π·(step - warmup) / (total - warmup))) / 2

    A warm-up that would not end inside the run is cut to half of the run, so that even a very short run
    reaches the peak. Raises ConfigError for a value out of bounds. Loshchilov & Hutter 2017, no restarts.
    """
    warmup = _warmup_within(step, total, warmup)
    _check_share("final", final)
    if step < warmup:
        return _warming(step, warmup)
    progress = min(1.0, (step - warmup) / (total - warmup))
    return final + (1.0 - final) * 0.5 * (1.0 + math.cos(math.pi * progress))


def wsd(
    step: int,
    total: int,
    warmup: int = 0,
    decay_share: float = 0.2,
    final: float = 0.0,
    shape: str = "linear",
) -> float:
    """Warm-up, stable, decay: the peak is kept and left only in the last `decay_share` of the steps.

    linear: factor = 1 - (1 - final)·r;  one-minus-sqrt: factor = 1 - (1 - final)·√r,  r from 0 to 1.

    The decay begins after the warm-up, however large its share. Unlike the cosine, `total` need not be known
    before the decay begins. Hu et al. 2024 (MiniCPM); Hägele et al. 2024 for the root.
    """
    warmup = _warmup_within(step, total, warmup)
    _check_share("decay_share", decay_share)
    _check_share("final", final)
    if shape not in _SHAPES:
        raise ConfigError("shape", shape, "is no shape of decay", _SHAPES)
    start = max(warmup, total - round(decay_share * total))
    if step < start or start == total:
        return _warming(step, warmup)
    progress = min(1.0, (step - start) / (total - start))
    return 1.0 - (1.0 - final) * (progress if shape == "linear" else math.sqrt(progress))


def _warming(step: int, warmup: int) -> float:
    return min(1.0, (step + 1) / (warmup + 1))


def _warmup_within(step: int, total: int, warmup: int) -> int:
    if step < 0:
        raise ConfigError("step", step, "must be 0 or more")
    if total < 1:
        raise ConfigError("total", total, "must be at least 1 step")
    if warmup < 0:
        raise ConfigError("warmup", warmup, "must be 0 steps or more")
    return warmup if warmup < total else total // 2


def _check_share(name: str, value: float) -> None:
    if not 0.0 <= value <= 1.0:
        raise ConfigError(name, value, "must lie between 0 and 1")
