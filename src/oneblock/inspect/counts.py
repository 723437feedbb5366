"""What is learned in a model, counted part by part from its configuration. Loads no torch."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from oneblock.config.attention import Attention
from oneblock.config.block import Block
from oneblock.config.encoder import Head, NoHead, TransformedHead
from oneblock.config.experts import Mixture
from oneblock.config.feedforward import FeedForward
from oneblock.config.images import Images
from oneblock.config.modulation import AdaLN, AdaLNZero
from oneblock.config.norm import LayerNorm, NoNorm, Norm
from oneblock.config.position import Learned, T5Bias
from oneblock.config.residual import Scaled
from oneblock.inspect import images
from oneblock.inspect.columns import Column
from oneblock.inspect.mixtures import dense_cost, mixture_cost


class Count(NamedTuple):
    """Numbers that are learned: those of one part, and how many of them are weights of a matrix product.

    idle: those that one token does not pass, in experts it is not sent to; never counted in `in_products`.
    per_image: weights of products that an image meets once, not each of its tokens; nor are these in `in_products`.
    of_memory: weights of products that the memory's tokens meet, not the stream's; nor are these.
    """

    part: str
    parameters: int
    in_products: int = 0
    idle: int = 0
    per_image: int = 0
    of_memory: int = 0


def counts_of(model: Column | Images) -> Iterator[Count]:
    """Everything that is learned in one column, or in a model of images."""
    if isinstance(model, Images):
        for part, learned, in_products, per_image in images.around(model):
            yield Count(part, learned, in_products, per_image=per_image)
        yield Count("norms", _norm(model.final_norm, model.width))
        for layer in range(model.num_layers):
            yield from _block(model.block(layer), model.width)
        return
    width, table = model.width, model.vocab_size * model.width
    yield Count("embedding", table * model.owns_table + (model.num_segments or 0) * width)
    yield Count("norms", _norm(model.embedding_norm, width) + _norm(model.last_norm, width))
    match model.position:
        case Learned():
            yield Count("position", model.context * width)
        case T5Bias() as t5:
            yield Count("position", t5.num_buckets * next(iter(model.heads_of_shared_position), 0))
    yield from _head(model.head, model.vocab_size, width)
    for layer in range(model.num_layers):
        yield from _block(model.block(layer), width)


def _head(head: Head, vocab_size: int, width: int) -> Iterator[Count]:
    if isinstance(head, NoHead):
        return
    table = vocab_size * width
    yield Count("head", vocab_size * head.bias + (0 if head.tied else table), table)
    if isinstance(head, TransformedHead):
        yield Count("head", width * (width + head.dense_bias), width**2)
        yield Count("norms", _norm(head.norm, width))


def _block(block: Block, width: int) -> Iterator[Count]:
    vectors = {AdaLN: 2, AdaLNZero: 3}.get(type(block.modulation), 0) * sum(map(len, block.branches))
    yield Count("modulation", vectors * (width**2 + width), per_image=vectors * width**2)
    for step in block.branches:
        shared = block.shared_norm and len(step) > 1
        for name in step:
            own = block.only(name)
            count = ("out" in own.places) + ("in" in own.places and not shared)
            yield Count("norms", count * _norm(own.norm, width))
            match name:
                case "attention":
                    yield from _attention(block.attention, width)
                case "cross_attention":
                    yield from _attention(block.cross_attention, width, across=True)
                case _:
                    yield _feed_forward(block.feed_forward, width)
        own = block.only(step[0])
        count = ("stream" in own.places) + shared
        yield Count("norms", count * _norm(own.norm, width))
        if isinstance(own.residual, Scaled):
            yield Count("residual", {"no": 0, "scalar": 1, "vector": width}[own.residual.learned])


def _attention(attention: Attention, width: int, *, across: bool = False) -> Iterator[Count]:
    """Keys and values of one that looks across are the memory's."""
    head = attention.width_of_head(width)
    queries, keys = attention.num_heads * head, attention.num_groups * head
    weights, of_memory = 2 * width * queries, 2 * width * keys
    biases = (queries + 2 * keys) * attention.bias + width * attention.output_bias
    part, here = ("cross_attention", 0) if across else ("attention", of_memory)
    yield Count(part, weights + of_memory + biases, weights + here, of_memory=of_memory - here)
    normed = (head, head) if attention.qk_norm_over == "head" else (queries, keys)
    yield Count("norms", sum(_norm(attention.qk_norm, size) for size in normed))
    if isinstance(attention.position, T5Bias):
        yield Count("position", attention.position.num_buckets * attention.num_heads)


def _feed_forward(option: FeedForward, width: int) -> Count:
    cost = mixture_cost(option, width) if isinstance(option, Mixture) else dense_cost(option, width)
    return Count("feed_forward", cost.parameters, cost.in_products, idle=cost.parameters - cost.active)


def _norm(norm: Norm | None, width: int) -> int:
    match norm:
        case None | NoNorm():
            return 0
        case LayerNorm():
            return (norm.gain + norm.bias) * width
        case _:
            return norm.gain * width
