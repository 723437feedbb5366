"""The engine: every cell of a plan run once, by this process and any others at the same work, then judged."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from oneblock.compare.cell import Cell
from oneblock.compare.hands import Hands, here
from oneblock.compare.plan import Plan
from oneblock.compare.power import Outlook, beforehand, outlooks
from oneblock.compare.statistics import noise_floor
from oneblock.compare.store import Store
from oneblock.compare.verdict import Finding, Values, judge, overall
from oneblock.compare.work import TUNING_SEED, Place, Result, Tell, Work, measured

PILOT = 2
"""Seeds of every variant after which the power of all is told, where earlier runs do not tell it."""
LOOKED_FOR = 16
"""Seeds among which earlier runs of the same cells are looked for."""


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """A comparison that has been run. `rates`: label -> the factor chosen; `runs`: label -> a result for each seed.

    outlooks: what the seeds were said to tell before they were all run
    """

    plan: Plan
    rates: Mapping[str, float]
    tuned: Mapping[str, Mapping[float, float]]
    runs: Mapping[str, tuple[Result, ...]]
    values: Values
    findings: tuple[Finding, ...]
    outlooks: tuple[Outlook, ...] = ()

    @property
    def verdict(self) -> str:
        return overall(self.findings)

    @property
    def noise_floor(self) -> float:
        """Of the measure that the first comparison is about."""
        return self.findings[0].floor

    def fair_rate(self, label: str) -> str:
        """In words, whether the learning rate is this variant's own best."""
        tried = sorted(self.tuned[label])
        if not tried:
            return "not searched" if self.plan.experiment.trains else "not trained"
        if not any(math.isfinite(loss) for loss in self.tuned[label].values()):
            return "diverged at every rate tried"
        if self.rates[label] in (tried[0], tried[-1]):
            return f"its best of {len(tried)}, at the edge of the grid"
        return f"its best of {len(tried)}"


def compare(
    plan: Plan, store: Store, *, device: str = "cpu", tell: Tell = lambda words: None, hands: Hands = here
) -> Outcome:
    """Run what is missing and judge. Other processes with the same plan and store share the cells.

    hands: who runs them: this process, several (`processes.py`), or a cluster (`cluster.py`)
    """
    work = Work(plan=plan, store=store, device=device, tell=tell, hands=hands)
    for words in plan.warnings:
        tell(f"WARNING: {words}")
    if plan.experiment.trains:
        tell(beforehand(len(plan.experiment.rule), len(plan.seeds)))
    said = _earlier(work)
    _say(said, tell)
    tuned = _tuned(work)
    # Where all diverge, the lowest rate has the best chance.
    rates = {label: min(sorted(of), key=of.__getitem__) if of else plan.rates[0] for label, of in tuned.items()}
    # The first variant's seeds first: they tell the noise floor.
    first, *others = plan.variants
    order = [(first, seed) for seed in plan.seeds] + [(v, seed) for seed in plan.seeds for v in others]
    cells: dict[Place, Cell] = {(v.label, seed): work.cell(v, rates[v.label], seed) for v, seed in order}
    floor_told = False

    def after(done: Mapping[Place, Result]) -> None:
        nonlocal floor_told
        if not floor_told and all((first.label, seed) in done for seed in plan.seeds):
            floor_told = True
            _say_floor(plan, [done[first.label, seed] for seed in plan.seeds], tell)
        pilot = {place: done[place] for place in cells if place[1] in plan.seeds[:PILOT] and place in done}
        if not said and len(plan.seeds) > PILOT and len(pilot) == PILOT * len(plan.labels):
            said.extend(_outlooks(plan, pilot, plan.seeds[:PILOT]))
            _say(said, tell)

    found = work.run(cells, "seeds", after)
    runs = {label: tuple(found[label, seed] for seed in plan.seeds) for label in plan.labels}
    if len(machines := timed_on(runs)) > 1:
        tell(f"WARNING: seconds of several machines are compared: {'; '.join(machines)}; give --out a new folder")
    values = {name: measured(name, runs, plan) for name in plan.experiment.wanted}
    findings = judge(plan.experiment.rule, values)
    return Outcome(
        plan=plan,
        rates=rates,
        tuned=tuned,
        runs=runs,
        values=values,
        findings=tuple(findings),
        outlooks=tuple(said),
    )


def timed_on(runs: Mapping[str, Sequence[Result]]) -> list[str]:
    """The machines on which what is compared was timed, where it was."""
    return sorted({run["machine"] for of in runs.values() for run in of if "machine" in run})


def _tuned(work: Work) -> dict[str, dict[float, float]]:
    """Label -> rate -> the loss on held-out data; where the best lies at the edge of the grid, one rate beyond it."""
    plan = work.plan
    tuned: dict[str, dict[float, float]] = {label: {} for label in plan.labels}
    if len(plan.rates) < 2:
        return tuned
    rates, beyond = {label: list(plan.rates) for label in plan.labels}, beyond_grid(plan)
    for what in ("learning rates", "learning rates beyond the grid"):
        cells = {(v.label, rate): work.cell(v, rate, TUNING_SEED) for v in plan.variants for rate in rates[v.label]}
        if not cells:
            break
        for (label, rate), result in work.run(cells, what).items():
            loss = result["measures"]["selection_loss"]
            tuned[label][rate] = math.inf if result["diverged"] or math.isnan(loss) else loss
        best = {label: min(sorted(of), key=of.__getitem__) for label, of in tuned.items()}
        rates = {label: [beyond[rate]] if rate in beyond else [] for label, rate in best.items()}
    return tuned


def beyond_grid(plan: Plan) -> dict[float, float]:
    """Edge of the grid -> the rate one step beyond it; nothing where there is no grid."""
    grid = sorted(plan.rates)
    return {grid[0]: grid[0] ** 2 / grid[1], grid[-1]: grid[-1] ** 2 / grid[-2]} if len(grid) > 1 else {}


def _earlier(work: Work) -> list[Outlook]:
    """What earlier runs of the same cells, at whatever rate most were, tell of the power of all that are planned."""
    plan = work.plan
    seeds = sorted({*plan.seeds, *range(plan.seeds[0], plan.seeds[0] + LOOKED_FOR)})
    known: dict[str, Mapping[int, Result]] = {}
    for variant in plan.variants:
        for rate in (*plan.rates, *beyond_grid(plan).values()):
            keys = {seed: work.cell(variant, rate, seed).key for seed in seeds}
            done = work.store.results(list(keys.values()))
            found: Mapping[int, Result] = {seed: done[key] for seed, key in keys.items() if key in done}
            if len(found) > len(known.get(variant.label, {})):
                known[variant.label] = found
    common = [seed for seed in seeds if all(seed in known.get(label, {}) for label in plan.labels)]
    if len(common) < PILOT:
        return []
    return _outlooks(plan, {(label, seed): known[label][seed] for label in plan.labels for seed in common}, common)


def _outlooks(plan: Plan, found: Mapping[Place, Result], seeds: Sequence[int]) -> list[Outlook]:
    runs = {label: tuple(found[label, seed] for seed in seeds) for label in plan.labels}
    values = {name: measured(name, runs, plan) for name in plan.experiment.wanted}
    return outlooks(plan.experiment.rule, values, len(plan.seeds))


def _say_floor(plan: Plan, runs: Sequence[Result], tell: Tell) -> None:
    """What another seed changes of the first variant, in the measure of the first comparison."""
    label, measure = plan.labels[0], plan.experiment.rule[0].measure
    floor = noise_floor(measured(measure, {label: tuple(runs)}, plan)[label])
    if floor > 0 and math.isfinite(floor):
        by = f"by up to {floor:.3g}, 19 times in 20"
        tell(f"noise floor: {len(runs)} other seeds change the {measure} of {label} {by}")


def _say(said: list[Outlook], tell: Tell) -> None:
    """The first comparison's outlook, and every warning."""
    for at, outlook in enumerate(said):
        if at == 0 or outlook.too_few:
            tell(f"{'WARNING: ' if outlook.too_few else 'power: '}{outlook.words}")
