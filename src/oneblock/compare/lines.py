"""The figures of a comparison: a line for each variant, the mean over seeds, between its lowest and highest seed."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np

from oneblock.compare.catalogue import CURVES, MEASURES
from oneblock.compare.engine import Outcome
from oneblock.compare.experiment import Against, Figure
from oneblock.compare.spent import SPENT, over_cost
from oneblock.compare.words import number
from oneblock.compare.work import value_of
from oneblock.train.report.charts import Chart, Series, draw
from oneblock.train.report.markup import Markup

COLORS = ("c1", "c2", "c3", "c4")
MARKS = ("diamond", "cross", "square", "circle")
Points = Sequence[Sequence[float]]
Take = Callable[[str, Mapping[str, Any]], Points]
"""A variant's label, a run's result -> its curve, [x, y] after [x, y]; empty where it has none."""
DECADES = 16
"""The most that a logarithmic axis shows below its highest value."""
EDGES = "thin: the lowest and the highest seed"


@dataclass(frozen=True, kw_only=True)
class Plot:
    """One pair of axes. `takes`: what a curve says besides its variant's name ("" for nothing) -> the curve of a run.

    top: what lies above is not drawn; toys: factors of stacks that only multiply, drawn beside the rest
    own_x: variants have an x of their own each, and seeds theirs, of which the mean is taken
    """

    key: str
    title: str
    x: str
    takes: Mapping[str, Take]
    log: bool = False
    top: float = math.inf
    toys: Sequence[float] = field(default_factory=tuple)
    own_x: bool = False


def plots(outcome: Outcome) -> list[Plot]:
    """All that an experiment shows: the training loss, where there is one, and its own figures."""
    experiment = outcome.plan.experiment
    return [loss(outcome)] * experiment.trains + [plot(outcome, figure) for figure in experiment.figures]


def loss(outcome: Outcome) -> Plot:
    """The training loss; a run that flew off does not press the others flat."""
    return Plot(
        key="loss",
        title="Training loss, nats per token, by step",
        x="step",
        takes={"": lambda label, run: run["curve"]},
        top=1.3 * outcome.plan.nothing_learned,
    )


def plot(outcome: Outcome, wanted: Figure | Against) -> Plot:
    """What an experiment draws besides: its curves, those of one figure on the same axes, or one measure by another."""
    if isinstance(wanted, Against):
        return _against(wanted)
    of = [CURVES[name] for name in wanted.curves]
    several, spent = len(of) > 1, any(name in SPENT for name in wanted.curves)
    return Plot(
        key="-".join(wanted.title.lower().split()),
        title=f"{wanted.title}, by {of[0].x}" if several else f"{wanted.title}: {of[0].words}, by {of[0].x}",
        x=of[0].x,
        takes={
            curve.words if several else "": _take(outcome, name) for name, curve in zip(wanted.curves, of, strict=True)
        },
        log=all(curve.log for curve in of),
        top=1.3 * outcome.plan.nothing_learned if spent else math.inf,
        toys=wanted.toys,
        own_x=spent,
    )


def _take(outcome: Outcome, name: str) -> Take:
    if name in SPENT:
        return partial(over_cost, outcome, name)
    return lambda label, run: run.get("curves", {}).get(name, [])


def _against(wanted: Against) -> Plot:
    """A point for each variant: the mean over seeds, and the lowest and the highest."""
    x, y = (MEASURES[name] for name in (wanted.x, wanted.y))

    def take(label: str, run: Mapping[str, Any]) -> Points:
        point = [value_of(name, run) for name in (wanted.x, wanted.y)]
        return [point] if all(map(math.isfinite, point)) else []

    return Plot(
        key="-".join(wanted.title.lower().split()),
        title=f"{wanted.title}: {y.words}, {y.unit}, by {x.words}, {x.unit}".replace(", ,", ","),
        x=x.unit or x.words,
        takes={"": take},
        own_x=True,
    )


def curves(outcome: Outcome, plot: Plot, labels: Sequence[str]) -> dict[str, tuple[list[float], np.ndarray]]:
    """What a line is called -> its xs, and seeds × values; without those that have none.

    A run that diverged ends before the others do, and its points lie elsewhere: it is read off at the others' xs, and
    is NaN beyond its end.
    """
    found = {}
    for label in labels:
        for words, take in plot.takes.items():
            runs = [curve for run in outcome.runs[label] if (curve := take(label, run))]
            if runs:
                together = _side_by_side(runs) if plot.own_x else _at_the_longest(runs)
                found[", ".join(filter(None, (label, words)))] = together
    return found


def _side_by_side(runs: Sequence[Points]) -> tuple[list[float], np.ndarray]:
    """Point by point, as far as all go; of their xs the mean."""
    length = min(map(len, runs))
    xs, ys = (np.array([[point[at] for point in curve[:length]] for curve in runs]) for at in (0, 1))
    return xs.mean(0).tolist(), ys


def _at_the_longest(runs: Sequence[Points]) -> tuple[list[float], np.ndarray]:
    """At the xs of the run that goes furthest."""
    xs = [x for x, _ in max(runs, key=lambda curve: (curve[-1][0], -len(curve)))]
    ys = []
    for curve in runs:
        at, seen = np.array(curve).T
        ys.append(np.interp(xs, at, seen, left=math.nan, right=math.nan))
    return xs, np.array(ys)


def over_seeds(what: Callable[[np.ndarray], Any], values: np.ndarray) -> list[float]:
    """Of seeds × values what those come to that are numbers; NaN where none is."""
    there = [column[~np.isnan(column)] for column in values.T]
    return [float(what(column)) if len(column) else math.nan for column in there]


def toys(plot: Plot, xs: Sequence[float], begins: float) -> dict[str, list[float]]:
    """What stacks that only multiply would make of the same beginning, factor by factor."""
    return {f"a stack of ×{factor:g}, computed": [begins * factor ** (x - xs[0]) for x in xs] for factor in plot.toys}


def charts(outcome: Outcome, plot: Plot) -> list[Markup]:
    """The first variant with others on each chart: there are four colours, and a line takes one for each curve."""
    first, *others = outcome.plan.labels
    each = max(len(COLORS) // len(plot.takes) - 1, 1)
    groups = [others[at : at + each] for at in range(0, len(others), each)] or [[]]
    drawn = [_chart(outcome, [first, *group], f"{plot.key}-{n}", plot) for n, group in enumerate(groups)]
    return [chart for chart in drawn if chart is not None]


def _chart(outcome: Outcome, labels: Sequence[str], key: str, plot: Plot) -> Markup | None:
    series: list[Series] = []
    found = curves(outcome, plot, labels)
    for (label, (xs, values)), color in zip(found.items(), COLORS, strict=False):
        # A single point is marked, and so are the edges, as circles: the mean looks otherwise.
        mark = "diamond" if len(xs) == 1 else None
        series.append(Series(label=label, xs=xs, ys=over_seeds(np.mean, values), color=color, shape=mark))
        for edge in (over_seeds(np.min, values), over_seeds(np.max, values)):
            series.append(Series(label=EDGES, xs=xs, ys=edge, color=color, faint=True))
    if found and plot.toys:
        xs, values = next(iter(found.values()))
        for (label, ys), mark in zip(toys(plot, xs, over_seeds(np.mean, values)[0]).items(), MARKS, strict=False):
            series.append(Series(label=label, xs=xs, ys=ys, color="soft", shape=mark))
    xs = [x for line in series for x in line.xs]
    seen = [y for line in series for y in line.ys if math.isfinite(y) and (y > 0 or not plot.log)]
    if not seen:
        return None
    low, high = min(seen), min(max(seen), max(plot.top, min(seen)))
    if plot.log:
        low = max(low, high * 10.0**-DECADES)
        y_range = (low / 1.1, high * 1.1)
    else:
        y_range = (low - 0.02 * (high - low), max(high, low + 0.01))
    return draw(
        Chart(
            key=key,
            title=plot.title,
            description=f"{', '.join(labels)}: between {number(min(seen))} and {number(max(seen))}.",
            series=series,
            x_range=(min(0.0, *xs), max(1.0, *xs)),
            y_range=y_range,
            log=plot.log,
            x_name=plot.x,
        )
    )
