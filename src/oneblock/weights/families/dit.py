"""DiT (Peebles and Xie 2023) under the names of its own public code, beside what its class is given."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from oneblock.config.attention import Attention
from oneblock.config.diffusion import DDPM
from oneblock.config.dit import DiT, dit_block
from oneblock.config.feedforward import Dense
from oneblock.config.images import Sinusoidal2D
from oneblock.config.position import Learned
from oneblock.weights.family import Family, linear, row
from oneblock.weights.options import Options
from oneblock.weights.transforms import FOR_A_BATCH, PATCHES

DEFAULTS = {
    "input_size": 32,
    "patch_size": 2,
    "in_channels": 4,
    "hidden_size": 1152,
    "depth": 28,
    "num_heads": 16,
    "mlp_ratio": 4.0,
    "class_dropout_prob": 0.1,
    "num_classes": 1000,
    "learn_sigma": True,
}
"""What its class takes for what it is not given: DiT-XL/2 for images of 256²."""


def read(options: Options) -> DiT:
    """What its class is given, as ours.

    Where a file holds the table of positions, which is fixed there, it is taken as it is: as learned positions.
    """
    width = options.count("hidden_size")
    block = dit_block(options["num_heads"])
    hidden = int(width * options.positive("mlp_ratio"))
    given = options.names is not None and "pos_embed" in options.names
    return DiT(
        channels=options["in_channels"],
        image_height=options["input_size"],
        patch=options["patch_size"],
        width=width,
        num_layers=options["depth"],
        blocks=(replace(block, feed_forward=Dense(activation="gelu_tanh", hidden=hidden, bias=True)),),
        num_classes=options["num_classes"],
        class_dropout=options["class_dropout_prob"],
        position=Learned() if given or options.get("learned_positions", False) else Sinusoidal2D(),
        process=DDPM(variance="learned" if options["learn_sigma"] else "beta"),
    )


def write(model: DiT) -> dict[str, Any]:
    """Ours, as what its class is given."""
    attention: Attention = model.blocks[0].attention
    hidden = model.blocks[0].feed_forward.hidden_width(model.width)
    whole = hidden % model.width == 0
    return {
        "input_size": model.image_height,
        "patch_size": model.patch,
        "in_channels": model.channels,
        "hidden_size": model.width,
        "depth": model.num_layers,
        "num_heads": attention.num_heads,
        # A ratio that is not whole is put in the middle of those that give this width, so that rounding keeps it.
        "mlp_ratio": hidden / model.width if whole else (hidden + 0.5) / model.width,
        "class_dropout_prob": model.class_dropout,
        "num_classes": model.num_classes,
        "learn_sigma": isinstance(model.process, DDPM) and model.process.variance == "learned",
        "learned_positions": isinstance(model.position, Learned),
    }


DIT = Family(
    name="dit",
    model_type="dit",
    architectures=("DiT",),
    kind=DiT,
    read=read,
    write=write,
    defaults=DEFAULTS,
    rows=(
        *linear("embedding", "x_embedder.proj", PATCHES),
        row("position.weight", "pos_embed", FOR_A_BATCH),
        *linear("condition.time.up", "t_embedder.mlp.0"),
        *linear("condition.time.down", "t_embedder.mlp.2"),
        row("condition.classes.weight", "y_embedder.embedding_table.weight"),
        *linear("blocks.{i}.attention.qkv", "blocks.{i}.attn.qkv"),
        *linear("blocks.{i}.attention.output", "blocks.{i}.attn.proj"),
        *linear("blocks.{i}.feed_forward.up", "blocks.{i}.mlp.fc1"),
        *linear("blocks.{i}.feed_forward.down", "blocks.{i}.mlp.fc2"),
        *linear("blocks.{i}.modulation.project", "blocks.{i}.adaLN_modulation.1"),
        *linear("modulation.project", "final_layer.adaLN_modulation.1"),
        *linear("head", "final_layer.linear"),
    ),
)
