"""Rules across fields: one table of (where, broken?, rule, options)."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, NamedTuple

from oneblock.config.block import PLACEMENTS
from oneblock.config.errors import ConfigError
from oneblock.config.position import Learned, Rope, Sinusoidal, T5Bias

if TYPE_CHECKING:
    from oneblock.config.block import Block
    from oneblock.config.decoder import Decoder


class Rule(NamedTuple):
    """One rule on a block inside its model."""

    path: str
    value: Callable[[Decoder, Block], object]
    broken: Callable[[Decoder, Block], bool]
    says: Callable[[Decoder, Block], str]
    options: Callable[[Decoder, Block], Iterable[object]] = lambda model, block: ()


def _divisors(number: int, at_most: int = 64) -> list[int]:
    return [n for n in range(1, min(number, at_most) + 1) if number % n == 0]


def _rotated(model: Decoder, block: Block) -> tuple[Rope | None, int]:
    position = block.attention.position or model.position
    width = block.attention.width_of_head(model.width)
    return (position, round(position.fraction * width)) if isinstance(position, Rope) else (None, width)


def _odd_rotation(model: Decoder, block: Block) -> bool:
    rope, rotated = _rotated(model, block)
    return rope is not None and block.num_attentions > 0 and (rotated % 2 != 0 or rotated == 0)


def _joins(block: Block, name: str) -> tuple[object, ...]:
    only = block.only(name)
    return only.residual, only.norm, only.placement


def _placement(block: Block, step: tuple[str, ...]) -> str:
    return block.only(step[0]).placement or ""


BLOCK_RULES = (
    Rule(
        "attention.num_heads",
        lambda model, block: block.attention.num_heads,
        lambda model, block: (
            block.num_attentions > 0
            and block.attention.head_width is None
            and model.width % block.attention.num_heads != 0
        ),
        lambda model, block: f"must divide width={model.width}, or set attention.head_width",
        lambda model, block: _divisors(model.width),
    ),
    Rule(
        "attention.num_kv_heads",
        lambda model, block: block.attention.num_kv_heads,
        lambda model, block: block.attention.num_heads % block.attention.num_groups != 0,
        lambda model, block: f"must divide num_heads={block.attention.num_heads}",
        lambda model, block: _divisors(block.attention.num_heads),
    ),
    Rule(
        "attention.head_width",
        lambda model, block: block.attention.width_of_head(model.width),
        _odd_rotation,
        lambda model, block: (
            f"leaves {_rotated(model, block)[1]} features to rotate; rotary positions turn pairs, so that must be even"
        ),
        lambda model, block: ("an even attention.head_width", "another rope fraction", "position=alibi"),
    ),
    Rule(
        "attention.position",
        lambda model, block: type(block.attention.position).__name__,
        lambda model, block: isinstance(block.attention.position, Learned | Sinusoidal),
        lambda model, block: "is added to the embedding and does nothing inside one attention",
        lambda model, block: ("position=… for the whole model", "rope", "alibi", "t5", "none"),
    ),
    Rule(
        "shared_norm",
        lambda model, block: block.shared_norm,
        lambda model, block: block.shared_norm and not any(len(step) > 1 for step in block.branches),
        lambda model, block: "needs a parallel step",
        lambda model, block: ("block.steps=attention+feed_forward", "block.shared_norm=false"),
    ),
    Rule(
        "shared_norm",
        lambda model, block: block.shared_norm,
        lambda model, block: (
            block.shared_norm
            and any(len(step) > 1 and "in" not in PLACEMENTS[_placement(block, step)] for step in block.branches)
        ),
        lambda model, block: "needs a norm in front, and the placement has none there",
        lambda model, block: ("block.placement=pre", "block.shared_norm=false"),
    ),
    Rule(
        "steps",
        lambda model, block: ",".join(block.steps),
        lambda model, block: any(len(set(step)) < len(step) for step in block.branches),
        lambda model, block: "names a branch twice in one parallel step",
    ),
    Rule(
        "steps",
        lambda model, block: ",".join(block.steps),
        lambda model, block: any(len({_joins(block, name) for name in step}) > 1 for step in block.branches),
        lambda model, block: (
            "adds branches in parallel that differ in residual, norm or placement: they join one stream"
        ),
    ),
)


def check_decoder(model: Decoder) -> None:
    """Raise `ConfigError` for the first rule across fields that is broken."""
    if not model.blocks:
        raise ConfigError("blocks", "()", "must hold at least one block")
    if len(model.blocks) > model.num_layers:
        raise ConfigError(
            "num_layers", model.num_layers, f"is fewer than the {len(model.blocks)} blocks of the pattern"
        )
    heads = set(model.heads_of_shared_position)
    if isinstance(model.position, T5Bias) and len(heads) > 1:
        says = f"is one table for all layers, and their num_heads differ ({', '.join(map(str, sorted(heads)))})"
        raise ConfigError(
            "position", "t5", says, ("the same num_heads in every block", "blocks.N.attention.position=t5")
        )
    if isinstance(model.position, Sinusoidal) and model.width % 2:
        raise ConfigError("width", model.width, "must be even for sinusoidal positions", (model.width + 1,))
    for index, block in enumerate(model.blocks):
        where = "block" if len(model.blocks) == 1 else f"blocks.{index}"
        for rule in BLOCK_RULES:
            if rule.broken(model, block):
                path = f"{where}.{rule.path}"
                raise ConfigError(path, rule.value(model, block), rule.says(model, block), rule.options(model, block))
