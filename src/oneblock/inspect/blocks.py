"""The blocks of a model as boxes: steps, the branches of each beside one another, and how they join the stream."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import groupby

from oneblock.config.block import Block
from oneblock.config.images import Images
from oneblock.config.modulation import AdaLNZero, NoModulation
from oneblock.config.residual import NoResidual, Scaled
from oneblock.inspect.columns import Column
from oneblock.inspect.words import (
    FEED_FORWARD_NAMES,
    attention_words,
    feed_forward_words,
    layer_words,
    norm_words,
    number,
)

MEMORY = "memory"


@dataclass(frozen=True, kw_only=True)
class Box:
    """One part: its kind (norm, attention, feed_forward, scale, dropout, …), its name, and lines about it."""

    kind: str
    name: str
    details: tuple[str, ...] = ()


Row = tuple[Box, ...]


@dataclass(frozen=True, kw_only=True)
class Step:
    """Branches that read the same stream, and how they join it. `keeps` False: the stream is dropped."""

    branches: tuple[Row, ...]
    shared: Row = ()
    scale: Row = ()
    skip: Row = ()
    keeps: bool = True
    stream: Row = ()


@dataclass(frozen=True, kw_only=True)
class BlockFlow:
    """One block of the pattern and the layers it stands for."""

    title: str
    steps: tuple[Step, ...]
    option: Block


def block_flows(model: Column | Images) -> Iterator[BlockFlow]:
    """The pattern's blocks; equal neighbours are drawn once."""
    for option, group in groupby(range(len(model.blocks)), key=lambda index: model.blocks[index]):
        places = set(group)
        layers = [layer + 1 for layer in range(model.num_layers) if layer % len(model.blocks) in places]
        title = f"block × {len(layers)}" + ("" if len(layers) == model.num_layers else f" · {layer_words(layers)}")
        yield BlockFlow(
            title=title, steps=tuple(_step(model, option, names) for names in option.branches), option=option
        )


def _step(model: Column | Images, option: Block, names: tuple[str, ...]) -> Step:
    own = option.only(names[0])
    shares = option.shared_norm and len(names) > 1
    scaled = own.residual if isinstance(own.residual, Scaled) else None
    return Step(
        branches=tuple(_branch(model, option, name, shares) for name in names),
        shared=row(norm_box(own.norm) if shares else None),
        scale=row(_scale(scaled, model.width) if scaled else None),
        skip=row(Box(kind="scale", name=f"× {scaled.skip:.4g}") if scaled and scaled.skip != 1 else None),
        keeps=not isinstance(own.residual, NoResidual),
        stream=row(norm_box(own.norm) if "stream" in own.places else None),
    )


def _branch(model: Column | Images, option: Block, name: str, shares: bool) -> Row:
    own = option.only(name)
    return row(
        norm_box(own.norm) if "in" in own.places and not shares else None,
        None if isinstance(option.modulation, NoModulation) else shift_and_scale(model.width),
        _mixer(model, option, name),
        norm_box(own.norm) if "out" in own.places else None,
        dropout_box(own.dropout),
        _gate(model.width) if isinstance(option.modulation, AdaLNZero) else None,
    )


def _mixer(model: Column | Images, option: Block, name: str) -> Box:
    match name:
        case "attention":
            words = attention_words(option.attention, model.width, model.position)
            return Box(kind=name, name="attention", details=words)
        case "cross_attention":
            words = attention_words(option.cross_attention, model.width)
            return Box(kind=name, name="cross-attention", details=(*words, f"keys, values: {MEMORY}"))
        case _:
            words = feed_forward_words(option.feed_forward, model.width)
            title = FEED_FORWARD_NAMES.get(type(option.feed_forward), "feed-forward")
            return Box(kind=name, name=title, details=words)


def _gate(width: int) -> Box:
    return Box(kind="modulation", name="⊙ α", details=(f"from c: {number(width)}",))


def _scale(scaled: Scaled, width: int) -> Box | None:
    if scaled.learned != "no":
        name, size = {"scalar": ("× α", "one number"), "vector": ("⊙ λ", f"{number(width)} numbers")}[scaled.learned]
        return Box(kind="scale", name=f"{name}, learned", details=(f"{size}, from {scaled.branch:.4g}",))
    return Box(kind="scale", name=f"× {scaled.branch:.4g}") if scaled.branch != 1 else None


def norm_box(norm: object) -> Box | None:
    """A norm as a box, or nothing where there is none."""
    words = norm_words(norm)
    return Box(kind="norm", name=words[0], details=words[1:]) if words else None


def shift_and_scale(width: int) -> Box:
    """What a condition does behind a norm."""
    return Box(kind="modulation", name="⊙ (1 + γ) + β", details=(f"from c: 2 × {number(width)}",))


def dropout_box(p: float | None) -> Box | None:
    """Dropout as a box, or nothing where nothing is dropped."""
    return Box(kind="dropout", name=f"dropout {p:g}") if p else None


def row(*boxes: Box | None) -> Row:
    """Those boxes that are there."""
    return tuple(box for box in boxes if box is not None)
