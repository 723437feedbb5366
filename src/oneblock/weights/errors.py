"""The error of this room."""

from __future__ import annotations

from collections.abc import Iterable

from oneblock.config.errors import OneblockError


class WeightsError(OneblockError):
    """Weights that cannot be read, or that do not fit: which ones, why, and what to do."""


def few(names: Iterable[object], most: int = 8) -> str:
    """A list in words, its end counted where it is long."""
    all_of_them = [str(name) for name in names]
    more = f" and {len(all_of_them) - most} more" if len(all_of_them) > most else ""
    return ", ".join(all_of_them[:most]) + more
