"""Models in GGUF files: their names, their configuration, as those of a family we know."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from oneblock.config.position import Llama3Scaling, Rope
from oneblock.nn.rope import frequencies
from oneblock.weights.errors import WeightsError
from oneblock.weights.families import llama
from oneblock.weights.family import Family, row, rows
from oneblock.weights.gguf_file import GGUFFile
from oneblock.weights.options import Options
from oneblock.weights.reading import Checkpoint, checkpoint
from oneblock.weights.transforms import QKV_OF_NEIGHBOURS

FACTORS = "rope_freqs.weight"
"""What each of Llama 3's frequencies was divided by, in place of the rule that made it."""

FEED_FORWARD = {
    f"blocks.{{i}}.feed_forward.{part}.weight": f"blk.{{i}}.ffn_{part}.weight" for part in ("gate", "up", "down")
}
NAMES = {
    "embedding.weight": "token_embd.weight",
    "norm.weight": "output_norm.weight",
    "head.weight": "output.weight",
    "blocks.{i}.attention.norm_in.weight": "blk.{i}.attn_norm.weight",
    "blocks.{i}.attention.output.weight": "blk.{i}.attn_output.weight",
    "blocks.{i}.feed_forward.norm_in.weight": "blk.{i}.ffn_norm.weight",
}
QKV = tuple(f"blk.{{i}}.attn_{part}.weight" for part in "qkv")

LLAMA = replace(
    llama.LLAMA,
    prefix="",
    layouts=(),
    # llama.cpp turns neighbours where Hugging Face turns halves: its converter has moved the rows of queries and keys.
    rows=(*rows(NAMES), *rows(FEED_FORWARD), row("blocks.{i}.attention.qkv.weight", QKV, QKV_OF_NEIGHBOURS)),
    copies={"output.weight": "token_embd.weight"},
    ignored=(FACTORS,),
)

ARCHITECTURES: dict[str, Family] = {"llama": LLAMA}
"""`general.architecture` -> its family."""


def is_gguf(path: Path) -> bool:
    """Whether a path is a file that says of itself, by its name or its first bytes, that it is GGUF."""
    if not path.is_file():
        return False
    with path.open("rb") as file:
        return path.suffix.lower() == ".gguf" or file.read(4) == b"GGUF"


def open_gguf(path: Path) -> Checkpoint:
    """The model in a GGUF file; its tensors come in float32. WeightsError where anything does not fit."""
    file = GGUFFile(path)
    name = file.fields.get("general.architecture")
    if not isinstance(name, str) or name not in ARCHITECTURES:
        raise WeightsError(
            f"{path} holds a model of the architecture {name!r}, which is not supported; supported in GGUF files: "
            f"{', '.join(ARCHITECTURES)}"
        )
    family = ARCHITECTURES[name]
    described = {
        key.removeprefix(f"{name}."): value for key, value in file.fields.items() if key.startswith(f"{name}.")
    }
    options = Options(described, str(path))
    made = checkpoint(family, _fields(options, file), file)
    return replace(made, unread=options.unread())


def _fields(options: Options, file: GGUFFile) -> dict[str, Any]:
    """A llama's description as the config.json it was made from."""
    options.must("expert_count", 0)
    options.must("rope.scaling.type", "none")
    options.ignore("vocab_size", "expert_used_count")
    # Told by the tensors first: a damaged count would ask for a model of any depth.
    options.must("block_count", len({name.split(".")[1] for name in file.shapes if name.startswith("blk.")}))
    width, heads = options.count("embedding_length"), options.count("attention.head_count")
    head_width = options.count("attention.key_length", width // heads)
    options.must("attention.value_length", head_width)
    options.must("rope.dimension_count", head_width)
    rope = Rope(theta=_decimal(options.positive("rope.freq_base", 10_000.0)))
    return {
        "model_type": "llama",
        "vocab_size": file.shapes.get("token_embd.weight", (0,))[0],
        "max_position_embeddings": options.count("context_length"),
        "num_hidden_layers": options.count("block_count"),
        "hidden_size": width,
        "intermediate_size": options.count("feed_forward_length"),
        "num_attention_heads": heads,
        "num_key_value_heads": options.count("attention.head_count_kv", heads),
        "head_dim": head_width,
        "rms_norm_eps": _decimal(options.positive("attention.layer_norm_rms_epsilon")),
        "tie_word_embeddings": "output.weight" not in file.shapes,
        "rope_theta": rope.theta,
        "rope_scaling": _scaling(file, rope, head_width),
    }


def _decimal(number: float) -> float:
    """The number that was written: 1e-5 and not 9.999999747378752e-06, which is what float32 makes of it."""
    return float(str(np.float32(number)))


def _scaling(file: GGUFFile, rope: Rope, head_width: int) -> Mapping[str, Any] | None:
    """Llama 3's rule, recognised by the factors it makes; WeightsError for other factors."""
    if FACTORS not in file.shapes:
        return None
    factors = file.get(FACTORS).double()
    largest = float(factors.max())
    for context in (8192, 4096, 16384, 32768) if 1 < largest < math.inf else ():
        rule = Llama3Scaling(factor=largest, low=1.0, high=4.0, original_context=context)
        plain, scaled = (frequencies(each, head_width)[0] for each in (rope, replace(rope, scaling=rule)))
        if factors.shape == plain.shape and torch.allclose(plain / scaled, factors, rtol=1e-4):
            return {
                "rope_type": "llama3",
                "factor": rule.factor,
                "low_freq_factor": rule.low,
                "high_freq_factor": rule.high,
                "original_max_position_embeddings": context,
            }
    raise WeightsError(f"{file.where}: {FACTORS} scales the rotary frequencies by a rule that is not Llama 3's")
