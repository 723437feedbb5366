"""Switch Transformers (Fedus et al. 2022): T5 with experts in some layers, each token sent to one of them."""

from __future__ import annotations

from typing import Any

from oneblock.config.attention import Attention
from oneblock.config.block import Block
from oneblock.config.encoder_decoder import EncoderDecoder
from oneblock.config.feedforward import Dense, Switch
from oneblock.config.stack import Stack
from oneblock.weights.families.common import ACTIVATIONS, activation_name
from oneblock.weights.families.t5 import (
    AROUND,
    COPIES,
    DEFAULTS,
    SIDES,
    UNREAD,
    WITH_MEMORY,
    attention_of,
    encoder_decoder,
    norm_of,
    places,
    stack_rows,
    written,
)
from oneblock.weights.family import Family, Row, row
from oneblock.weights.options import Options
from oneblock.weights.transforms import STACKED


def read(options: Options) -> EncoderDecoder:
    """Their configuration as ours.

    An expert has `expert_capacity` places in each row, in evaluation too; in token order, pads counted by theirs.
    """
    options.must("is_gated_act", False)
    options.must("router_bias", False)
    options.must("router_dtype", "float32")
    options.must("router_type", "tokens_masked")
    options.must("num_selected_experts", 1)
    options.must("batch_prioritized_routing", False)
    options.ignore("dropout_rate", "router_ignore_padding_tokens", "add_router_probs", "output_router_logits")
    options.ignore("feed_forward_proj", "num_sparse_encoder_layers", "num_sparse_decoder_layers", "add_cross_attention")
    tied = options["tie_word_embeddings"]
    layers = options.count("num_layers")
    numbers = {"encoder": layers, "decoder": options.count("num_decoder_layers", layers)}
    blocks = {side: _blocks(options, side, number) for side, number in numbers.items()}
    return encoder_decoder(options, blocks, tied=tied, scaled=tied)


def _blocks(options: Options, side: str, layers: int) -> tuple[Block, ...]:
    sparse = options.count(f"num_sparse_{side}_layers", least=0)
    step = options.count(f"{side}_sparse_step", layers // sparse if sparse > 0 else layers, least=0)
    attention = attention_of(options)
    dense = Dense(activation=options.one_of("dense_act_fn", ACTIVATIONS), hidden=options["d_ff"])
    experts = Switch(
        num_experts=options["num_experts"],
        expert=dense,
        capacity=options["expert_capacity"],
        capacity_factor=None,
        group_size=options["n_positions"],
        jitter=options["router_jitter_noise"],
        auxiliary_weight=options["router_aux_loss_coef"],
        z_loss_weight=options["router_z_loss_coef"],
    )
    return tuple(
        Block(
            steps=WITH_MEMORY if side == "decoder" else ("attention", "feed_forward"),
            attention=attention,
            cross_attention=attention if side == "decoder" else Attention(),
            feed_forward=experts if _is_sparse(layer, step) else dense,
            norm=norm_of(options),
        )
        for layer in range(min(step or 1, layers))
    )


def _is_sparse(layer: int, step: int) -> bool:
    """Every `step`-th layer, the second one first, as their class counts."""
    return step == 1 or (step > 1 and layer % step == 1)


def write(model: EncoderDecoder) -> dict[str, Any]:
    """Our configuration as theirs."""
    blocks = (*model.encoder.blocks, *model.decoder.blocks)
    experts = next((block.feed_forward for block in blocks if isinstance(block.feed_forward, Switch)), Switch())
    return written(model) | {
        "num_sparse_encoder_layers": _num_sparse(model.encoder),
        "num_sparse_decoder_layers": _num_sparse(model.decoder),
        "num_experts": experts.num_experts,
        "expert_capacity": experts.capacity or model.encoder.context,
        "dense_act_fn": activation_name(experts, "relu"),
        "d_ff": experts.expert.hidden_width(model.width),
        "router_jitter_noise": experts.jitter,
        "router_aux_loss_coef": experts.auxiliary_weight,
        "router_z_loss_coef": experts.z_loss_weight,
        "router_bias": False,
    }


def _num_sparse(stack: Stack) -> int:
    """The number that gives this stack's pattern, or 0: what is not theirs is found when it is read again."""
    layers = range(stack.num_layers)
    pattern = [isinstance(stack.block(layer).feed_forward, Switch) for layer in layers]
    numbers = range(1, stack.num_layers + 1)
    made = {number: [_is_sparse(layer, stack.num_layers // number) for layer in layers] for number in numbers}
    return next((number for number, layers in made.items() if layers == pattern), 0)


def _feed_forward_rows(side: str) -> tuple[Row, ...]:
    block, _, last = places(side)
    ours, theirs = f"{block}.feed_forward", f"{last}.mlp"
    return (
        row(f"{ours}.router.weight", f"{theirs}.router.classifier.weight"),
        *(
            entry
            for part, name in (("up", "wi"), ("down", "wo"))
            for entry in (
                row(f"{ours}.{part}.weight", f"{theirs}.{name}.weight"),
                row(f"{ours}.experts.{part}.weight", f"{theirs}.experts.expert_{{e}}.{name}.weight", STACKED),
            )
        ),
    )


SWITCH = Family(
    name="switch",
    model_type="switch_transformers",
    architectures=("SwitchTransformersForConditionalGeneration", "SwitchTransformersModel"),
    defaults=DEFAULTS
    | {
        "d_model": 768,
        "num_layers": 12,
        "num_decoder_layers": 12,
        "num_sparse_encoder_layers": 3,
        "num_sparse_decoder_layers": 3,
        "num_heads": 12,
        "num_experts": 8,
        "expert_capacity": 64,
        "router_jitter_noise": 0.01,
        "router_aux_loss_coef": 0.001,
        "router_z_loss_coef": 0.001,
        "dense_act_fn": "relu",
    },
    read=read,
    write=write,
    rows=(
        *AROUND,
        *(entry for side in SIDES for entry in (*stack_rows(side), *_feed_forward_rows(side))),
    ),
    copies=COPIES,
    ignored=UNREAD,
    kind=EncoderDecoder,
)
