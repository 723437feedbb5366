"""The error of this room."""

from __future__ import annotations

from oneblock.config.errors import OneblockError


class DoctorError(OneblockError):
    """A model that cannot be examined: not found, not callable, or not asked for in words the doctor knows."""
