"""What a model costs, from its configuration: parameters, FLOPs, cache bytes. Loads no torch."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, NamedTuple

from oneblock.config.block import Block
from oneblock.config.config import Config, Model, model_of
from oneblock.config.errors import OneblockError
from oneblock.config.images import Images
from oneblock.inspect.columns import Column, columns
from oneblock.inspect.counts import Count, counts_of
from oneblock.inspect.mixtures import capacity_flops

if TYPE_CHECKING:
    from torch import nn

PARTS = (
    "embedding",
    "condition",
    "position",
    "attention",
    "cross_attention",
    "feed_forward",
    "modulation",
    "norms",
    "residual",
    "head",
)


class Cost(NamedTuple):
    """FLOPs for each token of a column, and for each token of the memory it reads."""

    token: int
    memory: int


def parameters(config: Config | Model) -> dict[str, int]:
    """Parameters for each of `PARTS`, as the model built from the configuration has them.

    A tied head counts once, as the embedding. `parts` gives the same for a built model.
    """
    totals = dict.fromkeys(PARTS, 0)
    for count in _all_counts(config):
        totals[count.part] += count.parameters
    return totals


def parts(model: nn.Module) -> dict[str, int]:
    """Parameters for each of `PARTS`, counted on a built model by the names of its parameters."""
    totals = dict.fromkeys(PARTS, 0)
    for name, parameter in model.named_parameters():
        totals[_part(name.split("."))] += parameter.numel()
    return totals


def active_parameters(config: Config | Model) -> int:
    """Parameters that one token passes: all but those of the experts that it is not sent to."""
    return sum(count.parameters - count.idle for count in _all_counts(config))


def flops_per_token(config: Config | Model, context: int | None = None) -> int:
    """Training FLOPs a token, 6·N + 12·Σ H·K·min(T, W): forward and twice that back (Chowdhery 2022, app. B).

    N: all parameters but tables that are only looked up (positions, an embedding that is not the head too), and of
    experts those that a token passes.
    T: `context`, or the configuration's; scores count in full, also where the causal half could be skipped.
    Of a diffusion transformer: three times the forward pass, since much of it is done once for a whole image. Of an
    encoder-decoder: all that a pair of T source and T target tokens takes, over all its tokens.
    """
    model = model_of(config)
    if isinstance(model, Images):
        return 3 * forward_flops_per_token(model, context)
    return _over_all_tokens(model, context, _training_cost)


def forward_flops_per_token(config: Config | Model, context: int | None = None) -> int:
    """Forward FLOPs a token of a sequence of T, 2·N + 4·Σ H·K·min(T, W), a multiply-add being two.

    N: weights of matrix products (projections, feed-forwards, the head), without norms, biases and tables; of experts
    those of the chosen ones. A token of an image has its share of what is done once for the image, and one of a pair
    for an encoder-decoder its share of the pair.
    """
    model = model_of(config)
    if isinstance(model, Images):
        return round(forward_flops_per_image(model, context) / model.context)
    return _over_all_tokens(model, context, _forward_cost)


def forward_flops_per_image(model: Images, context: int | None = None) -> int:
    """Forward FLOPs of one image, a multiply-add being two; the "Gflops" of the paper are half of it.

    OneblockError for a `context` that is not the number of its patches.
    """
    if context not in (None, model.context):
        raise OneblockError(f"context={context}: an image of this model is {model.context} patches; leave it out")
    counts = list(counts_of(model))
    token = 2 * sum(count.in_products for count in counts) + _score_flops(model, None)
    capacity = _capacity_flops(model, None, training=False)
    return model.context * (token + capacity) + 2 * sum(count.per_image for count in counts)


def cache_bytes_per_token(config: Config | Model, bytes_per_number: int = 2) -> int:
    """Bytes of keys and values that decoding keeps for a token: 2 · Σ G·K · bytes a number (2: 16 bit).

    Nothing where nothing is decoded: encoders and images.
    """
    model = model_of(config)
    if isinstance(model, Images):
        return 0
    kept = sum(
        block.attention.num_groups * block.attention.width_of_head(column.width)
        for column in columns(model)
        if column.causal
        for block in _with(column, "attention")
    )
    return 2 * bytes_per_number * kept


def memory_bytes_per_token(config: Config | Model, bytes_per_number: int = 2) -> int:
    """Bytes of a memory's keys and values that decoding keeps for a source token: the same over cross-attentions."""
    model = model_of(config)
    if isinstance(model, Images):
        return 0
    kept = sum(
        block.cross_attention.num_groups * block.cross_attention.width_of_head(column.width)
        for column in columns(model)
        for block in _with(column, "cross_attention")
    )
    return 2 * bytes_per_number * kept


def _all_counts(config: Config | Model) -> Iterator[Count]:
    model = model_of(config)
    for part in (model,) if isinstance(model, Images) else columns(model):
        yield from counts_of(part)


def _over_all_tokens(model: Model, context: int | None, cost: Callable[[Column, int, int], Cost]) -> int:
    """FLOPs of a column for one of its tokens; of two columns the mean over the tokens of both."""
    flops = tokens = 0
    for column in columns(model):
        length, memory = context or column.context, (context or column.reads) if column.reads else 0
        of = cost(column, length, memory)
        flops, tokens = flops + length * of.token + memory * of.memory, tokens + length
    return round(flops / tokens)


def _training_cost(column: Column, length: int, memory: int) -> Cost:
    counts = list(counts_of(column))
    tables = ("embedding", "position")
    passed = sum(count.parameters - count.idle - count.of_memory for count in counts if count.part not in tables)
    passed += column.vocab_size * column.width * column.tied
    others = _score_flops(column, length, memory) + _capacity_flops(column, length, training=True)
    return Cost(6 * passed + 3 * others, 6 * sum(count.of_memory for count in counts))


def _forward_cost(column: Column, length: int, memory: int) -> Cost:
    counts = list(counts_of(column))
    products = sum(count.in_products for count in counts)
    others = _score_flops(column, length, memory) + _capacity_flops(column, length, training=False)
    return Cost(2 * products + others, 2 * sum(count.of_memory for count in counts))


def _with(model: Column | Images, branch: str) -> Iterator[Block]:
    """The block of every branch of that name, once for each."""
    for block in map(model.block, range(model.num_layers)):
        yield from (block for step in block.branches for name in step if name == branch)


def _score_flops(model: Column | Images, context: int | None, memory: int = 0) -> int:
    """q·k and weights·v: 4·H·K for each key in sight, over all attentions."""
    length, total = context or model.context, 0
    for block in _with(model, "attention"):
        attention = block.attention
        window = attention.window or length
        seen = min(length, window if isinstance(model, Column) and model.causal else 2 * window - 1)
        total += 4 * attention.num_heads * attention.width_of_head(model.width) * seen
    for block in _with(model, "cross_attention"):
        total += 4 * block.cross_attention.num_heads * block.cross_attention.width_of_head(model.width) * memory
    return total


def _capacity_flops(model: Column | Images, context: int | None, *, training: bool) -> int:
    """What the experts' capacity changes."""
    return sum(
        capacity_flops(block.mixture, model.width, context or model.context, training=training)
        for block in _with(model, "feed_forward")
        if block.mixture is not None
    )


def _part(path: list[str]) -> str:
    """The part a parameter belongs to, by its name: the innermost of its modules that says."""
    if path[0] in ("encoder", "decoder"):
        path = path[1:]
    if path[0] == "blocks":
        path = path[2:]
    if any("norm" in name for name in path[1:-1]) or path[0].endswith("norm"):
        return "norms"
    if path[0] == "class_token":
        return "embedding"
    if path[0].endswith("_residual"):
        return "residual"
    if "position" in path:
        return "position"
    return path[0].rstrip("_0123456789")
