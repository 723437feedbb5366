"""Presets that make images."""

from __future__ import annotations

from oneblock.config.config import Config
from oneblock.config.diffusion import RectifiedFlow
from oneblock.config.dit import DiT, dit_block
from oneblock.config.objective import Denoise
from oneblock.config.recipe import AdamW, Cosine, Muon, Recipe

DIGITS, DIGIT_SIDE = 10, 28


def dit_nano() -> Config:
    """A diffusion transformer of 6 layers, width 192, on handwritten digits of 28 × 28; patches of 4, 49 tokens."""
    model = DiT(
        channels=1,
        image_height=DIGIT_SIDE,
        patch=4,
        width=192,
        num_layers=6,
        blocks=(dit_block(6),),
        num_classes=DIGITS,
        process=RectifiedFlow(time="logit_normal"),
    )
    recipe = Recipe(
        objective=Denoise(),
        data="digits",
        minutes=15.0,
        batch_size=64,
        optimizer=Muon(learning_rate=0.02, weight_decay=0.01, rest=AdamW(learning_rate=2e-3, weight_decay=0.01)),
        schedule=Cosine(warmup=100, final=0.05),
        average=0.998,
        refit=1.0,
    )
    return Config(name="dit-nano", model=model, recipe=recipe)
