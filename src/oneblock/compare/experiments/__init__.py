"""The experiments, one file each."""

from __future__ import annotations

import difflib

from oneblock.compare.experiment import Experiment
from oneblock.compare.experiments import (
    ablation,
    feed_forwards,
    kv_heads,
    norms,
    order,
    placement,
    positions,
    residuals,
    toys,
)
from oneblock.config.errors import OneblockError

_FILES = (residuals, ablation, order, placement, norms, feed_forwards, positions, kv_heads, toys)
EXPERIMENTS: dict[str, Experiment] = {file.EXPERIMENT.name: file.EXPERIMENT for file in _FILES}
"""Name -> experiment, in the order of their rows."""


def experiment(name: str) -> Experiment:
    """The experiment of that name, or row (`E7`); OneblockError with the nearest names."""
    rows = {found.row.lower(): found for found in EXPERIMENTS.values()}
    found = EXPERIMENTS.get(name.lower().replace("_", "-")) or rows.get(name.lower())
    if found is None:
        near = difflib.get_close_matches(name.lower(), [*EXPERIMENTS, *rows], n=3, cutoff=0.5)
        raise OneblockError(f"{name} is not an experiment; try {', '.join(near or EXPERIMENTS)} (all: --list)")
    return found
