"""The ways from noise to an image, each for one process."""

from __future__ import annotations

import sys
from collections.abc import Callable
from itertools import pairwise
from typing import Any, NamedTuple

import torch
from torch import Tensor

from oneblock.models.ddpm import DDPM
from oneblock.models.flow import RectifiedFlow
from oneblock.models.process import Process

Predict = Callable[[Tensor, Tensor], Tensor]
"""(x_t, its time, one number for all images) -> what the process asks of a model."""

Noise = Callable[[], Tensor]
"""New noise for all images."""


def ancestral(process: DDPM, predict: Predict, x_BCHW: Tensor, steps: int, noise: Noise) -> Tensor:
    """x_{t−1} = μ(x_t, ε̂) + √Σ·z, without z at the end (Ho et al. 2020, algorithm 2), over respaced steps."""
    schedule = process.schedule.respaced(steps)
    for index in reversed(range(steps)):
        index_B = torch.full((x_BCHW.shape[0],), index, device=x_BCHW.device)
        answer_BCHW = predict(x_BCHW, schedule.times[index])
        x_BCHW, log_variance_BCHW = process.back(answer_BCHW, x_BCHW, index_B, schedule)
        if index:
            x_BCHW = x_BCHW + (0.5 * log_variance_BCHW).exp() * noise()
    return x_BCHW


def ddim(process: DDPM, predict: Predict, x_BCHW: Tensor, steps: int, noise: Noise) -> Tensor:
    """x_{t−1} = √ᾱ_{t−1}·x̂_0 + √(1 − ᾱ_{t−1})·ε̂, without noise of its own (Song et al. 2021, eq. 12, η = 0).

    ε̂ is taken anew from x̂_0, so that both agree where x̂_0 was clipped.
    """
    schedule = process.schedule.respaced(steps)
    for index in reversed(range(steps)):
        index_B = torch.full((x_BCHW.shape[0],), index, device=x_BCHW.device)
        epsilon_BCHW = predict(x_BCHW, schedule.times[index])[:, : x_BCHW.shape[1]]
        x0_BCHW = process.foreseen(x_BCHW, epsilon_BCHW, index_B, schedule)
        share, before = float(schedule.alpha_bar[index]), float(schedule.before[index])
        epsilon_BCHW = (x_BCHW - share**0.5 * x0_BCHW) / (1 - share) ** 0.5
        x_BCHW = before**0.5 * x0_BCHW + (1 - before) ** 0.5 * epsilon_BCHW
    return x_BCHW


def euler(process: RectifiedFlow, predict: Predict, x_BCHW: Tensor, steps: int, noise: Noise) -> Tensor:
    """x += Δt·v(x, t): one answer for each step, error falling as 1/steps."""
    times = process.grid(steps)
    for start, end in pairwise(times):
        x_BCHW = x_BCHW + float(end - start) * predict(x_BCHW, start)
    return x_BCHW


def heun(process: RectifiedFlow, predict: Predict, x_BCHW: Tensor, steps: int, noise: Noise) -> Tensor:
    """x += Δt·(v at the start + v at Euler's end)/2: two answers for each step, error falling as 1/steps²."""
    times = process.grid(steps)
    for start, end in pairwise(times):
        first_BCHW = predict(x_BCHW, start)
        second_BCHW = predict(x_BCHW + float(end - start) * first_BCHW, end)
        x_BCHW = x_BCHW + float(end - start) * (first_BCHW + second_BCHW) / 2
    return x_BCHW


class Sampler(NamedTuple):
    """A way back, the process it is for, and how many steps it takes unless told."""

    run: Callable[[Any, Predict, Tensor, int, Noise], Tensor]
    process: type[Process]
    steps: int

    def most(self, process: Process) -> int:
        """The most steps it can take."""
        return process.option.num_steps if isinstance(process, DDPM) else sys.maxsize


SAMPLERS = {
    "ancestral": Sampler(ancestral, DDPM, 250),
    "ddim": Sampler(ddim, DDPM, 50),
    "heun": Sampler(heun, RectifiedFlow, 25),
    "euler": Sampler(euler, RectifiedFlow, 50),
}
"""Name -> sampler; the first of a process is its usual one."""
