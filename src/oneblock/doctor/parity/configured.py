"""Two models that carry configurations of one kind: which of the fields in which they differ make the difference.

For what the twin cannot say (experts, cross-attention, diffusion): the reference is built again with some of the
target's fields, its own weights put in, and asked.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor, nn

from oneblock.config.part import Part
from oneblock.config.serial import diff, from_dict, to_dict
from oneblock.doctor.parity.change import Change
from oneblock.doctor.parity.explain import smallest
from oneblock.doctor.parity.norms import gap
from oneblock.doctor.target import Target
from oneblock.models.build import build

MOST = 12
"""With more fields apart than this, two models are no versions of one."""


def explain_by_fields(reference: Target, target: Target, x: Tensor, wanted: Tensor, enough: float) -> list[Change]:
    """The fewest fields that make the reference answer as the target; [] where there are none, or no configurations."""
    rebuilt = _ours(reference.module, target.module) or _theirs(reference.module, target.module)
    if rebuilt is None:
        return []
    fields, make = rebuilt
    changes = [Change(what=path, reference=first, target=second) for path, (first, second) in fields.items()]

    def off(chosen: Iterable[Change]) -> float:
        try:
            with torch.random.fork_rng(devices=[]):
                model = make([change.what for change in chosen]).to(reference.dtype).eval()
            model.load_state_dict(reference.module.state_dict(), strict=False)
            return gap(reference.on(model)(x), wanted)
        except Exception:
            # Some sets of fields make no model, or none that takes these weights.
            return float("inf")

    return smallest(changes, range(1, 3), off, enough) if 0 < len(changes) <= MOST else []


Rebuilt = tuple[dict[str, tuple[Any, Any]], Callable[[list[str]], nn.Module]]


def _ours(a: nn.Module, b: nn.Module) -> Rebuilt | None:
    first: Any = getattr(a, "config", None)
    second: Any = getattr(b, "config", None)
    if not isinstance(first, Part) or type(first) is not type(second):
        return None
    own, wanted = to_dict(first), to_dict(second)

    def make(paths: list[str]) -> nn.Module:
        data = copy.deepcopy(own)
        for path in paths:
            _put(data, path.split("."), wanted)
        made: Any = from_dict(type(first), data)
        return build(made)

    return diff(first, second), make


def _put(data: Any, path: list[str], wanted: Any) -> None:
    """Take one value over from another tree of the same form."""
    for name in path[:-1]:
        key = int(name) if isinstance(data, list) else name
        data, wanted = data[key], wanted[key]
    last = int(path[-1]) if isinstance(data, list) else path[-1]
    data[last] = wanted[last]


def _theirs(a: nn.Module, b: nn.Module) -> Rebuilt | None:
    """Classes of transformers: made of a configuration alone."""
    configs = [getattr(model, "config", None) for model in (a, b)]
    if type(a) is not type(b) or any(not hasattr(config, "model_type") for config in configs):
        return None
    first, second = (config.to_dict() for config in configs if config is not None)
    apart = {name: (first.get(name), second.get(name)) for name in first | second}

    def make(names: list[str]) -> nn.Module:
        config = copy.deepcopy(configs[0])
        for name in names:
            setattr(config, name, second.get(name))
        made: Any = type(a)
        model: nn.Module = made(config)
        return model

    return {name: pair for name, pair in apart.items() if pair[0] != pair[1]}, make
