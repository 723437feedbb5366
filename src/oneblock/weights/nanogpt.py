"""nanoGPT's `ckpt.pt`: GPT-2 without Conv1D, its biases all there or all absent, its GELU exact."""

from __future__ import annotations

import pickle
import warnings
from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor

from oneblock.config.attention import Attention
from oneblock.config.block import Block
from oneblock.config.decoder import Decoder
from oneblock.config.feedforward import Dense
from oneblock.config.norm import LayerNorm
from oneblock.config.position import Learned
from oneblock.weights.errors import WeightsError
from oneblock.weights.family import Family, linear, row
from oneblock.weights.options import Options
from oneblock.weights.reading import Checkpoint, checkpoint
from oneblock.weights.source import InMemory, is_pickle

COMPILED = "_orig_mod."
"""What torch.compile puts in front of every name."""


def read(options: Options) -> Decoder:
    """Its `model_args` as our configuration."""
    bias = bool(options.get("bias", True))
    options.ignore("dropout")
    return Decoder(
        vocab_size=options.need("vocab_size"),
        context=options.need("block_size"),
        num_layers=options.need("n_layer"),
        width=options.need("n_embd"),
        position=Learned(),
        blocks=(
            Block(
                norm=LayerNorm(bias=bias),
                attention=Attention(num_heads=options.need("n_head"), bias=bias, output_bias=bias),
                feed_forward=Dense(activation="gelu", bias=bias),
            ),
        ),
    )


NANOGPT = Family(
    name="nanogpt",
    model_type="nanogpt",
    architectures=(),
    read=read,
    rows=(
        row("embedding.weight", "transformer.wte.weight"),
        row("position.weight", "transformer.wpe.weight"),
        *linear("blocks.{i}.attention.norm_in", "transformer.h.{i}.ln_1"),
        *linear("blocks.{i}.attention.qkv", "transformer.h.{i}.attn.c_attn"),
        *linear("blocks.{i}.attention.output", "transformer.h.{i}.attn.c_proj"),
        *linear("blocks.{i}.feed_forward.norm_in", "transformer.h.{i}.ln_2"),
        *linear("blocks.{i}.feed_forward.up", "transformer.h.{i}.mlp.c_fc"),
        *linear("blocks.{i}.feed_forward.down", "transformer.h.{i}.mlp.c_proj"),
        *linear("norm", "transformer.ln_f"),
    ),
    copies={"lm_head.weight": "transformer.wte.weight"},
    ignored=("transformer.h.*.attn.bias",),
)


def open_ckpt(path: Path) -> Checkpoint:
    """The model in a `ckpt.pt`, its tensors and plain values read and nothing else unpickled.

    WeightsError where the file is damaged, holds other objects, or is no checkpoint of nanoGPT.
    """
    if not is_pickle(path):
        raise WeightsError(
            f"{path} is neither a GGUF file nor a checkpoint of PyTorch; of a model in safetensors give the folder"
        )
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of the pickle's version: it is read or refused all the same
            content = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError:
        # PyTorch's own words are left out: they advise to open the file all the same.
        raise WeightsError(
            f"{path} holds objects besides tensors and plain values, and loading those could run any program, so it is "
            "not opened. Save it anew with tensors and plain values alone, or the model as safetensors"
        ) from None
    except Exception as error:  # bytes that are damaged lead its reader into errors of any kind
        reason = (str(error) or type(error).__name__).split("\n")[0]
        raise WeightsError(f"{path} is no whole checkpoint of PyTorch: {reason}") from error
    model, args = (content.get(name) for name in ("model", "model_args")) if isinstance(content, dict) else (None, None)
    if not isinstance(model, Mapping) or not isinstance(args, Mapping):
        raise WeightsError(f"{path} is no checkpoint of nanoGPT: it needs `model` and `model_args`")
    tensors = {name.removeprefix(COMPILED): each for name, each in model.items() if isinstance(each, Tensor)}
    return checkpoint(NANOGPT, args, InMemory(tensors, str(path)))
