"""Hands that train the seeds of a variant together where that is faster on this machine, and one by one elsewhere."""

from __future__ import annotations

import statistics
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from oneblock.compare.cell import Cell
from oneblock.compare.experiment import Experiment
from oneblock.compare.hands import Done, Ran, Wait, here, one_by_one
from oneblock.compare.store import Store
from oneblock.compare.together import Together, stacked, suits
from oneblock.config.errors import OneblockError

WHEN = ("auto", "always", "never")
"""auto: where a trial finds it faster; always: wherever it can be done."""
TURNS, STEPS = 3, 4
"""How often each side of a trial has its turn, and the steps of a turn, of which the first does not count."""
FASTER = 1.05
"""So many times as fast it must be: less is within what a busy machine does to a trial."""
WORTH = 200
"""Steps below which a training is over before a trial has paid."""


def when(asked: str | None, experiment: Experiment, device: str, *, several: bool) -> str:
    """One of `WHEN`: what was asked for, or auto on a GPU and never on a CPU; OneblockError where it cannot be.

    On a CPU a cell is the same number whenever, and beside whichever others, it is run; together it is so within
    rounding. several: whether other processes of this machine, or others, are given cells to run.
    """
    curves = {name for figure in experiment.figures for name in figure.curves}
    judged = {comparison.measure for comparison in experiment.rule}
    timed = experiment.equal == "time" or "loss by second" in curves or "step_seconds" in judged
    if asked in ("auto", "always"):
        if several:
            raise OneblockError(
                f"--seeds-together {asked}: is for one process; leave it out, or --workers and --engine"
            )
        if timed:
            raise OneblockError(
                f"--seeds-together {asked}: {experiment.name} compares seconds, and a seed that is trained beside "
                "others has none of its own; leave it out"
            )
    return asked or ("never" if device == "cpu" or several or timed else "auto")


class Seeds:
    """Hands for this process. Each variant is decided on once, when the first of its cells is taken."""

    def __init__(self, when: str, tell: Callable[[str], None]) -> None:
        self.when, self.tell = when, tell
        self._chosen: dict[str, bool] = {}

    def __call__(self, cells: Mapping[str, Cell], store: Store, done: Done, wait: Wait) -> None:
        def mates(key: str, missing: Sequence[str]) -> list[str]:
            return self._mates(key, {other: cells[other] for other in missing}, store)

        here(cells, store, done, wait, mates=mates, run=together)

    def _mates(self, key: str, missing: Mapping[str, Cell], store: Store) -> list[str]:
        """Of the missing ones those that differ from a cell in nothing but the seed, if they are to be beside it."""
        cell = missing[key]
        alike = [other for other in missing if other != key and _unseeded(missing[other]) == _unseeded(cell)]
        if not alike or self.when == "never" or not suits(cell):
            return []
        variant = _unseeded(cell).key
        if variant not in self._chosen:
            self._chosen[variant] = self._chosen_now(
                [cell, *(missing[other] for other in alike)], store.about(key).get("variant", "")
            )
        return alike if self._chosen[variant] else []

    def _chosen_now(self, cells: Sequence[Cell], label: str) -> bool:
        if self.when == "always":
            with tempfile.TemporaryDirectory(prefix="oneblock-compare-") as folder:
                possible = _stacked(cells[:2], folder) is not None
            if not possible:
                self.tell(f"seeds of {label}: one by one, for they cannot be trained together")
            return possible
        if (cells[0].config.recipe.steps or 0) < WORTH:
            return False
        gain = trial(cells)
        if gain > FASTER:
            self.tell(f"seeds of {label}: together, {gain:.2f} × as fast")
        return gain > FASTER


def together(cells: Mapping[str, Cell]) -> Iterator[Ran]:
    """Cells that differ in their seed alone, trained as one model, where that can be done; else each by itself."""
    if len(cells) > 1:
        with tempfile.TemporaryDirectory(prefix="oneblock-compare-") as folder:
            training = _stacked(list(cells.values()), folder)
            if training is not None:
                for sitting in training.sittings:
                    sitting.begin()
                training.train()
                for key, result in zip(cells, training.results(), strict=True):
                    yield key, result, result["seconds"]
                return
    yield from one_by_one(cells)


def trial(cells: Sequence[Cell]) -> float:
    """The seconds of a step of all these seeds one by one, over those together; 0 where they cannot be together."""
    with tempfile.TemporaryDirectory(prefix="oneblock-compare-") as folder:
        training = _stacked(cells, folder)
        if training is None:
            return 0.0
        alone = cells[0].sit(Path(folder) / "alone")
        loop = alone.session.loop
        loop.stop = lambda: len(loop.steps_timed) % STEPS == 0

        def one_by_one() -> list[float]:
            alone.train()
            return [len(cells) * seconds for seconds in loop.steps_timed[-STEPS:]]

        gain = ratio(one_by_one, lambda: [training.step() for _ in range(STEPS)])
        for sitting in (alone, *training.sittings):
            sitting.session.loop.log.close()
        return gain


def ratio(one: Callable[[], Sequence[float]], other: Callable[[], Sequence[float]]) -> float:
    """Median seconds of a step of the one over the other's: the lowest of the turns, in which they follow each other.

    The lowest, so that what else the machine does for a moment cannot make the other look faster than it is.
    """

    def seconds(turn: Callable[[], Sequence[float]]) -> float:
        return statistics.median(turn()[1:])

    return min(seconds(one) / seconds(other) for _ in range(TURNS))


def _stacked(cells: Sequence[Cell], folder: str) -> Together | None:
    return stacked([cell.sit(Path(folder) / str(cell.seed)) for cell in cells])


def _unseeded(cell: Cell) -> Cell:
    return replace(cell, seed=0)
