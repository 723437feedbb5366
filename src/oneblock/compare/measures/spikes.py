"""Spikes: steps whose gradient is far larger than that of the steps before."""

from __future__ import annotations

import math
import statistics

from oneblock.compare.measures.subject import Found, Subject

BEFORE, TIMES = 50, 4.0
"""A spike is more than so many times the median of that many steps before it."""
MOST_POINTS = 120


def measure(subject: Subject) -> Found:
    """Spikes per 1000 steps, from the step on that has 50 before it, and the gradient's norm before clipping by step.

    A norm that is no number is a spike. NaN where the run was too short to have any before.
    """
    norms = subject.norms
    judged = range(BEFORE, len(norms))
    found = sum(not norms[at] <= TIMES * statistics.median(norms[at - BEFORE : at]) for at in judged)
    every = max(1, -(-len(norms) // MOST_POINTS))
    points = [[float(at + every), max(norms[at : at + every])] for at in range(0, len(norms), every)]
    return Found(
        measures={"spikes": 1000 * found / len(judged) if judged else math.nan},
        curves={"gradient norm by step": points},
    )
