"""Writing: which family can express a model of ours, and its configuration and tensors in that family's names."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

import torch
from torch import Tensor

from oneblock.config.config import Config, Model
from oneblock.config.errors import OneblockError
from oneblock.config.serial import diff, to_dict
from oneblock.weights.canonical import canonical
from oneblock.weights.errors import WeightsError
from oneblock.weights.families import FAMILIES
from oneblock.weights.family import Family, links, to_theirs
from oneblock.weights.options import Options
from oneblock.weights.reading import shapes_of

BIASES = ("bias", "output_bias", "head_bias", "dense_bias")
"""Fields that may be off here and on there: what is not there is written as zeros."""


class Expressed(NamedTuple):
    """A model in a family's words: its configuration, and ours as the family reads it back."""

    family: Family
    fields: dict[str, Any]
    model: Model

    def tensors(self, ours: Mapping[str, Tensor]) -> Iterable[tuple[str, Tensor]]:
        """Their tensors by name, one link at a time; a bias that is not here is zeros, a gain ones."""
        shapes = shapes_of(self.model)
        like = next(iter(ours.values()))
        whole = dict(ours)
        for name, shape in shapes.items():
            if name not in whole:
                whole[name] = torch.full(shape, 0.0 if name.endswith("bias") else 1.0, dtype=like.dtype)
        yield from to_theirs(whole, links(self.family.rows, shapes, self.model))


def express(config: Config, families: Iterable[Family] = FAMILIES) -> Expressed:
    """The model in the words of the first family that can say all of it, its own first.

    WeightsError that names for each family the option that stands in the way.
    """
    reasons = []
    for family in sorted(families, key=lambda family: family.name != config.name):
        if family.write is None or not isinstance(config.model, family.kind):
            continue
        reason = said_by(family, config.model)
        if isinstance(reason, Expressed):
            return reason
        reasons.append(f"  {family.name}: {reason}")
    kind = type(config.model).__name__
    if not reasons:
        raise WeightsError(f"no family there is a {kind}, so it cannot go out")
    raise WeightsError("no family can express this model. What stands in the way:\n" + "\n".join(reasons))


def said_by(family: Family, model: Model) -> Expressed | str:
    """The model in a family's words, or what stands in the way.

    What a family writes is read again: wherever that is another model, the family lacks the words for this one.
    """
    if family.write is None:
        return "it is only read"
    try:
        fields = family.write(model)
        back = family.read(Options(fields, family.name, defaults=family.defaults))
    except OneblockError as error:
        return str(error)
    ours, theirs = canonical(model), canonical(back)
    one_plus = "'one_plus': True" in str(to_dict(theirs))
    for path, (here, there) in diff(ours, theirs).items():
        last = path.rpartition(".")[2]
        filled = here is False and there is True and (last in BIASES or (last == "gain" and not one_plus))
        if not filled:
            return f"{path}={_shown(here)}, and there it is {_shown(there)}"
    architecture = {"architectures": list(family.architectures[:1]), "model_type": family.model_type}
    return Expressed(family, architecture | fields, back)


def _shown(value: Any) -> str:
    if isinstance(value, list):
        return ",".join(map(str, value))
    return str(value.get("type", value)) if isinstance(value, dict) else str(value).lower()
