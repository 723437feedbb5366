"""What flows where in a model, from its configuration: the one description that all drawings are made from.

A model is boxes in a row, then its blocks, then boxes in a row; a block is steps; a step is branches beside
one another (each a row of boxes), and how they join the stream:

    x = stream(skip(x) + scale(branch_1(shared(x)) + branch_2(shared(x)) + …))
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import groupby

from oneblock.config.block import PLACEMENTS, Block
from oneblock.config.config import Config, Model
from oneblock.config.dit import DiT
from oneblock.config.encoder import NoHead, TransformedHead
from oneblock.config.modulation import AdaLNZero, NoModulation
from oneblock.config.position import Learned, Sinusoidal
from oneblock.config.residual import NoResidual, Scaled
from oneblock.config.vision import Vision
from oneblock.inspect import images
from oneblock.inspect.columns import Column, columns
from oneblock.inspect.words import (
    ACTIVATION_NAMES,
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


@dataclass(frozen=True, kw_only=True)
class Dataflow:
    """A whole model. `added` joins the embedding from beside it; `size` is the stream's, `answer` leaves.

    `given` is what comes in; `condition`: how what modulated blocks read is made, beside the beginning;
    `source`: the flow whose answer is the memory that cross-attention reads.
    """

    before: Row
    added: Row
    entry: Row
    blocks: tuple[BlockFlow, ...]
    after: Row
    size: str
    answer: str
    repeats: str
    given: str = "B × T"
    condition: Row = ()
    source: Dataflow | None = None

    def boxes(self) -> Iterator[Box]:
        """Every box once, in the order of the flow."""
        if self.source is not None:
            yield from self.source.boxes()
        yield from (*self.before, *self.condition, *self.added, *self.entry)
        for block in self.blocks:
            for step in block.steps:
                yield from step.shared
                for branch in step.branches:
                    yield from branch
                yield from (*step.scale, *step.skip, *step.stream)
        yield from self.after


def dataflow(config: Config | Model) -> Dataflow:
    """The flow of a model."""
    model = config.model if isinstance(config, Config) else config
    if isinstance(model, DiT):
        return _image_flow(model)
    if isinstance(model, Vision):
        return _vision_flow(model)
    *sources, last = columns(model)
    flow = _token_flow(last)
    return replace(flow, source=_token_flow(sources[0])) if sources else flow


def _token_flow(model: Column) -> Dataflow:
    width, length = number(model.width), "S" if model.answer == MEMORY else "T"
    scale = Box(kind="scale", name=f"× √{width}") if model.embedding_scale else None
    table = Box(kind="embedding", name="token embedding", details=_table(model))
    blocks = tuple(_blocks(model))
    return Dataflow(
        before=_row(Box(kind="end", name=model.tokens), table, scale, _segments(model)),
        added=_row(_added(model)),
        entry=_row(norm_box(model.embedding_norm), _dropout(model.embedding_dropout)),
        blocks=blocks,
        after=_row(norm_box(model.last_norm), *_head(model), _cap(model), Box(kind="end", name=model.answer)),
        given=f"B × {length}",
        size=f"B × {length} × {width}",
        answer=f"B × {length} × {width if isinstance(model.head, NoHead) else number(model.vocab_size)}",
        repeats="the blocks repeat in turn" if len(blocks) > 1 and model.num_layers > len(model.blocks) else "",
    )


def _image_flow(model: DiT) -> Dataflow:
    classes, width = images.class_words(model), number(model.width)
    return replace(
        _patch_flow(model, "noisy images"),
        condition=_row(
            Box(kind="end", name="time and class" if classes else "time"),
            Box(kind="embedding", name="time embedding", details=images.time_words(model)),
            Box(kind="embedding", name="+ class embedding", details=classes) if classes else None,
            Box(kind="end", name=f"c (B × {width})"),
        ),
        after=_row(
            norm_box(model.final_norm),
            _shift_and_scale(model.width),
            Box(kind="head", name="head", details=(f"{width} × {model.patch**2 * model.answer_channels} + bias",)),
            Box(kind="head", name="unpatchify", details=(images.said(model),)),
            Box(kind="end", name="answer"),
        ),
        answer=f"B × {images.answer_words(model)}",
    )


def _vision_flow(model: Vision) -> Dataflow:
    flow, words = _patch_flow(model, "images"), images.head_words(model)
    head = (Box(kind="head", name="head", details=words),) if words else ()
    return replace(
        flow,
        before=(*flow.before, Box(kind="embedding", name="class token in front", details=(number(model.width),))),
        after=(*_row(norm_box(model.final_norm)), *head, Box(kind="end", name="logits" if head else "vectors")),
        answer=f"B × {number(model.num_classes)}" if model.num_classes else flow.size,
    )


def _patch_flow(model: DiT | Vision, given: str) -> Dataflow:
    """An image up to the end of the blocks."""
    blocks, (position, *details) = tuple(_blocks(model)), images.position_words(model) or ("",)
    patches = Box(kind="embedding", name="patch embedding", details=images.patch_words(model))
    return Dataflow(
        before=(Box(kind="end", name=given), patches),
        added=_row(Box(kind="position", name=position, details=tuple(details)) if position else None),
        entry=(),
        blocks=blocks,
        after=(),
        given=f"B × {images.image_words(model)}",
        size=f"B × {model.context} × {number(model.width)}",
        answer="",
        repeats="the blocks repeat in turn" if len(blocks) > 1 and model.num_layers > len(model.blocks) else "",
    )


def _shift_and_scale(width: int) -> Box:
    return Box(kind="modulation", name="⊙ (1 + γ) + β", details=(f"from c: 2 × {number(width)}",))


def norm_box(norm: object) -> Box | None:
    """A norm as a box, or nothing where there is none."""
    words = norm_words(norm)
    return Box(kind="norm", name=words[0], details=words[1:]) if words else None


def _row(*boxes: Box | None) -> Row:
    return tuple(box for box in boxes if box is not None)


def _table(model: Column) -> tuple[str, ...]:
    size = f"{number(model.vocab_size)} × {number(model.width)}"
    return (size,) if model.owns_table else (size, "the source's table")


def _segments(model: Column) -> Box | None:
    size = f"{number(model.num_segments or 0)} × {number(model.width)}"
    return Box(kind="embedding", name="+ segment embedding", details=(size,)) if model.num_segments else None


def _added(model: Column) -> Box | None:
    match model.position:
        case Learned():
            size = f"{number(model.context)} × {number(model.width)}"
            return Box(kind="position", name="learned positions", details=(size,))
        case Sinusoidal() as waves:
            return Box(kind="position", name="sinusoidal positions", details=(f"base {number(waves.base)}",))
        case _:
            return None


def _head(model: Column) -> Iterator[Box | None]:
    head, width = model.head, number(model.width)
    if isinstance(head, NoHead):
        return
    if model.head_scale:
        yield Box(kind="scale", name=f"/ √{width}")
    if isinstance(head, TransformedHead):
        size = f"{width} × {width}" + (" + bias" if head.dense_bias else "")
        yield Box(kind="head", name=f"dense, {ACTIVATION_NAMES[head.activation]}", details=(size,))
        yield norm_box(head.norm)
    size = f"{width} × {number(model.vocab_size)}" + (" + bias" if head.bias else "")
    yield Box(kind="head", name="head", details=(size, "tied: the embedding") if model.tied else (size,))


def _cap(model: Column) -> Box | None:
    return Box(kind="scale", name=f"soft cap {model.logit_soft_cap:g}") if model.logit_soft_cap else None


def _dropout(p: float | None) -> Box | None:
    return Box(kind="dropout", name=f"dropout {p:g}") if p else None


def _blocks(model: Column | DiT | Vision) -> Iterator[BlockFlow]:
    """The pattern's blocks; equal neighbours are drawn once."""
    for option, group in groupby(range(len(model.blocks)), key=lambda index: model.blocks[index]):
        places = set(group)
        layers = [layer + 1 for layer in range(model.num_layers) if layer % len(model.blocks) in places]
        title = f"block × {len(layers)}" + ("" if len(layers) == model.num_layers else f" · {layer_words(layers)}")
        yield BlockFlow(
            title=title, steps=tuple(_step(model, option, names) for names in option.branches), option=option
        )


def _step(model: Column | DiT | Vision, option: Block, names: tuple[str, ...]) -> Step:
    own = option.only(names[0])
    shares = option.shared_norm and len(names) > 1
    scaled = own.residual if isinstance(own.residual, Scaled) else None
    return Step(
        branches=tuple(_branch(model, option, name, shares) for name in names),
        shared=_row(norm_box(own.norm) if shares else None),
        scale=_row(_scale(scaled, model.width) if scaled else None),
        skip=_row(Box(kind="scale", name=f"× {scaled.skip:.4g}") if scaled and scaled.skip != 1 else None),
        keeps=not isinstance(own.residual, NoResidual),
        stream=_row(norm_box(own.norm) if "stream" in PLACEMENTS[own.placement or "none"] else None),
    )


def _branch(model: Column | DiT | Vision, option: Block, name: str, shares: bool) -> Row:
    own = option.only(name)
    places = PLACEMENTS[own.placement or "none"]
    match name:
        case "attention":
            title = "attention"
            details = attention_words(option.attention, model.width, model.position)
        case "cross_attention":
            words = attention_words(option.cross_attention, model.width)
            title = "cross-attention"
            details = (*words, f"keys, values: {MEMORY}")
        case _:
            title = FEED_FORWARD_NAMES.get(type(option.feed_forward), "feed-forward")
            details = feed_forward_words(option.feed_forward, model.width)
    gate = Box(kind="modulation", name="⊙ α", details=(f"from c: {number(model.width)}",))
    mixer = Box(kind=name, name=title, details=details)
    modulated = not isinstance(option.modulation, NoModulation)
    return _row(
        norm_box(own.norm) if "in" in places and not shares else None,
        _shift_and_scale(model.width) if modulated else None,
        mixer,
        norm_box(own.norm) if "out" in places else None,
        _dropout(own.dropout),
        gate if isinstance(option.modulation, AdaLNZero) else None,
    )


def _scale(scaled: Scaled, width: int) -> Box | None:
    if scaled.learned != "no":
        name, size = {"scalar": ("× α", "one number"), "vector": ("⊙ λ", f"{number(width)} numbers")}[scaled.learned]
        return Box(kind="scale", name=f"{name}, learned", details=(f"{size}, from {scaled.branch:.4g}",))
    return Box(kind="scale", name=f"× {scaled.branch:.4g}") if scaled.branch != 1 else None
