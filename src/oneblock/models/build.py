"""`build(config) -> model`."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import nn

from oneblock.config.config import Config, Model, model_of
from oneblock.config.decoder import Decoder as DecoderConfig
from oneblock.config.dit import DiT as DiTConfig
from oneblock.config.encoder import Encoder as EncoderConfig
from oneblock.config.encoder_decoder import EncoderDecoder as EncoderDecoderConfig
from oneblock.config.vision import Vision as VisionConfig
from oneblock.models.decoder import Decoder
from oneblock.models.dit import DiT
from oneblock.models.encoder import Encoder
from oneblock.models.encoder_decoder import EncoderDecoder
from oneblock.models.vision import Vision

MODELS: dict[type, Callable[..., nn.Module]] = {
    DecoderConfig: Decoder,
    EncoderConfig: Encoder,
    EncoderDecoderConfig: EncoderDecoder,
    DiTConfig: DiT,
    VisionConfig: Vision,
}


def build(config: Config | Model, *, seed: int | None = None, fused: bool = True) -> nn.Module:
    """The model a configuration describes, with fresh weights, in train mode.

    seed: draws the weights from that seed and leaves torch's generator as it was; None: from torch's generator.
    fused: attention by the machine's fused kernels where they can express it; False writes it out everywhere.
    """
    model = model_of(config)
    make = MODELS[type(model)]
    if seed is None:
        return make(model, fused=fused)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return make(model, fused=fused)
