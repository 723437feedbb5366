"""`Log`: a training's log as series over its steps, and what happened to the log itself."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from oneblock.doctor.errors import DoctorError
from oneblock.doctor.logs.names import STEPS, looks_like_loss, plain, quantity_of, rank

Numbers = npt.NDArray[np.float64]
Row = Mapping[str, Any]
SMALLEST = ("entropy", "router_entropy")
"""Quantities of which the lowest layer speaks for all; of the others the highest."""


@dataclass(frozen=True, kw_only=True)
class Series:
    """One quantity: its values at rising steps (NaN and infinities as they were logged), and its name in the log."""

    name: str
    steps: Numbers
    values: Numbers

    def __len__(self) -> int:
        return len(self.steps)

    def at(self, step: float) -> float | None:
        """The last value at or before a step."""
        place = int(np.searchsorted(self.steps, step, side="right")) - 1
        return float(self.values[place]) if place >= 0 else None

    def between(self, first: float, last: float) -> Numbers:
        """Finite values of first <= step <= last."""
        found = self.values[(self.steps >= first) & (self.steps <= last)]
        return found[np.isfinite(found)]


@dataclass(kw_only=True)
class Log:
    """What a log holds.

    series:   quantity -> series (see `names`); layers: quantity -> layer -> series
    restarts: steps at which the log starts again: a resume that is said, steps that go back, a second header
    gaps:     steps before which the clock stood still for long
    skips:    steps that were refused, with the reason; notes: what is odd about the file
    facts:    what the log says of the training as a whole (precision, guard …)
    """

    name: str
    series: dict[str, Series] = field(default_factory=dict)
    layers: dict[str, dict[int, Series]] = field(default_factory=dict)
    restarts: list[float] = field(default_factory=list)
    gaps: list[float] = field(default_factory=list)
    skips: dict[float, str] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    facts: dict[str, Any] = field(default_factory=dict)

    def get(self, quantity: str) -> Series | None:
        """The series of a quantity, or None where it was not logged."""
        return self.series.get(quantity)

    @property
    def clocked(self) -> bool:
        """Whether the log has a clock."""
        return "seconds" in self.series and len(self.series["seconds"]) > 2


def number(value: Any) -> float | None:
    """A cell as a number, or None; words for NaN and infinities are numbers."""
    if isinstance(value, bool):
        return float(value)
    if isinstance(value, int | float):
        return float(value)
    if isinstance(value, str):
        text = value.strip()
        try:
            return float(text) if text else None
        except ValueError:
            return None
    return None


def from_rows(name: str, rows: Iterable[Row], notes: Sequence[str] = (), restarts: Sequence[int] = ()) -> Log:
    """A log from rows of columns. Rows of one step are joined; of a step logged twice the later one stands.

    restarts: numbers of rows before which the file begins again. DoctorError where there is no loss.
    """
    flat = [_flat(row) for row in rows]
    columns = list(dict.fromkeys(column for row in flat for column in row))
    log = Log(name=name, notes=list(notes))
    step_column = _step_column(columns, flat)
    if step_column is None:
        log.notes.append("no column counts steps: rows are counted instead")
    placed: dict[float, dict[str, float]] = {}
    last = -math.inf
    for index, row in enumerate(flat):
        said = number(row.get(step_column)) if step_column else float(index)
        step = said if said is not None and math.isfinite(said) else max(last, 0.0)
        if step < last:
            undone = [each for each in placed if each >= step]
            for each in undone:
                del placed[each]
            log.restarts.append(step)
            log.notes.append(f"steps go back from {last:g} to {step:g}; what was logged later stands")
        elif index in restarts:
            log.restarts.append(step)
        last = step
        values = {column: found for column in row if (found := number(row[column])) is not None}
        placed.setdefault(step, {}).update(values)
    steps = sorted(placed)
    _choose(log, columns, steps, placed, step_column)
    if "loss" not in log.series:
        shown = ", ".join(columns[:12]) or "nothing"
        raise DoctorError(f"{name} has no column for the loss (it has {shown}); name one `loss` or `train_loss`")
    finish(log)
    return log


def finish(log: Log) -> None:
    """What follows from the series: gaps in the clock, steps that are missing."""
    clock = log.get("seconds")
    if clock is not None and len(clock) > 4 and np.mean(np.diff(clock.values) < 0) > 0.1:
        del log.series["seconds"]  # how long each step took, and no clock
        clock = None
    if clock is not None and len(clock) > 4:
        spent = np.diff(clock.values) / np.maximum(np.diff(clock.steps), 1e-9)
        usual = float(np.median(spent[spent > 0])) if bool((spent > 0).any()) else 0.0
        for place in np.nonzero((spent < 0) | (spent > max(30 * usual, 1e-12)))[0] if usual else ():
            waited = clock.values[place + 1] - clock.values[place]
            if waited < 0 or waited > max(20 * usual, 60.0):
                log.gaps.append(float(clock.steps[place + 1]))
    loss = log.series["loss"]
    if len(loss) > 8:
        apart = np.diff(loss.steps)
        usual = float(np.median(apart))
        for place in np.nonzero(apart > 3 * usual)[0][:3]:
            log.notes.append(f"nothing is logged between steps {loss.steps[place]:g} and {loss.steps[place + 1]:g}")


def _flat(row: Row, above: str = "") -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, value in row.items():
        name = f"{above}{key}"
        if isinstance(value, Mapping):
            found |= _flat(value, f"{name}/")
        elif isinstance(value, list | tuple):
            found |= {f"{name}/layer_{place}": entry for place, entry in enumerate(value)}
        else:
            found[name] = value
    return found


def _step_column(columns: Sequence[str], rows: Sequence[Row]) -> str | None:
    by_name = {plain(column): column for column in reversed(columns)}
    for name in STEPS:
        column = by_name.get(name)
        if column is None:
            continue
        found = [value for row in rows if (value := number(row.get(column))) is not None]
        # A counter that starts anew in each epoch counts no steps of the training.
        if found and sum(a > b for a, b in itertools.pairwise(found)) <= max(3, len(found) // 50):
            return column
    return None


def _choose(
    log: Log, columns: Sequence[str], steps: list[float], placed: dict[float, dict[str, float]], step_column: str | None
) -> None:
    known: dict[tuple[str, int | None], list[str]] = {}
    for column in columns:
        found = quantity_of(column) if column != step_column else None
        if found is not None:
            known.setdefault(found, []).append(column)
    if ("loss", None) not in known:
        known[("loss", None)] = [column for column in columns if looks_like_loss(column)]
    for (quantity, layer), named in known.items():
        for column in sorted(named, key=rank):
            have = [step for step in steps if column in placed[step]]
            if not have:
                continue
            values = np.array([placed[step][column] for step in have])
            made = Series(name=column, steps=np.array(have, dtype=float), values=values)
            if layer is None:
                log.series[quantity] = made
            else:
                log.layers.setdefault(quantity, {})[layer] = made
            break
    over_layers(log)


def over_layers(log: Log) -> None:
    """Where only layers are logged, the layer that counts speaks for the model."""
    for quantity, layers in log.layers.items():
        if quantity in log.series:
            continue
        steps = np.unique(np.concatenate([series.steps for series in layers.values()]))
        pick = np.fmin if quantity in SMALLEST else np.fmax
        values = np.full(len(steps), np.nan)
        for series in layers.values():
            places = np.searchsorted(steps, series.steps)
            values[places] = pick(values[places], series.values)
        what = "least" if quantity in SMALLEST else "largest"
        log.series[quantity] = Series(name=f"{quantity}, the {what} of the layers", steps=steps, values=values)
