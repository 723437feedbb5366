"""`Config`: a model and the recipe that trains it."""

from __future__ import annotations

from dataclasses import dataclass, field

from oneblock.config.decoder import Decoder
from oneblock.config.part import Part, option
from oneblock.config.recipe import Recipe

MODELS = {"decoder": Decoder}
Model = Decoder


@dataclass(frozen=True, kw_only=True)
class Config(Part):
    """What to build and how to train it. `name` is the preset it came from."""

    name: str = field(default="custom")
    model: Model = option(MODELS, None)
    recipe: Recipe = field(default=Recipe(minutes=5.0))
