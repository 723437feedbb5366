"""The parts of a model of images around its blocks: what they cost, and how they are drawn."""

from __future__ import annotations

from collections.abc import Iterator

from oneblock.config.diffusion import DDPM
from oneblock.config.dit import DiT
from oneblock.config.images import Images, Sinusoidal2D
from oneblock.config.position import Learned
from oneblock.config.vision import Vision
from oneblock.inspect.words import number

Cost = tuple[str, int, int, int]
"""Part, parameters, and how many of them are weights of products: those each token meets, those each image meets."""


def around(model: Images) -> Iterator[Cost]:
    """Everything but blocks and norms."""
    match model:
        case DiT():
            yield from _around_dit(model)
        case Vision():
            yield from _around_vision(model)


def _around_dit(model: DiT) -> Iterator[Cost]:
    width, pixels = model.width, model.patch**2
    patch, answer = pixels * model.channels * width, width * pixels * model.answer_channels
    yield "embedding", patch + width, patch, 0
    time = model.time_width * width + width**2
    yield "condition", time + 2 * width + model.num_labels * width, 0, time
    if isinstance(model.position, Learned):
        yield "position", model.context * width, 0, 0
    yield "modulation", 2 * width**2 + 2 * width, 0, 2 * width**2
    yield "head", answer + pixels * model.answer_channels, answer, 0


def _around_vision(model: Vision) -> Iterator[Cost]:
    patch = model.patch**2 * model.channels * model.width
    # The class token passes no matrix of a patch, so that one is counted for the image.
    yield "embedding", patch + 2 * model.width, 0, patch * (model.context - 1)
    if isinstance(model.position, Learned):
        yield "position", model.context * model.width, 0, 0
    if model.num_classes is not None:
        head = model.head_width * model.num_classes
        yield "head", head + model.num_classes, 0, head


def image_words(model: Images) -> str:
    """C × H × W."""
    return " × ".join(map(str, (model.channels, *model.sides)))


def answer_words(model: DiT) -> str:
    """C' × H × W."""
    return " × ".join(map(str, (model.answer_channels, *model.sides)))


def said(model: DiT) -> str:
    """What the model answers, in a word."""
    match model.process:
        case DDPM(variance="learned"):
            return "noise and variance"
        case DDPM():
            return "noise"
        case _:
            return "velocity"


def patch_words(model: Images) -> tuple[str, ...]:
    """How an image becomes tokens."""
    rows, columns = model.grid
    pixels = model.patch**2 * model.channels
    return (f"{rows} × {columns} patches of {model.patch}²", f"{pixels} → {number(model.width)}")


def position_words(model: Images) -> tuple[str, ...]:
    """The name of what is added to the patches, and its size; empty for none."""
    size = f"{model.context} × {number(model.width)}"
    match model.position:
        case Learned():
            return ("learned positions", size)
        case Sinusoidal2D():
            return ("2-D sines", "column, then row", size)
        case _:
            return ()


def time_words(model: DiT) -> tuple[str, ...]:
    """How a time becomes a vector."""
    width = number(model.width)
    return (f"{model.time_width} waves", f"{model.time_width} → {width} → {width}")


def class_words(model: DiT) -> tuple[str, ...]:
    """The table of labels; empty where there are none."""
    if model.num_classes is None:
        return ()
    dropped = (f'{100 * model.class_dropout:g} % "no class"',) if model.class_dropout else ()
    return (f"{model.num_labels} × {number(model.width)}", *dropped)


def head_words(model: Vision) -> tuple[str, ...]:
    """What a head reads, and its size; empty where there is none."""
    if model.num_classes is None:
        return ()
    reads = {"class": "of the class token", "class_and_mean": "of the class token and the mean"}[model.head_reads]
    return (f"{number(model.head_width)} × {number(model.num_classes)} + bias", reads)
