"""Processes: how an image becomes noise, and what a model is to say about it on the way back."""

from __future__ import annotations

from dataclasses import dataclass

from oneblock.config.errors import ConfigError
from oneblock.config.part import Part, choice, count, flag, number, positive

STEPS_OF_THE_PAPER = 1000


@dataclass(frozen=True, kw_only=True)
class DDPM(Part):
    """x_t = √ᾱ_t·x_0 + √(1 − ᾱ_t)·ε in `num_steps` steps; the model says ε (Ho et al. 2020).

    beta_first, beta_last: the ends of a straight line over 1000 steps, both times 1000/num_steps for other numbers
    variance: of a step back: `beta` or the `posterior`'s, both fixed, or `learned` between the two
              (Nichol and Dhariwal 2021)
    clip:     hold the image that is foreseen in [−1, 1] while sampling (pixels, not latents)
    """

    num_steps: int = count(STEPS_OF_THE_PAPER, minimum=2)
    beta_first: float = positive(1e-4)
    beta_last: float = positive(2e-2)
    variance: str = choice("learned", "learned", "posterior", "beta")
    clip: bool = flag(False)

    def __post_init__(self) -> None:
        super().__post_init__()
        largest = max(self.beta_first, self.beta_last) * STEPS_OF_THE_PAPER / self.num_steps
        if largest >= 1:
            enough = int(max(self.beta_first, self.beta_last) * STEPS_OF_THE_PAPER) + 1
            rule = f"makes β·{STEPS_OF_THE_PAPER}/num_steps = {largest:g}, a share that must be below 1"
            raise ConfigError("num_steps", self.num_steps, rule, (f"{enough} or more",))


@dataclass(frozen=True, kw_only=True)
class RectifiedFlow(Part):
    """x_t = t·x_0 + (1 − t)·ε, t from 0 (noise) to 1 (image); the model says the velocity x_0 − ε (Liu et al. 2022).

    time:       how t is drawn in training: `uniform`, or `logit_normal`, σ(N(mean, std²)) (Esser et al. 2024)
    shift:      above 1, more of the steps of training and sampling near the noise: with r = 1 − t the share of noise,
                r becomes shift·r / (1 + (shift − 1)·r)
    time_scale: the model is told t times this
    """

    time: str = choice("uniform", "uniform", "logit_normal")
    mean: float = number(0.0)
    std: float = positive(1.0)
    shift: float = positive(1.0)
    time_scale: float = positive(1.0)


PROCESSES = {"ddpm": DDPM, "rectified_flow": RectifiedFlow}
Process = DDPM | RectifiedFlow
