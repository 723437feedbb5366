"""What every process is: a way from images to noise, and what a model is asked on it."""

from __future__ import annotations

from abc import ABC, abstractmethod

import torch
from torch import Tensor


class Process(ABC):
    """How images are noised, what the model is to answer, and how wrong an answer is. Holds no parameters.

    Images are B × C × H × W, brought to about [−1, 1]; time is a number for each image.
    """

    @abstractmethod
    def times(self, count: int, generator: torch.Generator | None = None) -> Tensor:
        """Times to train at, one for each image, on the generator's device."""

    @abstractmethod
    def noised(self, x0_BCHW: Tensor, time_B: Tensor, noise_BCHW: Tensor) -> Tensor:
        """x_t, the image on its way."""

    @abstractmethod
    def target(self, x0_BCHW: Tensor, noise_BCHW: Tensor) -> Tensor:
        """What a perfect model says at x_t, on average over all images that could be there."""

    @abstractmethod
    def losses(self, answer_BCHW: Tensor, x0_BCHW: Tensor, time_B: Tensor, noise_BCHW: Tensor) -> Tensor:
        """What the answer at x_t costs, one number for each image."""

    def draw(self, x0_BCHW: Tensor, generator: torch.Generator | None = None) -> tuple[Tensor, Tensor]:
        """A time and noise for each image, all from `generator` (None: torch's own)."""
        where = x0_BCHW.device if generator is None else generator.device
        time_B = self.times(x0_BCHW.shape[0], generator)
        noise_BCHW = torch.randn(x0_BCHW.shape, generator=generator, dtype=x0_BCHW.dtype, device=where)
        return time_B.to(x0_BCHW.device), noise_BCHW.to(x0_BCHW.device)


def over_pixels(number_B: Tensor, like_BCHW: Tensor) -> Tensor:
    """One number for each image, shaped and typed so that it multiplies images."""
    return number_B.to(like_BCHW).view(-1, 1, 1, 1)


def squared_error(answer_BCHW: Tensor, target_BCHW: Tensor) -> Tensor:
    """The mean square of the difference, one number for each image."""
    return (answer_BCHW - target_BCHW).square().flatten(1).mean(1)
