"""equal="time": how long a step of each variant takes on this machine, and how many steps make the same time of it."""

from __future__ import annotations

import json
import statistics
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

from oneblock.compare import reversal, sequences
from oneblock.compare.faults import plant
from oneblock.compare.plan import Plan, Variant
from oneblock.machine.device import describe
from oneblock.runs.durable import replace as write
from oneblock.train.session import Session, start

ROUNDS, STEPS, WARM = 5, 8, 2
"""How often each variant has its turn, the steps of a turn, and those at its beginning that do not count."""
KEPT = "steps.json"


def same_time(plan: Plan, seconds: Mapping[str, float]) -> Plan:
    """The plan with the steps that take each variant as long as the first one's take it, at these seconds a step.

    steps = round(steps of the first · its seconds / the variant's). A pure function; the first keeps its steps.
    """
    first = plan.variants[0]
    whole = (first.config.recipe.steps or 0) * seconds[first.label]

    def timed(variant: Variant) -> Variant:
        steps = max(1, round(whole / seconds[variant.label]))
        found = f"steps={steps} of {1e3 * seconds[variant.label]:.3g} ms"
        return replace(
            variant,
            config=replace(variant.config, recipe=replace(variant.config.recipe, steps=steps)),
            solved=", ".join(filter(None, (variant.solved, found))),
        )

    return replace(plan, variants=tuple(map(timed, plan.variants)), trial=dict(seconds))


def trial(plan: Plan, device: str, step: Callable[[Variant, str], list[float]] | None = None) -> dict[str, float]:
    """Median seconds of a training step by variant: short trainings in turn, so that all meet the same machine."""
    turn = step or _turn
    taken: dict[str, list[float]] = {label: [] for label in plan.labels}
    for _ in range(ROUNDS):
        for variant in plan.variants:
            taken[variant.label] += turn(variant, device)
    return {label: statistics.median(of) for label, of in taken.items()}


def equalised(plan: Plan, device: str, folder: Path, *, resume: bool) -> Plan:
    """The plan at equal time. The trial is kept in the folder: `resume` takes it from there, on the same machine only.

    Elsewhere, or anew, a step takes another time: the steps are others then, and so are the cells.
    """
    asked = {"machine": describe(), "device": device, "variants": _shape(plan)}
    path = folder / KEPT
    if resume:
        try:
            kept = json.loads(path.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            kept = {}
        if {name: kept.get(name) for name in asked} == json.loads(json.dumps(asked)):
            return same_time(plan, kept["seconds"])
    seconds = trial(plan, device)
    folder.mkdir(parents=True, exist_ok=True)
    write(path, json.dumps(asked | {"seconds": seconds}, indent=1).encode())
    return same_time(plan, seconds)


def said(plan: Plan) -> str:
    """What was found, in words, and what may differ."""
    steps = ", ".join(f"{v.label} {v.config.recipe.steps} of {1e3 * plan.trial[v.label]:.3g} ms" for v in plan.variants)
    return (
        f"equal time: steps {steps}; by a trial of {ROUNDS} turns on this machine. Another trial finds others, and "
        "trains other cells; --resume keeps these"
    )


def _shape(plan: Plan) -> list[list[object]]:
    return [[v.label, v.parameters, v.flops, v.config.recipe.batch_size, v.fault] for v in plan.variants]


def _turn(variant: Variant, device: str) -> list[float]:
    """Seconds of a few steps, as a cell takes them; nothing is looked at and nothing kept."""
    count = 0

    def enough() -> bool:
        nonlocal count
        count += 1
        return count >= STEPS

    # More steps than are taken, so that no end is evaluated.
    recipe = replace(variant.config.recipe, steps=10 * STEPS, evaluate_every=10 * STEPS)
    config = replace(variant.config, recipe=replace(recipe, checkpoint_every=10 * STEPS, sample_every=10 * STEPS))
    if task := reversal.named(recipe.data):
        return sequences.timed(config, task, STEPS, fault=variant.fault, device=device)[WARM:]
    with tempfile.TemporaryDirectory(prefix="oneblock-compare-") as folder:
        session = Session(*start(config, Path(folder) / "run"), device=device, stop=enough)
        plant(session.model, variant.fault)
        session.loop.sample = None
        session.loop.go()
        session.loop.log.close()
        return session.loop.steps_timed[WARM:]
