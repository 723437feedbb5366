"""What to build and how to train it: frozen dataclasses, one for each option. Imports no torch."""

from oneblock.config import presets
from oneblock.config.attention import Attention
from oneblock.config.block import Block, Only
from oneblock.config.config import Config
from oneblock.config.decoder import Decoder
from oneblock.config.errors import ConfigError, OneblockError
from oneblock.config.feedforward import Dense, Gated
from oneblock.config.init import FanIn, Normal, Xavier
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

__all__ = [
    "PRESETS",
    "WSD",
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
    "FanIn",
    "Gated",
    "LayerNorm",
    "Learned",
    "LinearScaling",
    "Llama3Scaling",
    "Muon",
    "NTKScaling",
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
    "Rope",
    "Scaled",
    "Sinusoidal",
    "T5Bias",
    "Xavier",
    "YarnScaling",
    "config_from_dict",
    "diff",
    "from_dict",
    "override",
    "preset",
    "presets",
    "to_dict",
]
