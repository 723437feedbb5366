"""What flows where in a model, from its configuration: the one description that all drawings are made from.

A model is boxes in a row, then its blocks, then boxes in a row; a block is steps; a step is branches beside
one another (each a row of boxes), and how they join the stream:

    x = stream(skip(x) + scale(branch_1(shared(x)) + branch_2(shared(x)) + …))
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

from oneblock.config.config import Config, Model, model_of
from oneblock.config.dit import DiT
from oneblock.config.encoder import NoHead, TransformedHead
from oneblock.config.images import Images
from oneblock.config.position import Learned, Sinusoidal
from oneblock.config.vision import Vision
from oneblock.inspect import images
from oneblock.inspect.blocks import (
    MEMORY,
    BlockFlow,
    Box,
    Row,
    block_flows,
    dropout_box,
    norm_box,
    row,
    shift_and_scale,
)
from oneblock.inspect.columns import Column, columns
from oneblock.inspect.words import ACTIVATION_NAMES, number


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
    model = model_of(config)
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
    blocks = tuple(block_flows(model))
    return Dataflow(
        before=row(Box(kind="end", name=model.tokens), table, scale, _segments(model)),
        added=row(_added(model)),
        entry=row(norm_box(model.embedding_norm), dropout_box(model.embedding_dropout)),
        blocks=blocks,
        after=row(norm_box(model.last_norm), *_head(model), _cap(model), Box(kind="end", name=model.answer)),
        given=f"B × {length}",
        size=f"B × {length} × {width}",
        answer=f"B × {length} × {width if isinstance(model.head, NoHead) else number(model.vocab_size)}",
        repeats=_repeats(model, blocks),
    )


def _image_flow(model: DiT) -> Dataflow:
    classes, width = images.class_words(model), number(model.width)
    return replace(
        _patch_flow(model, "noisy images"),
        condition=row(
            Box(kind="end", name="time and class" if classes else "time"),
            Box(kind="embedding", name="time embedding", details=images.time_words(model)),
            Box(kind="embedding", name="+ class embedding", details=classes) if classes else None,
            Box(kind="end", name=f"c (B × {width})"),
        ),
        after=row(
            norm_box(model.final_norm),
            shift_and_scale(model.width),
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
        after=(*row(norm_box(model.final_norm)), *head, Box(kind="end", name="logits" if head else "vectors")),
        answer=f"B × {number(model.num_classes)}" if model.num_classes else flow.size,
    )


def _patch_flow(model: Images, given: str) -> Dataflow:
    """An image up to the end of the blocks."""
    blocks = tuple(block_flows(model))
    patches = Box(kind="embedding", name="patch embedding", details=images.patch_words(model))
    return Dataflow(
        before=(Box(kind="end", name=given), patches),
        added=row(_places(model)),
        entry=(),
        blocks=blocks,
        after=(),
        given=f"B × {images.image_words(model)}",
        size=f"B × {model.context} × {number(model.width)}",
        answer="",
        repeats=_repeats(model, blocks),
    )


def _repeats(model: Column | Images, blocks: tuple[BlockFlow, ...]) -> str:
    return "the blocks repeat in turn" if len(blocks) > 1 and model.num_layers > len(model.blocks) else ""


def _places(model: Images) -> Box | None:
    words = images.position_words(model)
    return Box(kind="position", name=words[0], details=words[1:]) if words else None


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
