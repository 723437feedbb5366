"""`Part`: a frozen dataclass whose fields check themselves where they are declared.

A field is declared with one of the helpers below. A *slot* is a field that holds one of several options
(`norm`, `position`, …); its options are listed in one visible dict, name -> class, beside the classes.
"""

from __future__ import annotations

import math
import types
import typing
from collections.abc import Callable, Mapping
from dataclasses import MISSING, Field, dataclass, field, fields
from typing import Any

from oneblock.config.errors import ConfigError

Check = Callable[[Any], str | None]
"""Takes a value, gives the rule it breaks, or None."""


def _at_least(minimum: float, *, strict: bool = False, below: float = math.inf) -> Check:
    bound = f"above {minimum:g}" if strict else f"{minimum:g} or more"
    bound = "a finite number" if minimum == -math.inf else bound
    rule = f"must be {bound}" + ("" if below == math.inf else f" and below {below:g}")

    def check(value: Any) -> str | None:
        good = (value > minimum if strict else value >= minimum) and value < below
        # An int is finite, and one too large for a float would raise here.
        return None if good and (isinstance(value, int) or math.isfinite(value)) else rule

    return check


def count(default: Any = MISSING, *, minimum: int = 1) -> Any:
    """A whole number of things; `None` is allowed where the annotation has it."""
    return field(default=default, metadata={"check": _at_least(minimum)})


def positive(default: Any = MISSING) -> Any:
    """A number above 0."""
    return field(default=default, metadata={"check": _at_least(0, strict=True)})


def non_negative(default: Any = MISSING) -> Any:
    """A number of 0 or more."""
    return field(default=default, metadata={"check": _at_least(0)})


def number(default: Any = MISSING) -> Any:
    """Any finite number."""
    return field(default=default, metadata={"check": _at_least(-math.inf, strict=True)})


def share(default: Any = MISSING, *, inclusive: bool = False) -> Any:
    """A share: from 0 up to 1, 1 itself only where `inclusive`."""
    check = _at_least(0, below=math.nextafter(1, 2) if inclusive else 1)

    def plain(value: Any) -> str | None:
        return f"must be from 0 to 1{'' if inclusive else ', 1 itself not included'}" if check(value) else None

    return field(default=default, metadata={"check": plain})


def flag(default: bool) -> Any:
    """True or false."""
    return field(default=default)


def choice(default: Any, *names: str) -> Any:
    """One of a few words."""

    def check(value: Any) -> str | None:
        return None if value in names else "is not one of the choices"

    return field(default=default, metadata={"check": check, "choices": names})


def option(table: Mapping[str, Any], default: Any) -> Any:
    """A slot: one of the options in `table` (name -> class, or a ready-made option under a name of its own)."""
    return field(default=default, metadata={"table": table})


@dataclass(frozen=True, kw_only=True)
class Part:
    """Base of every piece of configuration: immutable, comparable, checked when it is made."""

    def __post_init__(self) -> None:
        hints = field_types(type(self))
        for spec in fields(self):
            check_field(spec, hints[spec.name], getattr(self, spec.name))


def field_types(cls: type) -> dict[str, Any]:
    """The annotations of a part, resolved once."""
    if cls not in _RESOLVED:
        _RESOLVED[cls] = typing.get_type_hints(cls)
    return _RESOLVED[cls]


_RESOLVED: dict[type, dict[str, Any]] = {}


def alternatives(hint: Any) -> tuple[Any, ...]:
    """The types a field takes: `int | None` -> (int, NoneType)."""
    return typing.get_args(hint) if isinstance(hint, types.UnionType) else (hint,)


def check_field(spec: Field[Any], hint: Any, value: Any) -> None:
    """Raise `ConfigError` where a value has the wrong type or breaks the field's own rule."""
    allowed = alternatives(hint)
    if value is None and type(None) in allowed:
        return
    table = spec.metadata.get("table")
    if table is not None:
        if not isinstance(value, tuple(set(option_classes(table)))):
            raise ConfigError(spec.name, value, "is not one of the options", table)
        return
    _check_type(spec.name, allowed, value)
    if isinstance(value, tuple):
        for index, entry in enumerate(value):
            _check_type(f"{spec.name}.{index}", typing.get_args(hint)[:1], entry)
    check = spec.metadata.get("check")
    rule = check(value) if check else None
    if rule:
        raise ConfigError(spec.name, value, rule, spec.metadata.get("choices", ()))


def option_classes(table: Mapping[str, Any]) -> list[type]:
    """The classes behind a slot's options."""
    return [entry if isinstance(entry, type) else type(entry) for entry in table.values()]


def _check_type(name: str, allowed: tuple[Any, ...], value: Any) -> None:
    plain = tuple(typing.get_origin(kind) or kind for kind in allowed)
    fits = isinstance(value, plain) or (float in plain and isinstance(value, int))
    if isinstance(value, bool) and bool not in plain:
        fits = False
    if not fits:
        words = " or ".join(
            "nothing (none)" if kind is type(None) else _WORDS.get(kind, f"a {kind.__name__}") for kind in plain
        )
        raise ConfigError(name, value, f"must be {words}")


_WORDS = {
    int: "a whole number",
    float: "a number",
    bool: "true or false",
    str: "a word",
    tuple: "a list (a tuple in Python)",
}
