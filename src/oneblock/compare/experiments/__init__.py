"""The experiments, one file each."""

from __future__ import annotations

import difflib

from oneblock.compare.experiment import Experiment
from oneblock.compare.experiments import (
    ablation,
    cache,
    depth,
    encoder_decoder,
    experts,
    feed_forwards,
    gradient_flow,
    inner_width,
    kv_heads,
    layers,
    mask,
    norms,
    order,
    placement,
    positions,
    residuals,
    scale,
    to_llama,
    toys,
    warm_up,
)
from oneblock.config.errors import OneblockError

_FILES = (
    residuals,
    gradient_flow,
    depth,
    ablation,
    order,
    layers,
    placement,
    warm_up,
    norms,
    feed_forwards,
    inner_width,
    positions,
    scale,
    mask,
    kv_heads,
    cache,
    experts,
    encoder_decoder,
    toys,
    to_llama,
)
EXPERIMENTS: dict[str, Experiment] = {file.EXPERIMENT.name: file.EXPERIMENT for file in _FILES}
"""Name -> experiment, in the order of their rows."""


def experiment(name: str) -> Experiment:
    """The experiment of that name, or the first of that row (`E7`); OneblockError with the nearest names."""
    rows = {found.row.lower(): found for found in reversed(EXPERIMENTS.values())}
    found = EXPERIMENTS.get(name.lower().replace("_", "-")) or rows.get(name.lower())
    if found is None:
        near = difflib.get_close_matches(name.lower(), [*EXPERIMENTS, *rows], n=3, cutoff=0.5)
        raise OneblockError(f"{name} is not an experiment; try {', '.join(near or EXPERIMENTS)} (all: --list)")
    return found
