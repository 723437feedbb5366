"""JSON that is always valid, whatever the numbers: JSON itself has no NaN and no infinity."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from typing import Any

_WORDS = {"NaN": math.nan, "Infinity": math.inf, "-Infinity": -math.inf}
_TAG = "__float__"


def to_words(value: Any) -> Any:
    """The value as plain JSON, with NaN and the infinities as the words "NaN", "Infinity", "-Infinity"."""
    return _plain(value, lambda word: word)


def from_words(value: Any) -> Any:
    """Undo `to_words`: the three words, wherever they stand as a value, become floats again."""
    if isinstance(value, dict):
        return {key: from_words(item) for key, item in value.items()}
    if isinstance(value, list):
        return [from_words(item) for item in value]
    return _WORDS.get(value, value) if isinstance(value, str) else value


def dump_exact(value: Any) -> str:
    """JSON text from which `load_exact` gives back the same value, every float bit for bit.

    NaN and the infinities become `{"__float__": word}`. TypeError for what JSON would silently
    change or cannot hold: a key that is no text, a tensor, an object. A tuple comes back as a list.
    """
    return json.dumps(_plain(value, lambda word: {_TAG: word}), allow_nan=False)


def load_exact(text: str | bytes) -> Any:
    """The value that `dump_exact` wrote."""

    def restore(found: dict[str, Any]) -> Any:
        return _WORDS[found[_TAG]] if found.keys() == {_TAG} else found

    return json.loads(text, object_hook=restore)


def _plain(value: Any, non_finite: Callable[[str], Any]) -> Any:
    if value is None or isinstance(value, (bool, int, str)):
        return value
    if isinstance(value, float):
        if math.isfinite(value):
            return value
        return non_finite("NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity")
    if isinstance(value, dict):
        for key in value:
            if not isinstance(key, str):
                raise TypeError(f"the key {key!r} would come back as text; make it a str")
        return {key: _plain(item, non_finite) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item, non_finite) for item in value]
    raise TypeError(f"JSON cannot hold a {type(value).__name__}: {value!r}")
