"""`Config`: a model and the recipe that trains it."""

from __future__ import annotations

from dataclasses import dataclass, field

from oneblock.config.decoder import Decoder
from oneblock.config.dit import DiT
from oneblock.config.encoder import Encoder
from oneblock.config.encoder_decoder import EncoderDecoder
from oneblock.config.errors import ConfigError
from oneblock.config.objective import OBJECTIVES, Denoise, Masked, NextToken, NotTrained, Objective, Pairs
from oneblock.config.part import Part, option
from oneblock.config.recipe import Recipe
from oneblock.config.vision import Vision

MODELS = {"decoder": Decoder, "encoder": Encoder, "encoder_decoder": EncoderDecoder, "dit": DiT, "vision": Vision}
Model = Decoder | Encoder | EncoderDecoder | DiT | Vision

LEARNS: dict[type[Model], type[Objective]] = {
    Decoder: NextToken,
    Encoder: Masked,
    EncoderDecoder: Pairs,
    DiT: Denoise,
    Vision: NotTrained,
}
"""Kind of model -> what it is trained to say."""


def model_of(config: Config | Model) -> Model:
    """The model of a whole configuration; a model itself."""
    return config.model if isinstance(config, Config) else config


@dataclass(frozen=True, kw_only=True)
class Config(Part):
    """What to build and how to train it. `name` is the preset it came from."""

    name: str = field(default="custom")
    model: Model = option(MODELS, None)
    recipe: Recipe = field(default=Recipe(minutes=5.0))

    def __post_init__(self) -> None:
        super().__post_init__()
        fits = LEARNS[type(self.model)]
        if not isinstance(self.recipe.objective, fits):
            names = {kind: name for name, kind in OBJECTIVES.items()}
            given, right = names[type(self.recipe.objective)], names[fits]
            kind = type(self.model).__name__
            raise ConfigError("recipe.objective", given, f"is not what a model of the kind {kind} learns", (right,))
