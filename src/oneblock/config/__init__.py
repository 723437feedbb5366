"""What to build and how to train it: frozen dataclasses, one for each option. Imports no torch."""

from oneblock.config import presets
from oneblock.config.attention import Attention
from oneblock.config.block import Block, Only
from oneblock.config.config import Config
from oneblock.config.decoder import Decoder
from oneblock.config.diffusion import DDPM, RectifiedFlow
from oneblock.config.dit import DiT, dit_block
from oneblock.config.encoder import Encoder, FirstPool, MeanPool, NoHead, TokenHead, TransformedHead
from oneblock.config.encoder_decoder import EncoderDecoder
from oneblock.config.errors import ConfigError, OneblockError
from oneblock.config.feedforward import Dense, Gated, GShard, Switch, TopK
from oneblock.config.images import Sinusoidal2D
from oneblock.config.init import FanIn, Normal, Xavier
from oneblock.config.modulation import AdaLN, AdaLNZero, NoModulation
from oneblock.config.norm import LayerNorm, NoNorm, PartialRMSNorm, RMSNorm
from oneblock.config.override import override
from oneblock.config.position import (
    Alibi,
    Learned,
    LinearScaling,
    Llama3Scaling,
    NoPosition,
    NoScaling,
    NTKScaling,
    Rope,
    Sinusoidal,
    T5Bias,
    YarnScaling,
)
from oneblock.config.presets import PRESETS, preset
from oneblock.config.recipe import WSD, AdamW, Constant, Cosine, Muon, Recipe
from oneblock.config.residual import Added, NoResidual, Scaled
from oneblock.config.serial import config_from_dict, diff, from_dict, to_dict
from oneblock.config.stack import Stack
from oneblock.config.vision import Vision, vision_block

__all__ = [
    "DDPM",
    "PRESETS",
    "WSD",
    "AdaLN",
    "AdaLNZero",
    "AdamW",
    "Added",
    "Alibi",
    "Attention",
    "Block",
    "Config",
    "ConfigError",
    "Constant",
    "Cosine",
    "Decoder",
    "Dense",
    "DiT",
    "Encoder",
    "EncoderDecoder",
    "FanIn",
    "FirstPool",
    "GShard",
    "Gated",
    "LayerNorm",
    "Learned",
    "LinearScaling",
    "Llama3Scaling",
    "MeanPool",
    "Muon",
    "NTKScaling",
    "NoHead",
    "NoModulation",
    "NoNorm",
    "NoPosition",
    "NoResidual",
    "NoScaling",
    "Normal",
    "OneblockError",
    "Only",
    "PartialRMSNorm",
    "RMSNorm",
    "Recipe",
    "RectifiedFlow",
    "Rope",
    "Scaled",
    "Sinusoidal",
    "Sinusoidal2D",
    "Stack",
    "Switch",
    "T5Bias",
    "TokenHead",
    "TopK",
    "TransformedHead",
    "Vision",
    "Xavier",
    "YarnScaling",
    "config_from_dict",
    "diff",
    "dit_block",
    "from_dict",
    "override",
    "preset",
    "presets",
    "to_dict",
    "vision_block",
]
