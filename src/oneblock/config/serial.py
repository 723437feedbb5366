"""Configurations to JSON and back without loss, and the difference of two."""

from __future__ import annotations

import typing
from collections.abc import Mapping
from dataclasses import MISSING, fields
from typing import Any, TypeVar

from oneblock.config.config import Config
from oneblock.config.errors import ConfigError
from oneblock.config.part import Part, alternatives, field_types

P = TypeVar("P", bound=Part)


def to_dict(part: Part) -> dict[str, Any]:
    """A part as plain JSON: every field by name, an option with its name under `type`."""
    return {spec.name: _plain(getattr(part, spec.name), spec.metadata.get("table")) for spec in fields(part)}


def _plain(value: Any, table: Mapping[str, Any] | None) -> Any:
    if isinstance(value, tuple):
        return [_plain(entry, table) for entry in value]
    if not isinstance(value, Part):
        return value
    if table is None:
        return to_dict(value)
    return {"type": option_name(table, value)} | to_dict(value)


def option_name(table: Mapping[str, Any], value: Part) -> str:
    """The name under which a slot lists an option."""
    return next(name for name, entry in table.items() if entry is type(value))


def option_class(table: Mapping[str, Any], name: str) -> type[Part]:
    """The class behind a name of a slot."""
    entry = table[name]
    return entry if isinstance(entry, type) else type(entry)


def from_dict(cls: type[P], data: object) -> P:
    """The part that `to_dict` gave. Unknown, missing and wrong fields are `ConfigError`s with their path."""
    if not isinstance(data, Mapping):
        raise ConfigError("", data, f"must be an object with the fields of {cls.__name__}")
    known = {spec.name: spec for spec in fields(cls)}
    hints = field_types(cls)
    given: dict[str, Any] = {}
    for name, value in data.items():
        if name == "type" and "type" not in known:
            continue
        if name not in known:
            raise ConfigError(name, value, f"is not a field of {cls.__name__}", known)
        try:
            given[name] = _built(value, hints[name], known[name].metadata.get("table"))
        except ConfigError as error:
            raise error.at(name) from None
    try:
        return cls(**given)
    except TypeError:
        missing = [name for name in known if name not in given and _required(known[name])]
        if not missing:
            raise
        raise ConfigError(missing[0], "nothing", f"is required by {cls.__name__}") from None


def _required(spec: Any) -> bool:
    return spec.default is MISSING and spec.default_factory is MISSING


def _built(value: Any, hint: Any, table: Mapping[str, Any] | None) -> Any:
    if isinstance(value, list):
        inner = typing.get_args(hint)[0] if typing.get_args(hint) else hint
        entries = []
        for index, entry in enumerate(value):
            try:
                entries.append(_built(entry, inner, table))
            except ConfigError as error:
                raise error.at(str(index)) from None
        return tuple(entries)
    if value is None:
        return None
    if table is not None:
        return read_option(table, value)
    part = next((kind for kind in alternatives(hint) if isinstance(kind, type) and issubclass(kind, Part)), None)
    return from_dict(part, value) if part else value


def read_option(table: Mapping[str, Any], value: object) -> Any:
    """An option from its name or from {"type": name, …fields}."""
    name = value.get("type") if isinstance(value, Mapping) else value
    if not isinstance(name, str) or name not in table:
        raise ConfigError("", name, "is not one of the options", table)
    entry = table[name]
    if isinstance(entry, Part):
        merged = to_dict(entry) | (dict(value) if isinstance(value, Mapping) else {})
        return from_dict(type(entry), merged | {"type": name})
    return from_dict(entry, value if isinstance(value, Mapping) else {})


def config_from_dict(data: object) -> Config:
    """A whole configuration from the JSON beside a run's checkpoints, also where an older version wrote it."""
    return from_dict(Config, _without_unread(data))


def _without_unread(data: object) -> object:
    """The same without options of a cross-attention in a model that has no memory: older versions let them stand."""
    if not isinstance(data, Mapping) or not isinstance(data.get("model"), Mapping):
        return data
    model = dict(data["model"])
    if "blocks" in model:
        model["blocks"] = _plain_blocks(model["blocks"])
    elif isinstance(model.get("encoder"), Mapping) and "blocks" in model["encoder"]:
        model["encoder"] = {**model["encoder"], "blocks": _plain_blocks(model["encoder"]["blocks"])}
    return {**data, "model": model}


def _plain_blocks(blocks: object) -> object:
    def plain(block: object) -> object:
        if not isinstance(block, Mapping) or "cross_attention" in str(block.get("steps")):
            return block
        return {name: value for name, value in block.items() if not name.startswith("cross_attention")}

    return [plain(block) for block in blocks] if isinstance(blocks, list) else blocks


def diff(a: Part, b: Part) -> dict[str, tuple[Any, Any]]:
    """Where two configurations differ: path -> (value in a, value in b), in plain JSON values."""
    return dict(_differences("", to_dict(a), to_dict(b)))


def _differences(path: str, a: Any, b: Any) -> list[tuple[str, tuple[Any, Any]]]:
    if isinstance(a, dict) and isinstance(b, dict) and a.get("type") == b.get("type"):
        found = []
        for name in a | b:
            found += _differences(f"{path}.{name}".lstrip("."), a.get(name), b.get(name))
        return found
    if isinstance(a, list) and isinstance(b, list) and len(a) == len(b):
        return [d for i, (x, y) in enumerate(zip(a, b, strict=True)) for d in _differences(f"{path}.{i}", x, y)]
    return [] if a == b else [(path, (a, b))]
