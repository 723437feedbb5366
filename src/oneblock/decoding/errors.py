"""The error of this room."""

from __future__ import annotations

from oneblock.config.errors import OneblockError


class GenerateError(OneblockError, ValueError):
    """A prompt or setting that cannot be generated from: what was given, what is allowed, what to do."""
