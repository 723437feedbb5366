"""Rules across fields: one table of (where, broken?, rule, options)."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import fields
from typing import TYPE_CHECKING, NamedTuple

from oneblock.config.attention import Attention
from oneblock.config.block import Only, named_blocks
from oneblock.config.errors import ConfigError, divisors
from oneblock.config.expert_rules import check_mixture
from oneblock.config.modulation import NoModulation
from oneblock.config.position import Learned, NoPosition, Position, Rope, Sinusoidal, T5Bias

if TYPE_CHECKING:
    from oneblock.config.block import Block
    from oneblock.config.encoder_decoder import EncoderDecoder
    from oneblock.config.images import Images, PatchPosition
    from oneblock.config.part import Part
    from oneblock.config.stack import Stack

EVEN_BUCKETS = "must be even: half of them are for each side, and here both are seen"


class Place(NamedTuple):
    """Where a block stands: what its rules ask of the model around it."""

    width: int
    position: Position | PatchPosition
    causal: bool
    has_memory: bool
    has_condition: bool


class Rule(NamedTuple):
    """One rule on a block inside its model."""

    path: str
    value: Callable[[Place, Block], object]
    broken: Callable[[Place, Block], bool]
    says: Callable[[Place, Block], str]
    options: Callable[[Place, Block], Iterable[object]] = lambda model, block: ()


def _rotated(model: Place, block: Block) -> tuple[Rope | None, int]:
    position = block.attention.position or model.position
    width = block.attention.width_of_head(model.width)
    return (position, round(position.fraction * width)) if isinstance(position, Rope) else (None, width)


def _odd_rotation(model: Place, block: Block) -> bool:
    rope, rotated = _rotated(model, block)
    return rope is not None and block.num_attentions > 0 and (rotated % 2 != 0 or rotated == 0)


def _joins(block: Block, name: str) -> tuple[object, ...]:
    only = block.only(name)
    return only.residual, only.norm, only.placement


def _heads(name: str) -> tuple[Rule, Rule]:
    """The rules on the heads of one kind of attention."""

    def own(block: Block) -> Attention:
        attention: Attention = getattr(block, name)
        return attention

    return (
        Rule(
            f"{name}.num_heads",
            lambda model, block: own(block).num_heads,
            lambda model, block: (
                block.count(name) > 0 and own(block).head_width is None and model.width % own(block).num_heads != 0
            ),
            lambda model, block: f"must divide width={model.width}, or set {name}.head_width",
            lambda model, block: divisors(model.width),
        ),
        Rule(
            f"{name}.num_kv_heads",
            lambda model, block: own(block).num_kv_heads,
            lambda model, block: own(block).num_heads % own(block).num_groups != 0,
            lambda model, block: f"must divide num_heads={own(block).num_heads}",
            lambda model, block: divisors(own(block).num_heads),
        ),
    )


def _of_no_memory(name: str, part: type[Part]) -> list[Rule]:
    """Where no block can take a cross-attention, its options stand as they are by default: a rule for each."""
    plain = part()

    def rule(field: str) -> Rule:
        return Rule(
            f"{name}.{field}",
            lambda model, block: getattr(getattr(block, name), field),
            lambda model, block: (
                not model.has_memory
                and not block.count("cross_attention")
                and getattr(getattr(block, name), field) != getattr(plain, field)
            ),
            lambda model, block: (
                f"is of a cross_attention, which the block has not (steps={','.join(block.steps)}), and there is no "
                "encoder's memory for one to read here"
            ),
            lambda model, block: (f"{name.removeprefix('cross_')}.{field}", "the decoder of an encoder_decoder"),
        )

    return [rule(spec.name) for spec in fields(part)]


BLOCK_RULES = (
    *_of_no_memory("cross_attention", Attention),
    *_of_no_memory("cross_attention_only", Only),
    *_heads("attention"),
    *_heads("cross_attention"),
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
        "attention.position.num_buckets",
        lambda model, block: getattr(block.attention.position, "num_buckets", None),
        lambda model, block: not model.causal and block.num_attentions > 0 and _odd_buckets(block.attention.position),
        lambda model, block: EVEN_BUCKETS,
    ),
    Rule(
        "steps",
        lambda model, block: ",".join(block.steps),
        lambda model, block: block.count("cross_attention") > 0 and not model.has_memory,
        lambda model, block: "has a cross_attention, and there is no encoder's memory for it to read here",
        lambda model, block: ("attention,feed_forward", "the decoder of an encoder_decoder"),
    ),
    Rule(
        "modulation",
        lambda model, block: type(block.modulation).__name__,
        lambda model, block: not isinstance(block.modulation, NoModulation) and not model.has_condition,
        lambda model, block: "reads a condition, and this model has none",
        lambda model, block: ("none", "the blocks of a dit"),
    ),
    Rule(
        "cross_attention.position",
        lambda model, block: type(block.cross_attention.position).__name__,
        lambda model, block: not isinstance(block.cross_attention.position, NoPosition | None),
        lambda model, block: "compares places in two different texts; cross-attention has no positions",
        lambda model, block: ("none", "attention.position=…"),
    ),
    Rule(
        "cross_attention.window",
        lambda model, block: block.cross_attention.window,
        lambda model, block: block.cross_attention.window is not None,
        lambda model, block: "compares places in two different texts; cross-attention sees the whole memory",
        lambda model, block: ("none", "attention.window=…"),
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
            and any(len(step) > 1 and "in" not in block.only(step[0]).places for step in block.branches)
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


def _odd_buckets(position: object) -> bool:
    return isinstance(position, T5Bias) and position.num_buckets % 2 != 0


def check_stack(
    stack: Stack | Images,
    width: int,
    *,
    causal: bool = True,
    has_memory: bool = False,
    has_condition: bool = False,
) -> None:
    """Raise `ConfigError` for the first rule across fields that is broken.

    causal: no token sees a later one; has_memory: there is an encoder's output to attend to;
    has_condition: there is a vector for modulated blocks to read.
    """
    if not stack.blocks:
        raise ConfigError("blocks", "()", "must hold at least one block")
    if len(stack.blocks) > stack.num_layers:
        raise ConfigError(
            "num_layers", stack.num_layers, f"is fewer than the {len(stack.blocks)} blocks of the pattern"
        )
    heads = set(stack.heads_of_shared_position)
    if isinstance(stack.position, T5Bias) and len(heads) > 1:
        says = f"is one table for all layers, and their num_heads differ ({', '.join(map(str, sorted(heads)))})"
        raise ConfigError(
            "position", "t5", says, ("the same num_heads in every block", "blocks.N.attention.position=t5")
        )
    if not causal and heads and _odd_buckets(stack.position):
        raise ConfigError("position.num_buckets", getattr(stack.position, "num_buckets", None), EVEN_BUCKETS)
    if isinstance(stack.position, Sinusoidal) and width % 2:
        raise ConfigError("width", width, "must be even for sinusoidal positions", (width + 1,))
    place = Place(width, stack.position, causal, has_memory, has_condition)
    for where, block in named_blocks(stack.blocks):
        for rule in BLOCK_RULES:
            if rule.broken(place, block):
                path = f"{where}.{rule.path}"
                raise ConfigError(path, rule.value(place, block), rule.says(place, block), rule.options(place, block))
        check_mixture(block, stack.context, where)


def check_encoder_decoder(model: EncoderDecoder) -> None:
    """The rules of both stacks, and those on what joins them."""
    for name, stack, writes in (("encoder", model.encoder, False), ("decoder", model.decoder, True)):
        try:
            check_stack(stack, model.width, causal=writes, has_memory=writes)
        except ConfigError as error:
            raise (error if error.path == "width" else error.at(name)) from None
    if not any(block.count("cross_attention") for block in model.decoder.blocks):
        steps = model.decoder.blocks[0].steps
        raise ConfigError(
            "decoder.block.steps",
            ",".join(steps),
            "has no cross_attention, so that no target would see its source",
            ("attention,cross_attention,feed_forward",),
        )
    if model.shared_embedding and model.source_vocab != model.target_vocab:
        raise ConfigError(
            "shared_embedding",
            True,
            f"is one table, and source_vocab={model.source_vocab} is not target_vocab={model.target_vocab}",
            ("shared_embedding=false", "the same vocabulary for both"),
        )
