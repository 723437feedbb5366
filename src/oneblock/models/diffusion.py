"""From a configuration to its process, from pixels to what a process noises, and the loss of a model."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from oneblock.config import diffusion as config
from oneblock.models.ddpm import DDPM
from oneblock.models.flow import RectifiedFlow
from oneblock.models.process import Process

PROCESSES: dict[type, Callable[[Any], Process]] = {config.DDPM: DDPM, config.RectifiedFlow: RectifiedFlow}


def make_process(option: config.Process) -> Process:
    """The process an option asks for."""
    return PROCESSES[type(option)](option)


def denoising_losses(
    model: Callable[[Tensor, Tensor, Tensor | None], Tensor],
    process: Process,
    x0_BCHW: Tensor,
    classes_B: Tensor | None = None,
    generator: torch.Generator | None = None,
) -> Tensor:
    """The loss of each image at a time and with noise from `generator`, B; training takes the mean."""
    time_B, noise_BCHW = process.draw(x0_BCHW, generator)
    answer_BCHW = model(process.noised(x0_BCHW, time_B, noise_BCHW), time_B, classes_B)
    return process.losses(answer_BCHW, x0_BCHW, time_B, noise_BCHW)


def from_pixels(pixels: Tensor, dtype: torch.dtype = torch.float32) -> Tensor:
    """Bytes 0 … 255, B × H × W or B × C × H × W, as B × C × H × W in [−1, 1]."""
    if pixels.dtype != torch.uint8 or pixels.dim() not in (3, 4):
        raise ValueError(f"pixels must be bytes, B × H × W or B × C × H × W, got {pixels.dtype} {tuple(pixels.shape)}")
    images = pixels.to(dtype) / 127.5 - 1
    return images.unsqueeze(1) if images.dim() == 3 else images


def to_pixels(images_BCHW: Tensor) -> Tensor:
    """Numbers in [−1, 1], what is beyond cut off, as bytes 0 … 255 of the same shape."""
    return ((images_BCHW.float().clamp(-1, 1) + 1) * 127.5).round().to(torch.uint8)
