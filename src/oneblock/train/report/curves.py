"""The curves of a run: losses, learning rate and gradient norm over its steps."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

import numpy as np

from oneblock.config.config import Config
from oneblock.config.recipe import Muon
from oneblock.train.report.charts import MOST_POINTS, Chart, Series, draw
from oneblock.train.report.history import Event, History
from oneblock.train.report.markup import Markup
from oneblock.train.report.ticks import label

SMOOTHED_ABOVE = 20
"""Steps from which on a smoothed line is worth drawing."""
MOST_UNDONE = 20
HELD_OUT = (
    ("selection_loss", "selection loss, plain weights", "c2", "circle"),
    ("averaged_selection_loss", "selection loss, averaged weights", "c3", "square"),
    ("val_loss", "validation loss, better weights", "c4", "diamond"),
)


def draw_curves(history: History, config: Config, kept: int | None) -> list[Markup]:
    """Every chart there are numbers for, the kept step marked where it is known."""
    losses = _loss_series(history)
    if not losses or not _finite(losses[0].ys):
        return []
    steps = [*_steps(history.steps), *_steps(history.evaluations), *_steps(history.skips)]
    x_range = (0.0, float(max(1, *steps)))
    charts = [
        _losses(losses, x_range, kept),
        _closer(losses, x_range, kept),
        _rate(history, config, x_range),
        _gradient_norm(history, config, x_range),
    ]
    return [draw(chart) for chart in charts if chart]


def smooth(xs: Sequence[float], ys: Sequence[float], window: int) -> tuple[list[float], list[float]]:
    """At up to MOST_POINTS of the points, the mean of the `window` around; what is no number is left out."""
    values = np.asarray(ys, dtype=float)
    chosen = np.unique(np.linspace(0, len(values) - 1, MOST_POINTS).round().astype(int)).tolist()
    means = []
    for at in chosen:
        # At the beginning as far to the right as to the left, or the steep fall there would be drawn too low.
        half = min(at, window // 2)
        near = values[at - half : at + half + 1]
        near = near[np.isfinite(near)]
        means.append(float(near.mean()) if len(near) else math.nan)
    return [xs[at] for at in chosen], means


def smoothing_window(num_steps: int) -> int:
    """Steps one point of the smoothed training loss is the mean of: a fiftieth of the run, odd."""
    return max(num_steps // 50, 3) | 1


def _losses(series: list[Series], x_range: tuple[float, float], kept: int | None) -> Chart:
    training = _finite(series[0].ys)
    seen = [y for one in series for y in _finite(one.ys)]
    # A run that flew off for a while shall not press everything else flat.
    held_out = [y for one in series if one.shape not in (None, "cross") for y in _finite(one.ys)]
    usual = max(2 * training[0], 4 * float(np.median(training)), 2 * float(np.median(held_out or [0.0])))
    top = max(seen)
    title = "Loss, nats per token"
    if top > usual:
        title += f" (cut off at {label(usual)}; the highest is {label(top)})"
    return Chart(
        key="loss",
        title=title,
        description=" ".join(_described(one) for one in series if one.shape != "cross"),
        series=series,
        x_range=x_range,
        y_range=_padded(min(seen), min(top, usual)),
        vertical=_kept_line(kept),
    )


def _closer(losses: list[Series], x_range: tuple[float, float], kept: int | None) -> Chart | None:
    """The later two thirds of the losses, where the first fall does not hide what differs."""
    begin = x_range[1] / 3
    series = [one for one in losses if not one.faint and one.shape != "cross"]
    later = [_finite(y for x, y in zip(one.xs, one.ys, strict=True) if x >= begin) for one in series]
    held_out = [y for ys in later[1:] for y in ys]
    if len(losses[0].ys) <= SMOOTHED_ABOVE or len(series) < 2 or len(series[1].ys) < 4 or not held_out:
        return None
    # The training loss only as far as it is near: what is asked here is how the others compare.
    values = held_out + [y for y in later[0] if y < 2 * max(held_out)]
    return Chart(
        key="closer",
        title="The same, later and closer",
        description=f"From step {begin:,.0f} on: between {label(min(values))} and {label(max(values))}.",
        series=series,
        x_range=(begin, x_range[1]),
        y_range=_padded(min(values), max(values)),
        vertical=_kept_line(kept),
    )


def _loss_series(history: History) -> list[Series]:
    """The training loss of each step first, then smoothed, then the held-out losses."""
    steps, losses = _steps(history.steps), _column(history.steps, "loss")
    if not steps:
        return []
    many = len(steps) > SMOOTHED_ABOVE
    series = [Series(label="training loss, each step", xs=steps, ys=losses, color="c1", faint=many)]
    if many:
        window = smoothing_window(len(steps))
        xs, ys = smooth(steps, losses, window)
        series.append(Series(label=f"training loss, mean of {window:,} steps", xs=xs, ys=ys, color="c1"))
    for key, name, color, shape in HELD_OUT:
        found = [event for event in history.evaluations if event.get(key) is not None]
        if found:
            series.append(Series(label=name, xs=_steps(found), ys=_column(found, key), color=color, shape=shape))
    bad = [(x, y) for x, y in zip(steps, losses, strict=True) if not math.isfinite(y)]
    if bad:
        series.append(_crosses("loss that is no number", [x for x, _ in bad], [y for _, y in bad]))
    return series + _undone(history, "loss")


def _rate(history: History, config: Config, x_range: tuple[float, float]) -> Chart | None:
    optimizer = config.recipe.optimizer
    rates = [factor * optimizer.learning_rate for factor in _column(history.steps, "rate_factor")]
    if not _finite(rates):
        return None
    words = "learning rate"
    if isinstance(optimizer, Muon):
        times = optimizer.rest.learning_rate / optimizer.learning_rate
        words += f" of Muon (AdamW's, for the rest, is {times:.3g} times it)"
    top = max(_finite(rates))
    return Chart(
        key="rate",
        title="Learning rate",
        description=f"{label(rates[0])} first, {label(top)} at most, {label(rates[-1])} last.",
        series=[Series(label=words, xs=_steps(history.steps), ys=rates, color="c1")],
        x_range=x_range,
        y_range=(0.0, 1.08 * top if top > 0 else 1.0),
        vertical=None,
    )


def _gradient_norm(history: History, config: Config, x_range: tuple[float, float]) -> Chart | None:
    steps = _steps(history.steps)
    norms = [y if y > 0 else math.nan for y in _column(history.steps, "grad_norm")]
    usual = _finite(norms)
    if not usual:
        return None
    many = len(steps) > SMOOTHED_ABOVE
    series = [Series(label="gradient norm, each step", xs=steps, ys=norms, color="c1", faint=many)]
    if many:
        window = smoothing_window(len(steps))
        # The mean of logarithms: on this axis it runs through the middle of the curve.
        xs, logarithms = smooth(steps, [math.log(y) for y in norms], window)
        ys = [math.exp(y) for y in logarithms]
        series.append(Series(label=f"geometric mean of {window:,} steps", xs=xs, ys=ys, color="c1"))
    if history.skips:
        series.append(_crosses("step skipped", _steps(history.skips), _column(history.skips, "grad_norm")))
    series += _undone(history, "grad_norm")
    clip = config.recipe.clip
    seen = [y for one in series for y in _finite(one.ys) if y > 0] + ([] if clip is None else [clip])
    return Chart(
        key="norm",
        title="Gradient norm before clipping",
        description=f"{_described(series[0])} Steps skipped: {len(history.skips)}.",
        series=series,
        x_range=x_range,
        # What was skipped or undone may be as large as numbers get; its marks then stand at the top edge.
        y_range=(min(seen) / 1.3, 1.3 * min(max(seen), 100 * max(usual))),
        log=True,
        horizontal=None if clip is None else (clip, f"clipped to {label(clip)}"),
    )


def _crosses(name: str, xs: Sequence[float], ys: Sequence[float]) -> Series:
    return Series(label=name, xs=xs, ys=ys, color="bad", shape="cross", line=False)


def _undone(history: History, key: str) -> list[Series]:
    times = history.undone[-MOST_UNDONE:]
    return [
        Series(
            label="undone by going back",
            xs=_steps(events),
            ys=_column(events, key),
            color="bad",
            faint=True,
            most=MOST_POINTS // len(times),
        )
        for events in times
    ]


def _kept_line(kept: int | None) -> tuple[float, str] | None:
    return None if kept is None else (kept, f"kept: step {kept:,}")


def _described(series: Series) -> str:
    values = _finite(series.ys)
    if not values:
        return ""
    first, lowest, last = label(values[0]), label(min(values)), label(values[-1])
    return f"{series.label[:1].upper()}{series.label[1:]}: {first} first, {lowest} at the lowest, {last} last."


def _padded(low: float, high: float) -> tuple[float, float]:
    pad = 0.05 * (high - low) or 0.05 * abs(high) or 0.5
    return low - pad, high + pad


def _steps(events: Iterable[Event]) -> list[float]:
    return [event["step"] for event in events]


def _column(events: Iterable[Event], key: str) -> list[float]:
    return [_number(event.get(key)) for event in events]


def _number(value: object) -> float:
    return float(value) if isinstance(value, (int, float)) else math.nan


def _finite(values: Iterable[float]) -> list[float]:
    return [value for value in values if math.isfinite(value)]
