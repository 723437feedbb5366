"""`build(config) -> model`."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import nn

from oneblock.config.config import Config
from oneblock.config.decoder import Decoder as DecoderConfig
from oneblock.models.decoder import Decoder

MODELS: dict[type, Callable[..., nn.Module]] = {DecoderConfig: Decoder}


def build(config: Config | DecoderConfig, *, seed: int | None = None, fused: bool = True) -> nn.Module:
    """The model a configuration describes, with fresh weights, in train mode.

    seed: draws the weights from that seed and leaves torch's generator as it was; None: from torch's generator.
    fused: attention by the machine's fused kernels where they can express it; False writes it out everywhere.
    """
    model = config.model if isinstance(config, Config) else config
    make = MODELS[type(model)]
    if seed is None:
        return make(model, fused=fused)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return make(model, fused=fused)
