"""`override(config, "path=value", …)`: the one way to change a configuration, the same in every verb.

A path names fields from the outside in. What does not begin with `model`, `recipe` or `name` is looked up in the
model: `width=512`, `block.placement=peri`, `blocks.1.attention.window=64`, `recipe.batch_size=32`. `block` is every
block of the pattern; `blocks=2` repeats the pattern to two entries.
"""

from __future__ import annotations

import difflib
import json
from collections.abc import Mapping
from dataclasses import Field, fields, replace
from typing import Any, TypeVar

from oneblock.config.config import Config
from oneblock.config.errors import ConfigError
from oneblock.config.part import Part, alternatives, field_types
from oneblock.config.serial import from_dict, read_option

P = TypeVar("P", bound=Part)


def override(config: P, *settings: str) -> P:
    """The configuration with each `path=value` applied, in order.

    Raises ConfigError with path, value, rule and options for an unknown path or a value that breaks a rule.
    Settings that only together are valid (steps and minutes) may come in any order: `none` empties a field.
    """
    for setting in settings:
        path, equals, text = setting.partition("=")
        if not equals or not path.strip():
            raise ConfigError("", setting, "is not of the form path=value", ("block.placement=peri",))
        names = path.strip().split(".")
        if isinstance(config, Config) and names[0] not in {spec.name for spec in fields(config)}:
            changed: Part = replace(config, model=_changed(config.model, names, text.strip()))
        else:
            changed = _changed(config, names, text.strip())
        config = changed  # type: ignore[assignment]
    return config


def _changed(part: Part, names: list[str], text: str) -> Any:
    name, rest = names[0], names[1:]
    specs = {spec.name: spec for spec in fields(part)}
    if name == "block" and "blocks" in specs:
        return _replaced(part, "blocks", tuple(_inner(block, "block", rest, text) for block in part.blocks))  # type: ignore[attr-defined]
    if name not in specs:
        known = [*specs, "block"] if "blocks" in specs else list(specs)
        near = difflib.get_close_matches(name, known, n=3)
        raise ConfigError(name, text, f"is not a field of {type(part).__name__}", near or known)
    value = getattr(part, name)
    if rest:
        return _replaced(part, name, _inner(value, name, rest, text))
    try:
        parsed = _parsed(text, specs[name], field_types(type(part))[name], value)
    except ConfigError as error:
        raise error.at(name) from None
    if name == "minutes" and parsed is not None and getattr(part, "steps", None) is not None:
        return replace(part, minutes=parsed, steps=None)  # type: ignore[call-arg]
    if name == "steps" and parsed is not None and getattr(part, "minutes", None) is not None:
        return replace(part, steps=parsed, minutes=None)  # type: ignore[call-arg]
    return _replaced(part, name, parsed)


def _inner(value: Any, name: str, rest: list[str], text: str) -> Any:
    """What lies at `rest` inside the field `name`, changed; errors carry the field's name."""
    try:
        if not rest:
            raise ConfigError("", text, "needs the name of a field after it", [spec.name for spec in fields(value)])
        if isinstance(value, tuple) and value and isinstance(value[0], Part):
            index = _index(rest[0], len(value))
            return (*value[:index], _inner(value[index], rest[0], rest[1:], text), *value[index + 1 :])
        if not isinstance(value, Part):
            raise ConfigError(rest[0], text, f"cannot be set: {name} is {value!r} and has no fields")
        return _changed(value, rest, text)
    except ConfigError as error:
        raise error.at(name) from None


def _index(text: str, length: int) -> int:
    if not text.isdecimal() or int(text) >= length:
        more = f"blocks={int(text) + 1} first" if text.isdecimal() else "blocks.0.…"
        raise ConfigError("", text, f"is not the number of a block: the pattern has {length}", ("block.… for all", more))
    return int(text)


def _replaced(part: Part, name: str, value: Any) -> Part:
    return replace(part, **{name: value})  # type: ignore[no-any-return]


def _parsed(text: str, spec: Field[Any], hint: Any, current: Any) -> Any:
    allowed = alternatives(hint)
    if text.lower() in ("none", "null") and type(None) in allowed:
        return None
    table = spec.metadata.get("table")
    if table is not None:
        return read_option(table, _json(text) if text.startswith("{") else text)
    if spec.name == "blocks":
        return _pattern(text, current)
    if isinstance(current, Part):
        return from_dict(type(current), _json(text))
    if tuple in [getattr(kind, "__origin__", kind) for kind in allowed]:
        return tuple(word.strip() for word in text.split(",") if word.strip())
    return _scalar(text, allowed)


def _scalar(text: str, allowed: tuple[Any, ...]) -> Any:
    if bool in allowed:
        words = {"true": True, "on": True, "yes": True, "1": True, "false": False, "off": False, "no": False, "0": False}
        if text.lower() not in words:
            raise ConfigError("", text, "must be true or false")
        return words[text.lower()]
    for kind, word in ((int, "a whole number"), (float, "a number")):
        if kind in allowed:
            try:
                return kind(text)
            except ValueError:
                raise ConfigError("", text, f"must be {word}") from None
    return text


def _pattern(text: str, blocks: tuple[Part, ...]) -> tuple[Part, ...]:
    if not text.isdecimal() or int(text) < 1:
        raise ConfigError("", text, "must be how many blocks the pattern has", ("1", "2"))
    return tuple(blocks[index % len(blocks)] for index in range(int(text)))


def _json(text: str) -> Mapping[str, Any]:
    try:
        value = json.loads(text)
    except json.JSONDecodeError as error:
        raise ConfigError("", text, f"is not JSON ({error})") from None
    if not isinstance(value, dict):
        raise ConfigError("", text, "must be a JSON object")
    return value
