"""A learner's own Block in a model of ours: it has passed its exercise, takes our weights, and computes the same."""

from __future__ import annotations

import copy
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from oneblock.config.config import Config
from oneblock.config.decoder import Decoder
from oneblock.config.override import override
from oneblock.learn.child import mapping
from oneblock.learn.errors import LearnError
from oneblock.learn.grading import check
from oneblock.learn.source import neighbours
from oneblock.models.build import build
from oneblock.models.own import with_own_blocks
from oneblock.nn.context import Context
from oneblock.runs.own_block import block_class, file_of

FORM = (
    "block.norm=layer", "block.placement=pre", "block.feed_forward=dense", "block.feed_forward.activation=gelu",
    "block.dropout=0", "position=learned", "recipe.precision=float32", "recipe.compile=off",
)  # fmt: skip
"""What makes a decoder's blocks those of the exercise `block`; positions then stand at the embedding."""
NAMES = {"norm1": "attention.norm_in", "norm2": "feed_forward.norm_in"}
"""The exercise's names -> ours, where they are not the same."""
EQUAL = 1e-4


def in_form(config: Config, *settings: str) -> Config:
    """The configuration with blocks of the exercise's form; settings of a person's own come after."""
    if not isinstance(config.model, Decoder):
        raise LearnError(f"--block takes the place of a decoder's blocks, and {config.name} is none; try nano")
    return override(config, *FORM, *settings)


def passed(given: Path) -> tuple[Path, list[Path]]:
    """The block's file and those that it imports; LearnError where it does not pass `oneblock check block` yet."""
    file = file_of(given)
    grade = check("block", file)
    if not grade.passed:
        raise LearnError(f"{file} does not pass `oneblock check block` yet: {grade.diagnosis}")
    return file, neighbours(file)


def maker(file: Path) -> Callable[[Config], nn.Module]:
    """What builds the model of a configuration with a learner's blocks, under the weights that ours would start with.

    LearnError where a parameter has no place or another shape, or where the blocks compute something else than ours.
    """
    made = block_class(file)
    names = vars(sys.modules[made.__module__])

    def make(config: Config) -> nn.Module:
        ours: Any = build(config, seed=config.recipe.seed)
        before = list(ours.blocks)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(config.recipe.seed)
            model: Any = with_own_blocks(ours, made)
        for at, (block, own) in enumerate(zip(before, model.blocks, strict=True)):
            _fill(own.own, block, names, f"{file.name}, block {at}")
        _same(before[0], model.blocks[0].own, model, names, file)
        return model

    return make


def weights_of(block: nn.Module) -> dict[str, Tensor]:
    """A block of ours, under the names of the exercise."""
    ours = {theirs: here for here, theirs in NAMES.items()}
    found = {}
    for name, tensor in block.state_dict().items():
        head = next((theirs for theirs in ours if name.startswith(theirs + ".")), "")
        found[ours[head] + name[len(head) :] if head else name] = tensor
    return found


def _fill(own: nn.Module, block: nn.Module, names: dict[str, Any], what: str) -> None:
    found = mapping.load(own, weights_of(block), mapping.wanted(names, "Block"))
    said = [f"{name} is {theirs} in yours and {ours} in this model" for name, (ours, theirs) in found["shapes"].items()]
    said += [f"this model has {name}, yours has no such parameter" for name in found["missing"]]
    said += [f"yours has {name}, this model has no such parameter" for name in found["left"]]
    if said:
        raise LearnError(f"{what}: {'; '.join(said[:4])}. {_words()}")


def _same(block: Any, own: nn.Module, model: Any, names: dict[str, Any], file: Path) -> None:
    """LearnError unless both make the same of a stream, in train mode too: a dropout would part them.

    With weights of size 1: fresh ones make branches so small that most of what could differ would not be seen.
    """
    generator = torch.Generator().manual_seed(0)
    x_BTD = torch.randn(2, 7, model.config.width, generator=generator, dtype=torch.float64)
    one, two = (copy.deepcopy(each).double().train() for each in (block, own))
    for parameter in one.parameters():
        size = parameter.shape[-1] ** 0.5 if parameter.dim() > 1 else 1.0
        parameter.data = torch.randn(parameter.shape, generator=generator, dtype=torch.float64) / size
    _fill(two, one, names, file.name)
    ctx = Context(7, x_BTD.device, position=model.position, causal=True)
    with torch.no_grad():
        apart = float((one(x_BTD, ctx) - two(x_BTD.clone())).abs().max())
    # Written so that NaN fails.
    if not apart < EQUAL:
        raise LearnError(
            f"under the same weights the block of {file.name} and this configuration's are {apart:.2g} apart: the "
            f"configuration has another form. {_words()}"
        )


def _words() -> str:
    return f"The form of the exercise is {', '.join(FORM[:-2])}, without biases; leave out the --set that changes it"
