"""`Family`: one table that carries a family of models in and out.

A row links names of ours to names of theirs by a transform. `{i}` is a layer's number; `{e}` an expert's, where theirs
are one tensor each. A row counts where the model has the names on its left: a row for a bias stands in the table
whether or not this model has one.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from torch import Tensor

from oneblock.config.attention import Attention
from oneblock.config.config import Model
from oneblock.config.decoder import Decoder
from oneblock.config.encoder_decoder import EncoderDecoder
from oneblock.config.images import Images
from oneblock.config.stack import Stack
from oneblock.weights.errors import WeightsError, few
from oneblock.weights.options import Options
from oneblock.weights.transforms import SAME, Sizes, Transform

Shapes = Mapping[str, tuple[int, ...]]


class Row(NamedTuple):
    """Names of ours, names of theirs, and what makes the one of the other.

    unless: a name of ours beside which the row does not count
    """

    ours: tuple[str, ...]
    theirs: tuple[str, ...]
    transform: Transform = SAME
    unless: str = ""


def row(
    ours: str | tuple[str, ...], theirs: str | tuple[str, ...], transform: Transform = SAME, *, unless: str = ""
) -> Row:
    """A row of a table; one name or several on each side."""
    ours, theirs = ((names,) if isinstance(names, str) else names for names in (ours, theirs))
    return Row(ours, theirs, transform, unless)


def rows(table: Mapping[str, str], transform: Transform = SAME) -> tuple[Row, ...]:
    """Rows of one name each, ours -> theirs, all with the same transform."""
    return tuple(row(ours, theirs, transform) for ours, theirs in table.items())


def linear(ours: str, theirs: str, transform: Transform = SAME) -> tuple[Row, Row]:
    """The rows of a linear map or a norm: its weight, by the transform, and its bias."""
    return row(f"{ours}.weight", f"{theirs}.weight", transform), row(f"{ours}.bias", f"{theirs}.bias")


def joined(ours: str, theirs: tuple[str, ...], transform: Transform) -> tuple[Row, Row]:
    """The rows of one linear map of ours that is several of theirs: weights and biases."""
    weights, biases = (tuple(f"{name}.{part}" for name in theirs) for part in ("weight", "bias"))
    return row(f"{ours}.weight", weights, transform), row(f"{ours}.bias", biases, transform)


@dataclass(frozen=True, kw_only=True)
class Family:
    """A family of models: its names, its configuration, its tensors.

    name:          what we call it; model_type: what its config.json calls it
    architectures: its classes in config.json, the one written first; others are read if listed (empty: all)
    read:          its configuration -> ours; write: ours -> its own (what it cannot say is found by reading that back);
                   None where its class is no part of transformers: it is only read, and goes out as another
    rows:          our names <-> theirs; layouts: other tables that its files may follow instead, only read
    prefix:        of the names of the model inside a model with a head; files without it are read as well
    copies:        names that may stand there besides and then equal another, such as a tied head
    ignored:       patterns (`*`) of names that hold nothing learned, or a part that is left aside
    defaults:      what its own class takes for a field that is absent (`options[name]`)
    kind:          the kind of model it is
    """

    name: str
    model_type: str
    architectures: tuple[str, ...]
    read: Callable[[Options], Model]
    rows: tuple[Row, ...]
    write: Callable[[Any], dict[str, Any]] | None = None
    layouts: tuple[tuple[Row, ...], ...] = ()
    prefix: str = ""
    copies: Mapping[str, str] = field(default_factory=dict)
    ignored: tuple[str, ...] = ()
    defaults: Mapping[str, Any] = field(default_factory=dict)
    kind: type = Decoder


class Link(NamedTuple):
    """A row in one model: names without placeholders, and the sizes of the attention they belong to."""

    ours: tuple[str, ...]
    theirs: tuple[str, ...]
    transform: Transform
    sizes: Sizes


def links(table: Iterable[Row], shapes: Shapes, model: Model) -> list[Link]:
    """The rows in one model whose tensors have these names and shapes; WeightsError where a name has no row."""
    found: list[Link] = []
    for entry in table:
        patterns = [_pattern(name) for name in entry.ours]
        for name in shapes:
            match = patterns[0].fullmatch(name)
            if match is None:
                continue
            layer = match.groupdict().get("i") or ""
            ours = tuple(each.replace("{i}", layer) for each in entry.ours)
            if all(each in shapes for each in ours) and entry.unless.replace("{i}", layer) not in shapes:
                theirs = _theirs(entry.theirs, layer, shapes[name])
                found.append(Link(ours, theirs, entry.transform, sizes_of(model, name)))
    linked = {name for link in found for name in link.ours}
    if linked < shapes.keys():
        raise WeightsError(f"no row of the table has {few(name for name in shapes if name not in linked)}")
    return found


def to_ours(get: Callable[[str], Tensor], plan: Iterable[Link]) -> Iterable[tuple[str, Tensor]]:
    """Our tensors by name, made one link at a time."""
    for link in plan:
        made = link.transform.to_ours([get(name) for name in link.theirs], link.sizes)
        yield from zip(link.ours, made, strict=True)


def to_theirs(tensors: Mapping[str, Tensor], plan: Iterable[Link]) -> Iterable[tuple[str, Tensor]]:
    """Their tensors by name, made one link at a time."""
    for link in plan:
        made = link.transform.to_theirs([tensors[name] for name in link.ours], link.sizes)
        yield from zip(link.theirs, made, strict=True)


def sizes_of(model: Model, name: str) -> Sizes:
    """The sizes of the attention, or of the patches, that a tensor of that name belongs to; else ones."""
    if isinstance(model, Images) and name == "embedding.weight":
        return Sizes(patch=model.patch)
    match = re.match(r"(?:(encoder|decoder)\.)?blocks\.(\d+)\.(attention|cross_attention)\.", name)
    if match is None:
        return Sizes()
    side, layer, branch = match.groups()
    stack: Stack | Images = getattr(model, side) if isinstance(model, EncoderDecoder) else model
    attention: Attention = getattr(stack.block(int(layer)), branch)
    return Sizes(attention.num_heads, attention.num_groups, attention.width_of_head(model.width))


def _pattern(name: str) -> re.Pattern[str]:
    return re.compile(re.escape(name).replace(r"\{i\}", r"(?P<i>\d+)"))


def _theirs(names: tuple[str, ...], layer: str, shape: tuple[int, ...]) -> tuple[str, ...]:
    placed = [name.replace("{i}", layer) for name in names]
    if any("{e}" in name for name in placed):
        return tuple(name.replace("{e}", str(expert)) for expert in range(shape[0]) for name in placed)
    return tuple(placed)
