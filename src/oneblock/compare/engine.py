"""The engine: every cell of a plan run once, by this process and any others at the same work, then judged."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from oneblock.compare.catalogue import MEASURES
from oneblock.compare.cell import Cell
from oneblock.compare.plan import Plan, Variant, with_rate
from oneblock.compare.store import Store
from oneblock.compare.verdict import Finding, Values, judge, overall

TUNING_SEED = 999_983
"""The seed on which learning rates are chosen; it judges nothing."""
Tell = Callable[[str], None]
Result = Mapping[str, Any]


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """A comparison that has been run. `rates`: label -> the factor chosen; `runs`: label -> a result for each seed."""

    plan: Plan
    rates: Mapping[str, float]
    tuned: Mapping[str, Mapping[float, float]]
    runs: Mapping[str, tuple[Result, ...]]
    values: Values
    findings: tuple[Finding, ...]

    @property
    def verdict(self) -> str:
        return overall(self.findings)

    @property
    def noise_floor(self) -> float:
        """Of the measure that the first comparison is about."""
        return self.findings[0].floor

    def fair_rate(self, label: str) -> str:
        """In words, whether the learning rate is this variant's own best."""
        tried = sorted(self.plan.rates)
        if len(tried) == 1:
            return "not searched" if self.plan.experiment.trains else "not trained"
        if not any(math.isfinite(loss) for loss in self.tuned[label].values()):
            return "diverged at every rate tried"
        if self.rates[label] in (tried[0], tried[-1]):
            return f"its best of {len(tried)}, at the edge of the grid"
        return f"its best of {len(tried)}"


def compare(plan: Plan, store: Store, *, device: str = "cpu", tell: Tell = lambda words: None) -> Outcome:
    """Run what is missing and judge. Other processes with the same plan and store share the cells."""

    def cell(variant: Variant, rate: float, seed: int) -> Cell:
        return Cell(
            config=with_rate(variant.config, rate),
            seed=seed,
            data_sha256=plan.data_sha256,
            asked=plan.experiment.asked,
            fault=variant.fault,
            trains=plan.experiment.trains,
            device=device,
        )

    tuned: dict[str, dict[float, float]] = {label: {} for label in plan.labels}
    if len(plan.rates) > 1:
        cells = {(v.label, rate): cell(v, rate, TUNING_SEED) for v in plan.variants for rate in plan.rates}
        found = _run(cells, store, tell, "learning rates")
        for (label, rate), result in found.items():
            loss = result["measures"]["selection_loss"]
            tuned[label][rate] = math.inf if result["diverged"] or math.isnan(loss) else loss
    # Where all diverge, the lowest rate has the best chance.
    rates = {label: min(sorted(of), key=of.__getitem__) if of else plan.rates[0] for label, of in tuned.items()}
    cells = {(v.label, seed): cell(v, rates[v.label], seed) for seed in plan.seeds for v in plan.variants}
    found = _run(cells, store, tell, "seeds")
    runs = {label: tuple(found[label, seed] for seed in plan.seeds) for label in plan.labels}
    values = {name: _values(name, runs, plan) for name in plan.experiment.wanted}
    findings = judge(plan.experiment.rule, values, plan.labels[0])
    return Outcome(plan=plan, rates=rates, tuned=tuned, runs=runs, values=values, findings=tuple(findings))


def _values(name: str, runs: Mapping[str, tuple[Result, ...]], plan: Plan) -> dict[str, list[float]]:
    """One measure by variant and seed. The loss of a run that diverged is that of having learned nothing."""
    raw = {label: [float(run["measures"].get(name, math.nan)) for run in of] for label, of in runs.items()}
    if not MEASURES[name].loss:
        # An infinite one decides nothing either.
        return {label: [value if math.isfinite(value) else math.nan for value in of] for label, of in raw.items()}
    finite = [value for of in raw.values() for value in of if math.isfinite(value)]
    worst = max([plan.nothing_learned, *finite])
    return {
        label: [
            worst if run["diverged"] or not math.isfinite(value) else value
            for run, value in zip(runs[label], of, strict=True)
        ]
        for label, of in raw.items()
    }


def _run(
    cells: Mapping[tuple[str, float], Cell], store: Store, tell: Tell, what: str
) -> dict[tuple[str, float], Result]:
    """All cells' results: those found, those run here, and those that other processes run."""
    keys = {place: cell.key for place, cell in cells.items()}
    by_key = {keys[place]: (place, cell) for place, cell in cells.items()}
    store.add({key: {"variant": place[0], "seed": cell.seed} for key, (place, cell) in by_key.items()})
    done = store.results(list(by_key))
    if done:
        tell(f"{what}: {len(done)} of {len(by_key)} were run before")
    waiting = False
    while missing := [key for key in by_key if key not in store.results([key])]:
        key = store.take(missing)
        if key is None:
            if not waiting:
                tell(f"{what}: waiting for {len(missing)} runs of other processes")
            waiting = True
            time.sleep(min(1.0, store.lease / 4))
            continue
        (label, at), cell = by_key[key]
        with store.working(key):
            began = time.perf_counter()
            result = cell.run()
            store.finish(key, result)
        number = len(by_key) - len(missing) + 1
        shown = f"seed {cell.seed}" if cell.seed != TUNING_SEED else f"rate ×{at:.3g}"
        loss = result["measures"].get("val_loss")
        words = "diverged" if result["diverged"] else f"loss {loss:.4f}" if loss is not None else "measured"
        tell(f"{what} {number}/{len(by_key)}  {label}, {shown}: {words}, {time.perf_counter() - began:.1f} s")
    store.write_lines()
    done = store.results(list(by_key))
    return {place: done[key] for place, key in keys.items()}
