"""The figures of a comparison: a line for each variant, the mean over seeds, between its lowest and highest seed."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from oneblock.compare.catalogue import CURVES
from oneblock.compare.engine import Outcome
from oneblock.compare.experiment import Figure
from oneblock.compare.words import number
from oneblock.train.report.charts import Chart, Series, draw
from oneblock.train.report.markup import Markup

COLORS = ("c1", "c2", "c3", "c4")
Points = Sequence[Sequence[float]]
Take = Callable[[Mapping[str, Any]], Points]
"""A run's result -> its curve, [x, y] after [x, y]; empty where it has none."""
DECADES = 16
"""The most that a logarithmic axis shows below its highest value."""


def losses(outcome: Outcome) -> list[Markup]:
    """The training loss; a run that flew off does not press the others flat."""
    return _charts(
        outcome,
        "loss",
        "Training loss, nats per token",
        {"": lambda run: run["curve"]},
        top=1.3 * outcome.plan.nothing_learned,
    )


def figure(outcome: Outcome, wanted: Figure) -> list[Markup]:
    """What an experiment draws besides: its curves, those of one figure on the same axes."""
    of = [CURVES[name] for name in wanted.curves]
    several = len(of) > 1
    takes = {curve.words if several else "": _take(name) for name, curve in zip(wanted.curves, of, strict=True)}
    title = f"{wanted.title}, by {of[0].x}" if several else f"{wanted.title}: {of[0].words}, by {of[0].x}"
    key = "-".join(wanted.title.lower().split())
    return _charts(outcome, key, title, takes, log=all(curve.log for curve in of))


def _take(name: str) -> Take:
    return lambda run: run.get("curves", {}).get(name, [])


def _charts(
    outcome: Outcome, key: str, title: str, takes: Mapping[str, Take], *, log: bool = False, top: float = math.inf
) -> list[Markup]:
    """The first variant with others on each chart: there are four colours, and a line takes one for each curve."""
    first, *others = outcome.plan.labels
    each = max(len(COLORS) // len(takes) - 1, 1)
    groups = [others[at : at + each] for at in range(0, len(others), each)]
    charts = [
        _chart(outcome, [first, *group], f"{key}-{n}", title, takes, log=log, top=top) for n, group in enumerate(groups)
    ]
    return [chart for chart in charts if chart is not None]


def _chart(
    outcome: Outcome, labels: Sequence[str], key: str, title: str, takes: Mapping[str, Take], *, log: bool, top: float
) -> Markup | None:
    series: list[Series] = []
    pairs = [(label, words, take) for label in labels for words, take in takes.items()]
    for (label, words, take), color in zip(pairs, COLORS, strict=False):
        series += _bands(", ".join(filter(None, (label, words))), [take(run) for run in outcome.runs[label]], color)
    xs = [x for line in series for x in line.xs]
    seen = [y for line in series for y in line.ys if math.isfinite(y) and (y > 0 or not log)]
    if not seen:
        return None
    low, high = min(seen), min(max(seen), max(top, min(seen)))
    if log:
        low = max(low, high * 10.0**-DECADES)
        y_range = (low / 1.1, high * 1.1)
    else:
        y_range = (low - 0.02 * (high - low), max(high, low + 0.01))
    return draw(
        Chart(
            key=key,
            title=title,
            description=f"{', '.join(labels)}: between {number(min(seen))} and {number(max(seen))}.",
            series=series,
            x_range=(min(0.0, *xs), max(1.0, *xs)),
            y_range=y_range,
            log=log,
        )
    )


def _bands(label: str, curves: Sequence[Points], color: str) -> list[Series]:
    curves = [curve for curve in curves if curve]
    length = min(map(len, curves), default=0)
    if not length:
        return []
    xs = [point[0] for point in curves[0][:length]]
    values = np.array([[y for _, y in curve[:length]] for curve in curves])
    lines = [Series(label=f"{label}, mean", xs=xs, ys=values.mean(0).tolist(), color=color, line=True)]
    for edge in (values.min(0), values.max(0)):
        name = f"{label}, lowest and highest seed"
        lines.append(Series(label=name, xs=xs, ys=edge.tolist(), color=color, faint=True))
    return lines
