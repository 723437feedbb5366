"""`override(config, "path=value", …)`: the one way to change a configuration, the same in every verb.

A path names fields from the outside in. What does not begin with `model`, `recipe` or `name` is looked up in the
model: `width=512`, `block.placement=peri`, `blocks.1.attention.window=64`, `recipe.batch_size=32`. `block` is every
block of the pattern; `blocks=2` repeats the pattern to two entries.
"""

from __future__ import annotations

import copy
import difflib
import json
from collections.abc import Mapping
from dataclasses import Field, fields
from typing import Any, TypeVar

from oneblock.config.block import BRANCHES
from oneblock.config.config import Config
from oneblock.config.errors import ConfigError
from oneblock.config.part import Part, alternatives, field_types
from oneblock.config.serial import from_dict, option_class, option_name, read_option, to_dict

P = TypeVar("P", bound=Part)


def override(config: P, *settings: str) -> P:
    """The configuration with each `path=value` applied, in order; the rules are asked once, of the whole.

    So settings that only together are valid may come in any order. `none` empties a field that may be empty.
    Raises ConfigError with path, value, rule and options for an unknown path or a value that breaks a rule.
    """
    data = to_dict(config)
    for setting in settings:
        path, equals, text = setting.partition("=")
        if not equals or not path.strip():
            raise ConfigError("", setting, "is not of the form path=value", ("block.placement=peri",))
        names = path.strip().split(".")
        try:
            if isinstance(config, Config) and names[0] not in {spec.name for spec in fields(config)}:
                _set(type(config.model), data["model"], names, text.strip())
            else:
                _set(type(config), data, names, text.strip())
        except ConfigError as error:
            raise _with_recipe(error, config) from None
    try:
        made = from_dict(type(config), data)
    except ConfigError as error:
        raise _shortened(error, config) from None
    for setting in settings:
        _check_read(getattr(made, "model", made), setting)
    return made


def _check_read(model: Part, setting: str) -> None:
    """ConfigError where a setting is of a step that none of its blocks takes, so that nothing would read it."""
    path, _, text = setting.partition("=")
    names = path.strip().removeprefix("model.").split(".")
    stack: Any = getattr(model, names[0], None) if names[0] in ("encoder", "decoder") else model
    match names[1:] if stack is not model else names:
        case ["block", option, *_]:
            blocks = stack.blocks
        case ["blocks", index, option, *_]:
            blocks = stack.blocks[int(index) : int(index) + 1]
        case _:
            return
    step = option.removesuffix("_only")
    if step in BRANCHES and blocks and not any(block.count(step) for block in blocks):
        steps = ",".join(blocks[0].steps)
        rule = f"is of a step that is not taken there: steps={steps}"
        raise ConfigError(path.strip(), text.strip(), rule, (f"steps={steps},{step}", "leave it out"))


def _with_recipe(error: ConfigError, config: Part) -> ConfigError:
    """A field that is the recipe's and was looked for in the model."""
    if isinstance(config, Config) and error.path in {spec.name for spec in fields(config.recipe)}:
        return ConfigError(error.path, error.value, error.rule, (f"recipe.{error.path}",))
    return error


def _shortened(error: ConfigError, config: Part) -> ConfigError:
    """The path as a person would write it: without `model.`, and `block` where the pattern has one."""
    path = error.path.removeprefix("model.") if isinstance(config, Config) else error.path
    pattern = getattr(getattr(config, "model", config), "blocks", ())
    if len(pattern) == 1 and path.startswith("blocks.0."):
        path = "block." + path.removeprefix("blocks.0.")
    return ConfigError(path, error.value, error.rule, error.options)


def _set(cls: type[Part], node: dict[str, Any], names: list[str], text: str) -> None:
    """Change the plain form of a part in place."""
    name, rest = names[0], names[1:]
    specs = {spec.name: spec for spec in fields(cls)}
    hints = field_types(cls)
    if name == "block" and "blocks" in specs:
        for block in node["blocks"]:
            _inside(_element(hints["blocks"]), block, "block", rest, text)
        return
    if name not in specs:
        known = [*specs, "block"] if "blocks" in specs else list(specs)
        near = difflib.get_close_matches(name, known, n=3)
        raise ConfigError(name, text, f"is not a field of {cls.__name__}", near or known)
    if not rest:
        try:
            node[name] = _plain_value(text, specs[name], hints[name], node[name])
        except ConfigError as error:
            raise error.at(name) from None
        _say_how_long_once(node, name)
    elif isinstance(node[name], list) and name == "blocks":
        index = _index(rest[0], len(node[name]))
        _inside(_element(hints[name]), node[name][index], f"{name}.{rest[0]}", rest[1:], text)
    else:
        _inside(_class_of(specs[name], hints[name], node[name]), node[name], name, rest, text)


def _inside(cls: type[Part] | None, node: Any, name: str, rest: list[str], text: str) -> None:
    try:
        if cls is None:
            raise ConfigError(rest[0], text, f"cannot be set: {name} is {json.dumps(node)} and has no fields")
        if not rest:
            raise ConfigError("", text, "needs the name of a field after it", [spec.name for spec in fields(cls)])
        _set(cls, node, rest, text)
    except ConfigError as error:
        raise error.at(name) from None


def _say_how_long_once(node: dict[str, Any], name: str) -> None:
    """Steps and minutes exclude each other: the one that is set empties the other."""
    other = {"steps": "minutes", "minutes": "steps"}.get(name)
    if other in node and node[name] is not None:
        node[other] = None


def _element(hint: Any) -> type[Part]:
    element: type[Part] = hint.__args__[0]
    return element


def _class_of(spec: Field[Any], hint: Any, value: Any) -> type[Part] | None:
    if not isinstance(value, dict):
        return None
    table = spec.metadata.get("table")
    if table is not None:
        return option_class(table, value["type"])
    return next((kind for kind in alternatives(hint) if isinstance(kind, type) and issubclass(kind, Part)), None)


def _index(text: str, length: int) -> int:
    if not text.isdecimal() or int(text) >= length:
        more = f"blocks={int(text) + 1} first" if text.isdecimal() else "blocks.0.…"
        raise ConfigError(
            "blocks", text, f"is not the number of a block: the pattern has {length}", ("block.… for all", more)
        )
    return int(text)


def _plain_value(text: str, spec: Field[Any], hint: Any, current: Any) -> Any:
    """The text as plain JSON for a field; what it breaks of the field's own rule is found when the part is made."""
    allowed = alternatives(hint)
    if text.lower() in ("none", "null") and type(None) in allowed:
        return None
    table = spec.metadata.get("table")
    if table is not None:
        option = read_option(table, _json(text) if text.startswith("{") else text)
        return {"type": option_name(table, option)} | to_dict(option)
    if spec.name == "blocks":
        return _pattern(text, current)
    if isinstance(current, dict):
        cls = _class_of(spec, hint, current)
        assert cls is not None
        return to_dict(from_dict(cls, _json(text)))
    if tuple in [getattr(kind, "__origin__", kind) for kind in allowed]:
        return [word.strip() for word in text.split(",") if word.strip()]
    return _scalar(text, allowed)


def _scalar(text: str, allowed: tuple[Any, ...]) -> Any:
    if bool in allowed:
        words = {
            "true": True,
            "on": True,
            "yes": True,
            "1": True,
            "false": False,
            "off": False,
            "no": False,
            "0": False,
        }
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


def _pattern(text: str, blocks: list[Any]) -> list[Any]:
    if not text.isdecimal() or int(text) < 1:
        raise ConfigError("", text, "must be how many blocks the pattern has", ("1", "2"))
    return [copy.deepcopy(blocks[index % len(blocks)]) for index in range(int(text))]


def _json(text: str) -> Mapping[str, Any]:
    try:
        value = json.loads(text)
    except json.JSONDecodeError as error:
        raise ConfigError("", text, f"is not JSON ({error})") from None
    if not isinstance(value, dict):
        raise ConfigError("", text, "must be a JSON object")
    return value
