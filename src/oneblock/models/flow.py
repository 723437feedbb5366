"""Rectified flow: a straight line from noise to image."""

from __future__ import annotations

import torch
from torch import Tensor

from oneblock.config import diffusion as config
from oneblock.models.process import Process, over_pixels, squared_error


class RectifiedFlow(Process):
    """x_t = t·x_0 + (1 − t)·ε, velocity x_0 − ε, t from 0 (noise) to 1 (image) (Liu et al. 2022; SiT's direction).

    People get wrong: Stable Diffusion 3 and Flux count time the other way round and answer ε − x_0.
    """

    def __init__(self, option: config.RectifiedFlow) -> None:
        self.option = option

    def times(self, count: int, generator: torch.Generator | None = None) -> Tensor:
        """Uniform in [0, 1), or σ(N(mean, std²)); then shifted."""
        where = None if generator is None else generator.device
        if self.option.time == "uniform":
            return self.shifted(torch.rand(count, generator=generator, device=where))
        normal_B = torch.randn(count, generator=generator, device=where)
        return self.shifted((self.option.mean + self.option.std * normal_B).sigmoid())

    def shifted(self, time: Tensor) -> Tensor:
        """Times moved towards the noise: of its share r = 1 − t, s·r / (1 + (s − 1)·r) (Esser et al. 2024, eq. 23)."""
        share = 1 - time
        return 1 - self.option.shift * share / (1 + (self.option.shift - 1) * share)

    def noised(self, x0_BCHW: Tensor, time_B: Tensor, noise_BCHW: Tensor) -> Tensor:
        t = over_pixels(time_B, x0_BCHW)
        return t * x0_BCHW + (1 - t) * noise_BCHW

    def target(self, x0_BCHW: Tensor, noise_BCHW: Tensor) -> Tensor:
        """The velocity, the same all along the line."""
        return x0_BCHW - noise_BCHW

    def losses(self, answer_BCHW: Tensor, x0_BCHW: Tensor, time_B: Tensor, noise_BCHW: Tensor) -> Tensor:
        return squared_error(answer_BCHW, self.target(x0_BCHW, noise_BCHW))

    def grid(self, steps: int) -> Tensor:
        """The times 0 = t_0 < … < t_steps = 1 that a sampler stops at, in float64."""
        return self.shifted(torch.linspace(0, 1, steps + 1, dtype=torch.float64))
