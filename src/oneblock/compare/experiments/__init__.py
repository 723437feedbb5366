"""The experiments, one file each."""

from __future__ import annotations

import difflib

from oneblock.compare.experiment import Experiment
from oneblock.compare.experiments import (
    ablation,
    activations,
    balance,
    cache,
    capacity,
    deep_placement,
    deeper,
    depth,
    drifts,
    early_tokens,
    encoder_decoder,
    expert_dropout,
    expert_layers,
    experts,
    feed_forwards,
    gradient_flow,
    heads,
    inner_width,
    kv_heads,
    layers,
    mask,
    norm_kernels,
    norms,
    order,
    placement,
    positions,
    projections,
    residuals,
    router,
    scale,
    slopes,
    stacks,
    to_llama,
    toys,
    trained_length,
    warm_up,
)
from oneblock.config.errors import OneblockError

_FILES = (
    residuals,
    gradient_flow,
    depth,
    deeper,
    stacks,
    ablation,
    order,
    layers,
    placement,
    deep_placement,
    warm_up,
    norms,
    norm_kernels,
    feed_forwards,
    activations,
    inner_width,
    positions,
    trained_length,
    early_tokens,
    scale,
    mask,
    kv_heads,
    heads,
    projections,
    cache,
    experts,
    router,
    balance,
    capacity,
    expert_layers,
    expert_dropout,
    encoder_decoder,
    toys,
    slopes,
    drifts,
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
