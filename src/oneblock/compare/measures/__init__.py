"""What is measured of a cell beyond its loss: one file for each probe, run only where an experiment asks for it."""

from __future__ import annotations

from collections.abc import Callable

from oneblock.compare.measures import (
    attention,
    cached_training,
    drift,
    experts,
    far,
    latency,
    layers,
    leak,
    norms,
    precision,
    probe,
    projections,
    reach,
    rounding,
    sliding,
    spikes,
    start,
)
from oneblock.compare.measures.subject import Found, Subject

PROBES: dict[str, Callable[[Subject], Found]] = {
    "far": far.measure,
    "reach": reach.measure,
    "layers": layers.measure,
    "probe": probe.measure,
    "attention": attention.measure,
    "leak": leak.measure,
    "latency": latency.measure,
    "cached_training": cached_training.measure,
    "experts": experts.measure,
    "spikes": spikes.measure,
    "start": start.measure,
    "rounding": rounding.measure,
    "sliding": sliding.measure,
    "precision": precision.measure,
    "norms": norms.measure,
    "projections": projections.measure,
    "drift": drift.measure,
}
"""Name (`by` of the catalogue's measures and curves) -> what measures it."""
AT_START = frozenset({"start"})
"""Probes that are given the model before its training; the others are given it after."""
TIMED = frozenset({"latency", "cached_training", "norms", "projections"})
"""Probes whose seconds are those of a machine: a result says which it was."""
