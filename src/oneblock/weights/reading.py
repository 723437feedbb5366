"""Reading: a folder as Hugging Face lays it out, checked name by name before a tensor is read."""

from __future__ import annotations

import fnmatch
import functools
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from oneblock.config.config import LEARNS, Config, Model
from oneblock.config.encoder import Encoder
from oneblock.config.errors import ConfigError
from oneblock.config.recipe import Recipe
from oneblock.models.build import build
from oneblock.weights.errors import WeightsError, few
from oneblock.weights.families import family_of
from oneblock.weights.family import Family, Link, Row, Shapes, links, to_ours, to_theirs
from oneblock.weights.options import Options
from oneblock.weights.pooling import read_pool
from oneblock.weights.source import Safetensors, Source

CONFIG = "config.json"


@dataclass(frozen=True, kw_only=True)
class Checkpoint:
    """Another library's model, checked and ready to be read.

    left_aside: names in the file that hold nothing of the model; unread: fields of its configuration that nothing here
    asks for
    """

    family: Family
    config: Config
    source: Source
    plan: list[Link]
    left_aside: list[str]
    unread: list[str]

    def tensors(self, dtype: torch.dtype | None = None) -> dict[str, Tensor]:
        """Our state dict, each tensor in the dtype of the file unless another is given."""
        return {
            name: tensor.to(dtype or tensor.dtype).contiguous() for name, tensor in to_ours(self.source.get, self.plan)
        }

    def model(self, dtype: torch.dtype | None = None) -> nn.Module:
        """The model on the CPU, in eval mode."""
        return filled(self.config.model, self.tensors(dtype))


def open_checkpoint(folder: Path) -> Checkpoint:
    """The model in a folder as Hugging Face lays it out; WeightsError where anything does not fit."""
    fields = read_fields(folder / CONFIG)
    opened = checkpoint(family_of(fields, str(folder / CONFIG)), fields, Safetensors(folder))
    model = opened.config.model
    if not isinstance(model, Encoder):
        return opened
    pool = read_pool(folder)
    if pool is None:
        return opened
    return replace(opened, config=replace(opened.config, model=replace(model, pool=pool)))


def checkpoint(family: Family, fields: Mapping[str, Any], source: Source) -> Checkpoint:
    """A model of a family from its configuration and its tensors, wherever they come from."""
    options = Options(fields, f"{source.where}: {CONFIG}", source.shapes.keys(), family.defaults)
    try:
        model = family.read(options)
    except ConfigError as error:
        raise WeightsError(f"{options.where} asks for a {family.name} that cannot be built: {error}") from error
    config = named(family.name, model)
    plan, left_aside = fitting(family, model, source)
    return Checkpoint(
        family=family, config=config, source=source, plan=plan, left_aside=left_aside, unread=options.unread()
    )


def named(name: str, model: Model) -> Config:
    """A whole configuration around a model that was trained elsewhere."""
    return Config(name=name, model=model, recipe=Recipe(minutes=5.0, objective=LEARNS[type(model)]()))


def read_fields(path: Path) -> dict[str, Any]:
    """The fields of a config.json; WeightsError where it is missing or no JSON object."""
    try:
        fields = json.loads(path.read_bytes())
    except OSError as error:
        if path.parent.is_dir() and not path.exists():
            raise WeightsError(f"{path.parent} holds no {path.name}; give the folder of a whole model") from None
        raise WeightsError(f"{path} cannot be read: {error.strerror or error}") from error
    except ValueError as error:
        raise WeightsError(f"{path} is not valid JSON: {error}") from error
    if not isinstance(fields, dict):
        raise WeightsError(f"{path} must hold an object, and holds a {type(fields).__name__}")
    return fields


def fitting(family: Family, model: Model, source: Source) -> tuple[list[Link], list[str]]:
    """The links of the table that the file follows, and the names left aside.

    Every name and shape is compared, both ways; WeightsError lists all that is missing, unexpected or of another
    shape. Where a family has several layouts, the nearest one is meant.
    """
    faults: list[tuple[int, str]] = []
    for table in _layouts(family, source.shapes):
        plan = links(table, shapes_of(model), model)
        wanted = expected(plan, model)
        rest = source.shapes.keys() - wanted.keys()
        aside = {name for name in rest if _is_ignored(name, family)}
        known = dict(family.copies) | {name.removeprefix(family.prefix): of for name, of in family.copies.items()}
        copies = {name: _with_prefix_of(known[name], wanted) for name in rest & known.keys()}
        copies = {name: original for name, original in copies.items() if original in wanted}
        lists = {
            "missing": sorted(wanted.keys() - source.shapes.keys()),
            "unexpected": sorted(rest - aside - copies.keys()),
            "of another shape": [
                f"{name} is {list(source.shapes[name])} and should be {list(shape)}"
                for name, shape in sorted(wanted.items())
                if name in source.shapes and source.shapes[name] != shape
            ],
        }
        if not any(lists.values()):
            _check_copies(copies, source)
            return plan, sorted(aside | copies.keys())
        said = "; ".join(f"{what}: {few(names, 24)}" for what, names in lists.items() if names)
        faults.append((len(wanted.keys() & source.shapes.keys()), said))
    raise WeightsError(
        f"the tensors of {source.where} are not those of the {family.name} that its configuration describes; "
        f"nothing was read. {max(faults)[1]}"
    )


def expected(plan: Iterable[Link], model: Model) -> dict[str, tuple[int, ...]]:
    """Their names and shapes, by running the transforms back on tensors without content."""
    return {name: tuple(tensor.shape) for name, tensor in to_theirs(_hollow(model), plan)}


def shapes_of(model: Model) -> Shapes:
    """Our names and shapes."""
    return {name: tuple(tensor.shape) for name, tensor in _hollow(model).items()}


@functools.lru_cache(maxsize=2)
def _hollow(model: Model) -> dict[str, Tensor]:
    with torch.device("meta"):
        return dict(build(model).state_dict())


def _layouts(family: Family, shapes: Shapes) -> Iterable[tuple[Row, ...]]:
    bare = family.prefix and not any(name.startswith(family.prefix) for name in shapes)
    for table in (family.rows, *family.layouts):
        yield (
            tuple(
                entry._replace(theirs=tuple(name.removeprefix(family.prefix) for name in entry.theirs))
                for entry in table
            )
            if bare
            else table
        )


def _is_ignored(name: str, family: Family) -> bool:
    return any(
        fnmatch.fnmatchcase(name, pattern) or fnmatch.fnmatchcase(name, pattern.removeprefix(family.prefix))
        for pattern in family.ignored
    )


def _with_prefix_of(name: str, wanted: Mapping[str, object]) -> str:
    return name if name in wanted else next((each for each in wanted if name.endswith(f".{each}")), name)


def _check_copies(copies: Mapping[str, str], source: Source) -> None:
    for name, original in copies.items():
        if source.shapes[name] != source.shapes[original] or not torch.equal(source.get(name), source.get(original)):
            raise WeightsError(
                f"{source.where}: {name} and {original} are one tensor by the configuration (tied), and they differ; "
                "set tie_word_embeddings to false if both are meant"
            )


class _Undrawn(TorchFunctionMode):
    """Leaves memory as it is found where starting weights would be drawn: they are replaced at once."""

    DRAWS = frozenset({"normal_", "uniform_", "trunc_normal_", "kaiming_uniform_", "_no_grad_normal_"})

    def __torch_function__(self, func, types, args=(), kwargs=None):
        if getattr(func, "__name__", "") in self.DRAWS:
            return args[0] if args else (kwargs or {}).get("tensor")
        return func(*args, **(kwargs or {}))


def undrawn(model: Model) -> nn.Module:
    """A model whose numbers are whatever memory held: for those that put others in their place at once."""
    with _Undrawn():
        return build(model)


def filled(model: Model, tensors: Mapping[str, Tensor]) -> nn.Module:
    """A model with these tensors as its own, in their dtypes; on the CPU, in eval mode."""
    made = undrawn(model)
    made.load_state_dict(dict(tensors), assign=True)
    return made.eval()
