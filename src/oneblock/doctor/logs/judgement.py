"""`Judgement`: what the judge of one cause says."""

from __future__ import annotations

from typing import NamedTuple


class Judgement(NamedTuple):
    """How much speaks for a cause, why, and, if something excludes it, what."""

    weight: float
    why: str
    excluded: str = ""
