"""DDPM: noise added in many small steps, and the way back."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from oneblock.config import diffusion as config
from oneblock.models.process import Process, over_pixels, squared_error

HALF_BIN = 1 / 255
"""Half of the distance between two of 256 grey values in [−1, 1]."""


class Schedule:
    """Shares of noise over steps 0 … N − 1, in float64; `times`: what the model is told at each of them.

    beta β_i, alpha_bar ᾱ_i = Π(1 − β), before ᾱ_{i−1} (1 in front of the first); of q(x_{i−1} | x_i, x_0): the mean
    from_x0·x_0 + from_xt·x_t and log_posterior, the log of its variance β̃_i (β̃_0 is 0, so β̃_1 stands in its place).
    """

    def __init__(self, beta: Tensor, times: Tensor) -> None:
        self.beta, self.times = beta, times
        self.alpha_bar = (1 - beta).cumprod(0)
        self.before = torch.cat([beta.new_ones(1), self.alpha_bar[:-1]])
        posterior = beta * (1 - self.before) / (1 - self.alpha_bar)
        if len(beta) > 1:
            posterior = torch.cat([posterior[1:2], posterior[1:]])
        self.log_posterior = posterior.log()
        self.from_x0 = beta * self.before.sqrt() / (1 - self.alpha_bar)
        self.from_xt = (1 - self.before) * (1 - beta).sqrt() / (1 - self.alpha_bar)

    def respaced(self, steps: int) -> Schedule:
        """As few steps, spread evenly from the first to the last (Nichol and Dhariwal 2021, section 4)."""
        last = len(self.beta) - 1
        kept = torch.tensor([last] if steps == 1 else [round(i * last / (steps - 1)) for i in range(steps)])
        alpha_bar = self.alpha_bar[kept]
        before = torch.cat([alpha_bar.new_ones(1), alpha_bar[:-1]])
        return Schedule(1 - alpha_bar / before, self.times[kept])


class DDPM(Process):
    """x_t = √ᾱ_t·x_0 + √(1 − ᾱ_t)·ε; the model says ε (Ho et al. 2020) and, if asked, the variance of a step back.

    Learned variance: log Σ = f·log β_t + (1 − f)·log β̃_t, f = (v + 1)/2, v the second half of the answer's channels
    (Nichol and Dhariwal 2021, eq. 15). People get wrong: at t = 0 one step of noise is there already.
    """

    def __init__(self, option: config.DDPM) -> None:
        self.option = option
        scale = config.STEPS_OF_THE_PAPER / option.num_steps
        first, last = scale * option.beta_first, scale * option.beta_last
        beta = torch.linspace(first, last, option.num_steps, dtype=torch.float64)
        self.schedule = Schedule(beta, torch.arange(option.num_steps))

    def times(self, count: int, generator: torch.Generator | None = None) -> Tensor:
        """Each step as likely as the others."""
        where = None if generator is None else generator.device
        return torch.randint(self.option.num_steps, (count,), generator=generator, device=where)

    def noised(self, x0_BCHW: Tensor, time_B: Tensor, noise_BCHW: Tensor) -> Tensor:
        alpha_bar_B = _at(self.schedule.alpha_bar, time_B)
        return over_pixels(alpha_bar_B.sqrt(), x0_BCHW) * x0_BCHW + (
            over_pixels((1 - alpha_bar_B).sqrt(), x0_BCHW) * noise_BCHW
        )

    def target(self, x0_BCHW: Tensor, noise_BCHW: Tensor) -> Tensor:
        """The noise."""
        return noise_BCHW

    def losses(self, answer_BCHW: Tensor, x0_BCHW: Tensor, time_B: Tensor, noise_BCHW: Tensor) -> Tensor:
        """mean (ε − ε̂)², and with a learned variance num_steps/1000 · L_vlb, which teaches the variance alone."""
        if self.option.variance != "learned":
            return squared_error(answer_BCHW, noise_BCHW)
        epsilon_BCHW, variance_BCHW = answer_BCHW.chunk(2, dim=1)
        held_BCHW = torch.cat([epsilon_BCHW.detach(), variance_BCHW], dim=1)
        x_BCHW = self.noised(x0_BCHW, time_B, noise_BCHW)
        share = self.option.num_steps / config.STEPS_OF_THE_PAPER
        return squared_error(epsilon_BCHW, noise_BCHW) + share * self.bound(held_BCHW, x0_BCHW, x_BCHW, time_B)

    def foreseen(self, x_BCHW: Tensor, epsilon_BCHW: Tensor, index_B: Tensor, schedule: Schedule) -> Tensor:
        """x̂_0 = x_t/√ᾱ − √(1/ᾱ − 1)·ε̂, held in [−1, 1] where the process clips."""
        alpha_bar_B = _at(schedule.alpha_bar, index_B)
        x0_BCHW = over_pixels(alpha_bar_B.rsqrt(), x_BCHW) * x_BCHW - (
            over_pixels((1 / alpha_bar_B - 1).sqrt(), x_BCHW) * epsilon_BCHW
        )
        return x0_BCHW.clamp(-1, 1) if self.option.clip else x0_BCHW

    def posterior(
        self, x0_BCHW: Tensor, x_BCHW: Tensor, index_B: Tensor, schedule: Schedule | None = None
    ) -> tuple[Tensor, Tensor]:
        """Mean, and log variance B × 1 × 1 × 1, of q(x_{t−1} | x_t, x_0) (Ho et al. 2020, eq. 7)."""
        schedule = schedule or self.schedule
        mean_BCHW = over_pixels(_at(schedule.from_x0, index_B), x_BCHW) * x0_BCHW + (
            over_pixels(_at(schedule.from_xt, index_B), x_BCHW) * x_BCHW
        )
        return mean_BCHW, over_pixels(_at(schedule.log_posterior, index_B), x_BCHW)

    def back(
        self, answer_BCHW: Tensor, x_BCHW: Tensor, index_B: Tensor, schedule: Schedule | None = None
    ) -> tuple[Tensor, Tensor]:
        """Mean and log variance of the model's step from x_t to x_{t−1}. `index_B`: the step of the schedule."""
        schedule = schedule or self.schedule
        epsilon_BCHW = answer_BCHW[:, : x_BCHW.shape[1]]
        mean_BCHW, small = self.posterior(
            self.foreseen(x_BCHW, epsilon_BCHW, index_B, schedule), x_BCHW, index_B, schedule
        )
        if self.option.variance == "posterior":
            return mean_BCHW, small
        large = over_pixels(_at(schedule.beta, index_B).log(), x_BCHW)
        if self.option.variance == "beta":
            return mean_BCHW, large
        share_BCHW = (answer_BCHW[:, x_BCHW.shape[1] :] + 1) / 2
        return mean_BCHW, share_BCHW * large + (1 - share_BCHW) * small

    def bound(self, answer_BCHW: Tensor, x0_BCHW: Tensor, x_BCHW: Tensor, time_B: Tensor) -> Tensor:
        """L_t of the variational bound, in bits a number: KL(q ‖ p), at t = 0 the image's own −log p in 256 values."""
        mean_BCHW, log_variance_BCHW = self.back(answer_BCHW, x_BCHW, time_B)
        true_BCHW, true_log_variance = self.posterior(x0_BCHW, x_BCHW, time_B)
        divergence_BCHW = 0.5 * (
            log_variance_BCHW
            - true_log_variance
            + (true_log_variance - log_variance_BCHW).exp()
            + (true_BCHW - mean_BCHW).square() * (-log_variance_BCHW).exp()
            - 1
        )
        first_BCHW = grey_cost(x0_BCHW, mean_BCHW, log_variance_BCHW)
        cost_BCHW = torch.where((time_B == 0).view(-1, 1, 1, 1), first_BCHW, divergence_BCHW)
        return cost_BCHW.flatten(1).mean(1) / math.log(2)


def grey_cost(x_BCHW: Tensor, mean_BCHW: Tensor, log_variance_BCHW: Tensor) -> Tensor:
    """−log of the normal's mass on each number's own one of 256 bins, the outermost open (Ho et al. 2020, eq. 13)."""
    per_std_BCHW = (-0.5 * log_variance_BCHW).exp()
    low_BCHW, high_BCHW = ((x_BCHW - mean_BCHW + side) * per_std_BCHW for side in (-HALF_BIN, HALF_BIN))
    inside_BCHW = (torch.special.ndtr(high_BCHW) - torch.special.ndtr(low_BCHW)).clamp(min=1e-12).log()
    open_BCHW = torch.where(x_BCHW > 0, torch.special.log_ndtr(-low_BCHW), torch.special.log_ndtr(high_BCHW))
    return -torch.where(x_BCHW.abs() > 1 - HALF_BIN, open_BCHW, inside_BCHW)


def _at(table: Tensor, index_B: Tensor) -> Tensor:
    return table.to(index_B.device)[index_B]
