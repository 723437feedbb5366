"""Whether what an experiment measures is there to be measured: asked of the configurations, before anything is run."""

from __future__ import annotations

from collections.abc import Mapping

from oneblock.compare.catalogue import CURVES, MEASURES
from oneblock.compare.experiment import Alike, Experiment, Lower, fault_of
from oneblock.config.config import Config
from oneblock.config.decoder import Decoder
from oneblock.config.errors import OneblockError
from oneblock.config.experts import Mixture
from oneblock.config.position import Learned

MASKS = ("no-mask", "mask-after-softmax")
"""Faults that are planted in what attends, which a soft cap makes another."""
STEPS_BEFORE = 50
"""A spike is judged against so many steps before it (`measures.spikes`)."""


def check(experiment: Experiment, configs: Mapping[str, Config]) -> None:
    """OneblockError where a variant that is judged has not what it is judged by, or none has what is shown.

    A variant that is only shown may lack a measure: a dense model has no experts, and its place in the table is empty.
    """
    for label, settings in experiment.variants.items():
        _plantable(label, settings, configs[label])
    for rule in experiment.rule:
        for label in (rule.a, rule.b) if isinstance(rule, Lower | Alike) else (rule.a,):
            if why := lacks(MEASURES[rule.measure].by, configs[label]):
                raise OneblockError(f"{rule.measure} cannot be measured of the variant {label}: {why}")
    shown = {name: MEASURES[name].by for name in experiment.measures}
    shown |= {name: CURVES[name].by for figure in experiment.figures for name in figure.curves}
    for name, probe in shown.items():
        reasons = [lacks(probe, config) for config in configs.values()]
        if all(reasons):
            raise OneblockError(f"{name} cannot be measured of any variant: {reasons[0]}")


def lacks(probe: str, config: Config) -> str:
    """Why a probe would find nothing in a model of this configuration; "" where it would find something."""
    model = config.model
    if not isinstance(model, Decoder):
        return ""
    if probe in ("experts", "precision") and not any(isinstance(block.feed_forward, Mixture) for block in model.blocks):
        return "it has no experts; give it some with --set block.feed_forward=switch (or gshard, top_k)"
    if probe in ("far", "reach", "sliding") and isinstance(model.position, Learned):
        return f"learned positions end at {model.context}, and texts longer than that are asked for; take position=rope"
    if probe == "attention" and not any("attention" in step for block in model.blocks for step in block.steps):
        return "none of its blocks has attention; add it to block.steps"
    return ""


def warnings(experiment: Experiment, configs: Mapping[str, Config]) -> tuple[str, ...]:
    """What will stay empty for want of steps: of such a budget nothing else is wrong."""
    steps = min(config.recipe.steps or 0 for config in configs.values())
    if "spikes" not in experiment.wanted or steps > STEPS_BEFORE:
        return ()
    return (f"spikes: told by the {STEPS_BEFORE} steps before, and {steps} are trained: there will be none to see",)


def _plantable(label: str, settings: tuple[str, ...], config: Config) -> None:
    fault = fault_of(settings)
    blocks = config.model.blocks if isinstance(config.model, Decoder) else ()
    if fault in MASKS and any(block.attention.soft_cap is not None for block in blocks):
        raise OneblockError(
            f"the variant {label} plants {fault} in attention without a soft cap; set block.attention.soft_cap=none"
        )
