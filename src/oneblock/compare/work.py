"""A plan at work: its cells, where they are kept, who runs them and who is told."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from oneblock.compare.catalogue import MEASURES
from oneblock.compare.cell import Cell
from oneblock.compare.hands import Hands
from oneblock.compare.plan import Plan, Variant, with_rate
from oneblock.compare.store import Store

TUNING_SEED = 999_983
"""The seed on which learning rates are chosen; it judges nothing."""
Tell = Callable[[str], None]
Result = Mapping[str, Any]
Place = tuple[str, float]
"""A variant's label, and its seed; or its rate, where rates are chosen."""


@dataclass(frozen=True, kw_only=True)
class Work:
    """What all cells of a comparison have in common."""

    plan: Plan
    store: Store
    device: str
    tell: Tell
    hands: Hands

    def cell(self, variant: Variant, rate: float, seed: int) -> Cell:
        """The cell of a variant at a rate."""
        experiment = self.plan.experiment
        return Cell(
            config=with_rate(variant.config, rate),
            seed=seed,
            data_sha256=self.plan.data_sha256,
            asked=experiment.asked,
            fault=variant.fault,
            trains=experiment.trains,
            device=self.device,
        )

    def run(
        self,
        cells: Mapping[Place, Cell],
        what: str,
        after: Callable[[Mapping[Place, Result]], None] = lambda done: None,
    ) -> dict[Place, Result]:
        """All cells' results, by place. `after` is given what there is so far whenever one is done."""
        keys = {place: cell.key for place, cell in cells.items()}
        by_key = {keys[place]: (place, cell) for place, cell in cells.items()}
        self.store.add({key: {"variant": place[0], "seed": cell.seed} for key, (place, cell) in by_key.items()})
        if before := self.store.results(list(by_key)):
            self.tell(f"{what}: {len(before)} of {len(by_key)} were run before")

        def done(key: str, result: Result, seconds: float | None) -> None:
            (label, at), cell = by_key[key]
            shown = f"seed {cell.seed}" if cell.seed != TUNING_SEED else f"rate ×{at:.3g}"
            loss = result["measures"].get("val_loss")
            words = "diverged" if result["diverged"] else f"loss {loss:.4f}" if loss is not None else "measured"
            took = f", {seconds:.1f} s" if seconds is not None else ""
            # Others may have run some too.
            found = self.store.results(list(by_key))
            self.tell(f"{what} {len(found)}/{len(by_key)}  {label}, {shown}: {words}{took}")
            after({place: found[key] for place, key in keys.items() if key in found})

        def wait(number: int) -> None:
            self.tell(f"{what}: waiting for {number} runs of other processes")

        self.hands({key: cell for key, (_, cell) in by_key.items()}, self.store, done, wait)
        self.store.write_lines()
        results = self.store.results(list(by_key))
        return {place: results[key] for place, key in keys.items()}


def value_of(name: str, run: Result) -> float:
    """One measure of one run; NaN where it has none."""
    if less := MEASURES[name].less:
        above, below = (value_of(part, run) for part in less)
        return above - below
    return float(run["measures"].get(name, math.nan))


def measured(name: str, runs: Mapping[str, tuple[Result, ...]], plan: Plan) -> dict[str, list[float]]:
    """One measure by variant and seed. The loss of a run that diverged is that of having learned nothing."""
    raw = {label: [value_of(name, run) for run in of] for label, of in runs.items()}
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
