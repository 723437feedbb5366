"""Configurations in one form: two that make the same function of the same weights become equal."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from oneblock.config.attention import Attention
from oneblock.config.block import BRANCHES, PLACEMENTS, Block, Only
from oneblock.config.config import Model
from oneblock.config.decoder import Decoder
from oneblock.config.dit import DiT
from oneblock.config.encoder import Encoder, MeanPool
from oneblock.config.encoder_decoder import EncoderDecoder
from oneblock.config.experts import Limited, Mixture
from oneblock.config.feedforward import Dense, FeedForward, Gated
from oneblock.config.init import Normal
from oneblock.config.norm import LayerNorm, NoNorm
from oneblock.config.position import Learned, NoPosition, Position, Sinusoidal
from oneblock.config.vision import Vision

OF_TRAINING = ("auxiliary_weight", "z_loss_weight", "jitter", "dispatch", "init_scale", "random_second")
"""What only training, or only its speed, depends on in a mixture of experts."""


def canonical(model: Model) -> Model:
    """The model with a block for each layer, every default filled in, and what only training reads put back."""
    match model:
        case EncoderDecoder():
            stacks = {"encoder": _stack(model.encoder, model.width), "decoder": _stack(model.decoder, model.width)}
            return replace(model, **stacks, init=Normal())
        case DiT():
            blocks = tuple(
                _block(model.block(layer), model.width, None, model.context) for layer in range(model.num_layers)
            )
            return replace(model, blocks=blocks, class_dropout=0.0, image_width=model.sides[1])
        case Vision():
            blocks = tuple(
                _block(model.block(layer), model.width, None, model.context) for layer in range(model.num_layers)
            )
            return replace(model, blocks=blocks, init=Normal(), image_width=model.sides[1])
        case Encoder():
            return replace(_stack(model, model.width), init=Normal(), pool=MeanPool())
        case Decoder():
            return replace(_stack(model, model.width), init=Normal())


def _stack(stack: Any, width: int) -> Any:
    blocks = tuple(
        _block(stack.block(layer), width, stack.position, stack.context) for layer in range(stack.num_layers)
    )
    own = all(block.attention.position is not None for block in blocks)
    position = NoPosition() if own and not isinstance(stack.position, Learned | Sinusoidal) else stack.position
    return replace(stack, blocks=blocks, position=position, final_norm=stack.last_norm, embedding_dropout=0.0)


def _block(block: Block, width: int, shared: Position | None, context: int) -> Block:
    used = {name for step in block.branches for name in step}
    attention = _attention(block.attention, width) if "attention" in used else Attention(position=NoPosition())
    if "attention" in used and attention.position is None and _turns_or_adds(shared):
        attention = replace(attention, position=shared)
    only: dict[str, Any] = {f"{name}_only": _only(block, name, name in used) for name in BRANCHES}
    return replace(
        block,
        attention=attention,
        cross_attention=_attention(block.cross_attention, width) if "cross_attention" in used else Attention(),
        feed_forward=_feed_forward(block.feed_forward, width, context),
        norm=LayerNorm(),
        placement="pre",
        dropout=0.0,
        **only,
    )


def _turns_or_adds(position: Position | None) -> bool:
    """Whether a stack's scheme does the same where it stands in each attention."""
    return type(position).__name__ in ("Rope", "Alibi")


def _only(block: Block, name: str, used: bool) -> Only:
    if not used:
        return Only()
    own = block.only(name)
    empty = isinstance(own.norm, NoNorm) or not PLACEMENTS[own.placement or "none"]
    return Only(
        norm=NoNorm() if empty else own.norm,
        placement="none" if empty else own.placement,
        residual=own.residual,
        dropout=0.0,
    )


def _attention(option: Attention, width: int) -> Attention:
    head_width = option.width_of_head(width)
    return replace(
        option,
        num_kv_heads=option.num_groups,
        head_width=head_width,
        scale=option.scale or head_width**-0.5,
        qk_norm_over="head" if isinstance(option.qk_norm, NoNorm) else option.qk_norm_over,
        dropout=0.0,
    )


def _feed_forward(option: FeedForward, width: int, context: int) -> FeedForward:
    if not isinstance(option, Mixture):
        return _dense(option, width)
    fresh = type(option)()
    trained: dict[str, Any] = {name: getattr(fresh, name) for name in OF_TRAINING if hasattr(fresh, name)}
    limited: Any = _limited(option, context) if isinstance(option, Limited) else option
    same: FeedForward = replace(limited, expert=_dense(option.expert, width), **trained)
    return same


def _dense(option: Dense | Gated, width: int) -> Dense | Gated:
    same = replace(option, hidden=option.hidden_width(width), ratio=4.0, dropout=0.0)
    return replace(same, multiple_of=8) if isinstance(same, Gated) else same


def _limited(option: Limited, context: int) -> Limited:
    """Its limit in evaluation alone; as many places as a row has tokens are no limit, a longer group is the row."""
    row = option.group_size is not None and option.group_size >= context
    enough = row and option.capacity is not None and option.capacity >= context
    capacity, size = (None if enough else option.capacity), (context if row else option.group_size)
    free = capacity is None and option.eval_capacity_factor is None
    return replace(option, capacity_factor=None, capacity=capacity, group_size=None if free else size)
