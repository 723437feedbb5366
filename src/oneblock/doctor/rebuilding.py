"""A model once more with another number of layers, from the configuration it carries or the factory that made it."""

from __future__ import annotations

import copy
import inspect
from collections.abc import Callable, Mapping
from dataclasses import is_dataclass, replace
from typing import Any

import torch
from torch import nn

from oneblock.doctor.errors import DoctorError
from oneblock.doctor.patient import Patient

NAMES = ("num_hidden_layers", "num_layers", "n_layer", "n_layers", "layers", "depth", "num_blocks")
"""What configurations and factories call the number of layers."""
TOO_LARGE = 500_000_000


def rebuilt(patient: Patient, layers: int) -> nn.Module:
    """Fresh weights in a model of so many layers. DoctorError where nobody says how its depth is set: with what would.

    Ours by its configuration; a class with a `config` by a changed copy of that; else a factory that takes one of
    NAMES.
    """
    thing = patient.target.thing
    config = getattr(thing, "config", None)
    make = _of_ours(thing, layers) or _of_config(thing, config, layers) or _of_factory(patient.again, layers)
    if make is None:
        raise DoctorError(
            "its depth cannot be changed from outside: no configuration with a number of layers is at `model.config`, "
            "and no factory takes one; give file.py:factory, the factory with a parameter num_layers (or n_layer, …)"
        )
    try:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(patient.seed)
            made = make()
    except Exception as error:
        raise DoctorError(f"with {layers} layers it cannot be built: {type(error).__name__}: {error}") from error
    if not isinstance(made, nn.Module):
        raise DoctorError(f"with {layers} layers its factory gives a {type(made).__name__}, and no module")
    return made.float().eval()


def _of_ours(thing: Any, layers: int) -> Callable[[], Any] | None:
    if not type(thing).__module__.startswith("oneblock.models"):
        return None
    from oneblock.models.build import build

    config = thing.config
    if hasattr(config, "decoder"):
        parts = {name: replace(getattr(config, name), num_layers=layers) for name in ("encoder", "decoder")}
        return lambda: build(replace(config, **parts))
    return lambda: build(replace(config, num_layers=layers))


def _of_config(thing: Any, config: Any, layers: int) -> Callable[[], Any] | None:
    """A changed copy; lists with an entry for each layer (`layer_types`) go on in turn."""
    if isinstance(config, Mapping):
        name = next((name for name in NAMES if name in config), "")
        return (lambda: type(thing)({**config, name: layers})) if name else None
    name = next((name for name in NAMES if isinstance(getattr(config, name, None), int)), "")
    if not name:
        return None
    known = getattr(config, "attribute_map", {})
    name = known.get(name, name)
    changes: dict[str, Any] = {
        each: layers for each in (name, "num_decoder_layers", "decoder_layers") if hasattr(config, each)
    }
    kinds = getattr(config, "layer_types", None)
    if isinstance(kinds, list) and kinds:
        changes["layer_types"] = [kinds[n % len(kinds)] for n in range(layers)]
    if hasattr(config, "to_dict") and hasattr(type(config), "from_dict"):
        # At once: configurations that check themselves accept no half of a change.
        return lambda: type(thing)(type(config).from_dict(config.to_dict() | changes))
    if is_dataclass(config) and not isinstance(config, type):
        return lambda: type(thing)(replace(config, **changes))

    def make() -> Any:
        changed = copy.deepcopy(config)
        for field, value in changes.items():
            setattr(changed, field, value)
        return type(thing)(changed)

    return make


def _of_factory(again: Callable[..., Any] | None, layers: int) -> Callable[[], Any] | None:
    if again is None:
        return None
    try:
        names = list(inspect.signature(again).parameters)
    except (TypeError, ValueError):
        return None
    name = next((name for name in NAMES if name in names), "")
    return (lambda: again(**{name: layers})) if name else None
