"""The error of this room."""

from __future__ import annotations

from oneblock.config.errors import OneblockError


class LearnError(OneblockError):
    """What cannot be graded at all: no such exercise, no such file, options that contradict each other."""
