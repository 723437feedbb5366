"""Vision encoders: ViT (Dosovitskiy et al. 2021) and DINOv2 (Oquab et al. 2023), which scales every branch."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import torch

from oneblock.config.attention import Attention
from oneblock.config.block import Block
from oneblock.config.feedforward import Dense, FeedForward, Gated
from oneblock.config.norm import LayerNorm
from oneblock.config.residual import Scaled
from oneblock.config.vision import Vision
from oneblock.weights.errors import WeightsError
from oneblock.weights.families.common import ACTIVATIONS, activation_name, eps_of
from oneblock.weights.family import Family, Row, joined, linear, row
from oneblock.weights.options import Options
from oneblock.weights.transforms import FOR_A_BATCH, ONE_TOKEN, PATCHES, QKV, Transform

GATE_WITH_UP = Transform(
    "gate and up fused, down apart",
    lambda theirs, sizes: [*theirs[0].chunk(2), theirs[1]],
    lambda ours, sizes: [torch.cat(list(ours[:2])), ours[2]],
)

COMMON = {
    "hidden_size": 768,
    "num_hidden_layers": 12,
    "num_attention_heads": 12,
    "hidden_act": "gelu",
    "image_size": 224,
    "num_channels": 3,
    "qkv_bias": True,
}
OF_VIT = COMMON | {"patch_size": 16, "layer_norm_eps": 1e-12, "intermediate_size": 3072}
OF_DINOV2 = COMMON | {"patch_size": 14, "layer_norm_eps": 1e-6, "mlp_ratio": 4, "use_swiglu_ffn": False}


def read_vit(options: Options) -> Vision:
    """Their configuration as ours, without a head."""
    options.ignore("encoder_stride", "pooler_output_size", "pooler_act")
    hidden, activation = options["intermediate_size"], options.one_of("hidden_act", ACTIVATIONS)
    return _vision(options, Dense(activation=activation, hidden=hidden, bias=True))


def read_dinov2(options: Options) -> Vision:
    """Their configuration as ours, without a head; positions are interpolated for images of other sizes."""
    options.ignore("drop_path_rate", "use_mask_token", "apply_layernorm", "reshape_hidden_states")
    options.ignore("out_features", "out_indices", "stage_names")
    hidden = int(options.count("hidden_size") * options.positive("mlp_ratio"))
    feed_forward: FeedForward
    if options["use_swiglu_ffn"]:
        options.ignore("hidden_act")
        feed_forward = Gated(activation="silu", hidden=_two_thirds(hidden), bias=True)
    else:
        feed_forward = Dense(activation=options.one_of("hidden_act", ACTIVATIONS), hidden=hidden, bias=True)
    scaled = Scaled(branch=options.get("layerscale_value", 1.0), learned="vector")
    model = _vision(options, feed_forward)
    return replace(model, other_sizes="bicubic", blocks=(replace(model.blocks[0], residual=scaled),))


def classifying(read: Any, head_reads: str) -> Any:
    """`read` with a head for as many classes as the configuration has labels."""

    def read_with_head(options: Options) -> Vision:
        labels = options.get("num_labels", None) or len(options.within("id2label").fields or (0, 1))
        return replace(read(options), num_classes=labels, head_reads=head_reads)

    return read_with_head


def _vision(options: Options, feed_forward: FeedForward) -> Vision:
    options.ignore("hidden_dropout_prob", "attention_probs_dropout_prob")
    norm = LayerNorm(eps=options["layer_norm_eps"])
    height, width = _two(options, "image_size")
    patch, other = _two(options, "patch_size")
    if patch != other:
        raise WeightsError(f"{options.where}: patch_size={[patch, other]} is not supported; patches are squares here")
    return Vision(
        channels=options["num_channels"],
        image_height=height,
        image_width=None if width == height else width,
        patch=patch,
        width=options["hidden_size"],
        num_layers=options["num_hidden_layers"],
        final_norm=norm,
        blocks=(
            Block(
                norm=norm,
                attention=Attention(
                    num_heads=options["num_attention_heads"], bias=options["qkv_bias"], output_bias=True
                ),
                feed_forward=feed_forward,
            ),
        ),
    )


def _two(options: Options, name: str) -> tuple[int, int]:
    value = options[name]
    pair = value if isinstance(value, list | tuple) else (value, value)
    if len(pair) != 2:
        raise options.wrong(name, "a number, or two of them")
    return pair[0], pair[1]


def _two_thirds(hidden: int) -> int:
    """The family's own width of a gated feed-forward: two thirds, up to a multiple of 8."""
    return (int(hidden * 2 / 3) + 7) // 8 * 8


def _write(model: Vision) -> dict[str, Any]:
    block, (height, width) = model.blocks[0], model.sides
    labels = range(model.num_classes or 0)
    names = {str(number): f"LABEL_{number}" for number in labels}
    return {
        "image_size": height if height == width else [height, width],
        "patch_size": model.patch,
        "num_channels": model.channels,
        "hidden_size": model.width,
        "num_hidden_layers": model.num_layers,
        "num_attention_heads": block.attention.num_heads,
        "qkv_bias": block.attention.bias,
        "layer_norm_eps": eps_of(model.final_norm),
        **({"id2label": names, "label2id": {name: int(number) for number, name in names.items()}} if names else {}),
    }


def write_vit(model: Vision) -> dict[str, Any]:
    """Our configuration as theirs."""
    feed_forward = model.blocks[0].feed_forward
    return _write(model) | {
        "intermediate_size": feed_forward.hidden_width(model.width),
        "hidden_act": activation_name(feed_forward, "gelu"),
    }


def write_dinov2(model: Vision) -> dict[str, Any]:
    """Our configuration as theirs. Their ratio is what makes the width of the feed-forward that is here."""
    feed_forward, gated = model.blocks[0].feed_forward, isinstance(model.blocks[0].feed_forward, Gated)
    hidden = feed_forward.hidden_width(model.width)
    ratio = hidden * (1.5 if gated else 1) / model.width
    return _write(model) | {
        "mlp_ratio": round(ratio) if _width(round(ratio), model.width, gated) == hidden else ratio,
        "use_swiglu_ffn": gated,
        "use_mask_token": False,
        "hidden_act": "gelu" if gated else activation_name(feed_forward, "gelu"),
        "layerscale_value": getattr(model.blocks[0].residual, "branch", 1.0),
    }


def _width(ratio: float, width: int, gated: bool) -> int:
    return _two_thirds(int(width * ratio)) if gated else int(width * ratio)


def _embedding(prefix: str) -> tuple[Row, ...]:
    theirs = f"{prefix}embeddings"
    return (
        *linear("embedding", f"{theirs}.patch_embeddings.projection", PATCHES),
        row("class_token.weight", f"{theirs}.cls_token", ONE_TOKEN),
        row("position.weight", f"{theirs}.position_embeddings", FOR_A_BATCH),
        *linear("norm", f"{prefix}layernorm"),
        *linear("head", "classifier"),
    )


def _attention(prefix: str) -> tuple[Row, ...]:
    theirs = f"{prefix}encoder.layer.{{i}}.attention"
    names = tuple(f"{theirs}.attention.{name}" for name in ("query", "key", "value"))
    return (
        *joined("blocks.{i}.attention.qkv", names, QKV),
        *linear("blocks.{i}.attention.output", f"{theirs}.output.dense"),
    )


def _vit_rows(prefix: str) -> tuple[Row, ...]:
    theirs = f"{prefix}encoder.layer.{{i}}"
    return (
        *_embedding(prefix),
        *_attention(prefix),
        *linear("blocks.{i}.attention.norm_in", f"{theirs}.layernorm_before"),
        *linear("blocks.{i}.feed_forward.norm_in", f"{theirs}.layernorm_after"),
        *linear("blocks.{i}.feed_forward.up", f"{theirs}.intermediate.dense"),
        *linear("blocks.{i}.feed_forward.down", f"{theirs}.output.dense"),
    )


def _dinov2_rows(prefix: str) -> tuple[Row, ...]:
    ours, theirs = "blocks.{i}", f"{prefix}encoder.layer.{{i}}"
    gate = f"{ours}.feed_forward.gate.weight"
    dense = {"up": "fc1", "down": "fc2"}
    return (
        *_embedding(prefix),
        *_attention(prefix),
        *linear(f"{ours}.attention.norm_in", f"{theirs}.norm1"),
        *linear(f"{ours}.feed_forward.norm_in", f"{theirs}.norm2"),
        row(f"{ours}.attention_residual.scale.weight", f"{theirs}.layer_scale1.lambda1"),
        row(f"{ours}.feed_forward_residual.scale.weight", f"{theirs}.layer_scale2.lambda1"),
        *(
            row(f"{ours}.feed_forward.{name}.{part}", f"{theirs}.mlp.{dense[name]}.{part}", unless=gate)
            for name in dense
            for part in ("weight", "bias")
        ),
        *(
            row(
                tuple(f"{ours}.feed_forward.{name}.{part}" for name in ("gate", "up", "down")),
                tuple(f"{theirs}.mlp.{name}.{part}" for name in ("weights_in", "weights_out")),
                GATE_WITH_UP,
            )
            for part in ("weight", "bias")
        ),
    )


MADE_FOR_TRAINING = ("*pooler.dense.*", "*embeddings.mask_token")

VIT = Family(
    name="vit", model_type="vit", architectures=("ViTModel",), kind=Vision,
    read=read_vit, write=write_vit, rows=_vit_rows(""), ignored=MADE_FOR_TRAINING, defaults=OF_VIT,
)  # fmt: skip
VIT_CLASSIFIER = Family(
    name="vit-classifier", model_type="vit", architectures=("ViTForImageClassification",), kind=Vision,
    read=classifying(read_vit, "class"), write=write_vit, rows=_vit_rows("vit."), defaults=OF_VIT,
)  # fmt: skip
DINOV2 = Family(
    name="dinov2", model_type="dinov2", architectures=("Dinov2Model",), kind=Vision,
    read=read_dinov2, write=write_dinov2, rows=_dinov2_rows(""), ignored=MADE_FOR_TRAINING, defaults=OF_DINOV2,
)  # fmt: skip
DINOV2_CLASSIFIER = Family(
    name="dinov2-classifier", model_type="dinov2", architectures=("Dinov2ForImageClassification",), kind=Vision,
    read=classifying(read_dinov2, "class_and_mean"), write=write_dinov2, rows=_dinov2_rows("dinov2."),
    ignored=MADE_FOR_TRAINING, defaults=OF_DINOV2,
)  # fmt: skip
