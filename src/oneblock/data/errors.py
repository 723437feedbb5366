"""The error of this room."""

from __future__ import annotations

from oneblock.config.errors import OneblockError


class DataError(OneblockError):
    """Data that cannot be found, read, or used: what was given, what is allowed, and what to do."""
