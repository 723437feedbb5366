"""What a model costs, from its configuration: parameters, FLOPs, cache bytes. Loads no torch."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, NamedTuple

from oneblock.config.block import PLACEMENTS, Block
from oneblock.config.config import Config
from oneblock.config.decoder import Decoder
from oneblock.config.feedforward import FeedForward, Gated
from oneblock.config.norm import LayerNorm, NoNorm, Norm
from oneblock.config.position import Learned, T5Bias
from oneblock.config.residual import Scaled

if TYPE_CHECKING:
    from torch import nn

PARTS = ("embedding", "position", "attention", "feed_forward", "norms", "residual", "head")


class Count(NamedTuple):
    """Numbers that are learned: those of one part, and how many of them are weights of a matrix product."""

    part: str
    parameters: int
    in_products: int = 0


def parameters(config: Config | Decoder) -> dict[str, int]:
    """Parameters for each of `PARTS`, as the model built from the configuration has them.

    A tied head counts once, as the embedding. `parts` gives the same for a built model.
    """
    totals = dict.fromkeys(PARTS, 0)
    for count in _counts(_model(config)):
        totals[count.part] += count.parameters
    return totals


def parts(model: nn.Module) -> dict[str, int]:
    """Parameters for each of `PARTS`, counted on a built model by the names of its parameters."""
    totals = dict.fromkeys(PARTS, 0)
    for name, parameter in model.named_parameters():
        totals[_part(name.split("."))] += parameter.numel()
    return totals


def flops_per_token(config: Config | Decoder, context: int | None = None) -> int:
    """Training FLOPs a token, 6·N + 12·Σ H·K·min(T, W): forward and twice that back (Chowdhery 2022, app. B).

    N: all parameters but tables that are only looked up (positions, an embedding that is not the head too).
    T: `context`, or the configuration's; scores count in full, also where the causal half could be skipped.
    """
    model = _model(config)
    counts = parameters(model)
    looked_up = counts["position"] + (0 if model.tied else counts["embedding"])
    return 6 * (sum(counts.values()) - looked_up) + 3 * _score_flops(model, context)


def forward_flops_per_token(config: Config | Decoder, context: int | None = None) -> int:
    """Forward FLOPs a token of a sequence of T, 2·N + 4·Σ H·K·min(T, W), a multiply-add being two.

    N: weights of matrix products (projections, feed-forwards, the head), without norms, biases and tables.
    """
    model = _model(config)
    products = sum(count.in_products for count in _counts(model))
    return 2 * products + _score_flops(model, context)


def cache_bytes_per_token(config: Config | Decoder, bytes_per_number: int = 2) -> int:
    """Bytes of keys and values that decoding keeps for a token: 2 · Σ G·K · bytes a number (2: 16 bit)."""
    model = _model(config)
    kept = (block.attention.num_groups * block.attention.width_of_head(model.width) for block in _attentions(model))
    return 2 * bytes_per_number * sum(kept)


def _model(config: Config | Decoder) -> Decoder:
    return config.model if isinstance(config, Config) else config


def _attentions(model: Decoder) -> Iterator[Block]:
    """The block of every attention, once for each."""
    for block in map(model.block, range(model.num_layers)):
        yield from (block for step in block.branches for name in step if name == "attention")


def _score_flops(model: Decoder, context: int | None) -> int:
    """q·k and weights·v: 4·H·K for each key in sight, over all attentions."""
    length, total = context or model.context, 0
    for block in _attentions(model):
        attention = block.attention
        seen = min(length, attention.window or length)
        total += 4 * attention.num_heads * attention.width_of_head(model.width) * seen
    return total


def _counts(model: Decoder) -> Iterator[Count]:
    width, table = model.width, model.vocab_size * model.width
    yield Count("embedding", table)
    yield Count("norms", _norm(model.embedding_norm, width) + _norm(model.last_norm, width))
    match model.position:
        case Learned():
            yield Count("position", model.context * width)
        case T5Bias() as t5:
            yield Count("position", t5.num_buckets * next(iter(model.heads_of_shared_position), 0))
    bias = model.vocab_size if model.head_bias else 0
    yield Count("head", bias + (0 if model.tied else table), table)
    for layer in range(model.num_layers):
        yield from _block(model.block(layer), width)


def _block(block: Block, width: int) -> Iterator[Count]:
    for step in block.branches:
        shared = block.shared_norm and len(step) > 1
        for name in step:
            own = block.only(name)
            places = PLACEMENTS[own.placement or "none"]
            count = ("out" in places) + ("in" in places and not shared)
            yield Count("norms", count * _norm(own.norm, width))
            if name == "attention":
                yield from _attention(block, width)
            else:
                yield _feed_forward(block.feed_forward, width)
        own = block.only(step[0])
        count = ("stream" in PLACEMENTS[own.placement or "none"]) + shared
        yield Count("norms", count * _norm(own.norm, width))
        if isinstance(own.residual, Scaled):
            yield Count("residual", {"no": 0, "scalar": 1, "vector": width}[own.residual.learned])


def _attention(block: Block, width: int) -> Iterator[Count]:
    attention = block.attention
    head = attention.width_of_head(width)
    queries, keys = attention.num_heads * head, attention.num_groups * head
    weights = width * (queries + 2 * keys) + queries * width
    biases = (queries + 2 * keys) * attention.bias + width * attention.output_bias
    yield Count("attention", weights + biases, weights)
    normed = (head, head) if attention.qk_norm_over == "head" else (queries, keys)
    yield Count("norms", sum(_norm(attention.qk_norm, size) for size in normed))
    if isinstance(attention.position, T5Bias):
        yield Count("position", attention.position.num_buckets * attention.num_heads)


def _feed_forward(option: FeedForward, width: int) -> Count:
    hidden, inner = option.hidden_width(width), 2 if isinstance(option, Gated) else 1
    weights = (inner + 1) * width * hidden
    return Count("feed_forward", weights + option.bias * (inner * hidden + width), weights)


def _norm(norm: Norm | None, width: int) -> int:
    match norm:
        case None | NoNorm():
            return 0
        case LayerNorm():
            return (norm.gain + norm.bias) * width
        case _:
            return norm.gain * width


def _part(path: list[str]) -> str:
    """The part a parameter belongs to, by its name: the innermost of its modules that says."""
    if path[0] == "blocks":
        path = path[2:]
    if any("norm" in name for name in path[1:-1]) or path[0].endswith("norm"):
        return "norms"
    if path[0].endswith("_residual"):
        return "residual"
    if "position" in path:
        return "position"
    return path[0].rstrip("_0123456789")
