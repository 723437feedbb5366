"""Tables of a TOML file as frozen dataclasses: names, types and what is missing checked, with errors that say where."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import MISSING, fields
from pathlib import Path
from types import UnionType
from typing import Any, TypeVar, get_args, get_origin, get_type_hints

from oneblock.learn.course.fields import near
from oneblock.learn.errors import LearnError

T = TypeVar("T")


def tables(path: Path) -> dict[str, Any]:
    """What a TOML file holds."""
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise LearnError(f"{path.name} is not there") from None
    except (UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise LearnError(f"{path.name}: {error}") from None


def entries(kind: type[T], path: Path, given: Any, field: str, **more: Any) -> tuple[T, ...]:
    """`[[field]]` of a file, each as one `kind`; `more` is put into all of them."""
    if not isinstance(given, list) or not all(isinstance(entry, dict) for entry in given):
        raise LearnError(f"{path.name}: {field} is not a list of tables; write [[{field}]] above each")
    return tuple(
        built(kind, f"{path.name}, {field} {entry.get('id', number)}", {**entry, **more})
        for number, entry in enumerate(given, 1)
    )


def built(kind: type[T], where: str, given: Mapping[str, Any]) -> T:
    """One `kind` of the table's values. Lists become tuples; an empty string is an error, leave the field out."""
    hints = get_type_hints(kind)
    for field in given:
        if field not in hints:
            raise LearnError(f"{where}: {field} is not a field; try {', '.join(near(field, hints))}")
    needed = [f.name for f in fields(kind) if f.default is MISSING and f.default_factory is MISSING]  # type: ignore[arg-type]
    if missing := [field for field in needed if field not in given]:
        raise LearnError(f"{where}: {', '.join(missing)} is missing")
    return kind(**{field: _typed(f"{where}: {field}", hints[field], value) for field, value in given.items()})


def unique(where: str, names: list[str]) -> None:
    """LearnError where a name stands twice."""
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise LearnError(f"{where}: {', '.join(twice)} is there twice")


def _typed(where: str, hint: Any, value: Any) -> Any:
    origin, inner = get_origin(hint) or hint, get_args(hint)
    if origin is UnionType:
        return _typed(where, inner[0], value)
    if origin is tuple and isinstance(value, list):
        return tuple(_typed(where, inner[0], entry) for entry in value)
    if origin is dict and isinstance(value, dict):
        return {key: _typed(f"{where}.{key}", inner[1], entry) for key, entry in value.items()}
    if hasattr(origin, "__dataclass_fields__") and isinstance(value, dict):
        return built(origin, where, value)
    # A bool is an int in Python, and a mistake where a number is meant.
    if not isinstance(value, origin) or (isinstance(value, bool) and origin is not bool):
        raise LearnError(f"{where} = {value!r} should be a {getattr(origin, '__name__', origin)}")
    if isinstance(value, str) and not value.strip():
        raise LearnError(f"{where} is empty; leave it out")
    return value
