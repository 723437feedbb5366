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
    if not any(_finite(_column(history.steps, "loss"))):
        return []
    steps = [*_steps(history.steps), *_steps(history.evaluations), *_steps(history.skips)]
    x_range = (float(min(0, *steps)), float(max(1, *steps)))
    charts = [
        _losses(history, x_range, kept),
        _closer(history, x_range, kept),
        _rate(history, config, x_range),
    ]
    charts.append(_gradient_norm(history, config, x_range))
    return [draw(chart) for chart in charts if chart]


def smooth(values: Sequence[float], window: int) -> list[float]:
    """The mean over `window` values around each, of those there are; what is no number is left out."""
    given = np.asarray(values, dtype=float)
    finite = np.isfinite(given)
    sums = np.concatenate([[0.0], np.cumsum(np.where(finite, given, 0.0))])
    counts = np.concatenate([[0], np.cumsum(finite)])
    at = np.arange(len(given))
    # At the beginning as far to the right as to the left, or the steep fall there would be drawn too low.
    half = np.minimum(at, window // 2)
    first, last = at - half, np.minimum(at + half + 1, len(given))
    number = counts[last] - counts[first]
    means = (sums[last] - sums[first]) / np.maximum(number, 1)
    return [float(mean) for mean in np.where(number > 0, means, np.nan)]


def smoothing_window(num_steps: int) -> int:
    """Steps one point of the smoothed training loss is the mean of: a fiftieth of the run, odd."""
    return max(num_steps // 50, 3) | 1


def _losses(history: History, x_range: tuple[float, float], kept: int | None) -> Chart:
    series = _loss_series(history)
    losses = [loss for loss in _column(history.steps, "loss") if math.isfinite(loss)]
    held_out = [y for one in series if one.shape in ("circle", "square", "diamond") for y in _finite(one.ys)]
    top = max(losses + held_out)
    # A run that flew off for a while shall not press everything else flat.
    usual = max(2 * losses[0], 4 * float(np.median(losses)), *held_out, 0.0)
    cut = top > usual
    y_range = _padded(min(losses + held_out), usual if cut else top)
    return Chart(
        key="loss",
        title="Loss, nats per token"
        + (f" (cut off at {label(usual)}; the highest is {label(top)})" if cut else ""),
        description=_described("Training loss", history.steps, "loss")
        + " ".join(_described(name, history.evaluations, key) for key, name, _, _ in HELD_OUT),
        series=series,
        x_range=x_range,
        y_range=y_range,
        vertical=_kept_line(kept),
    )


def _closer(history: History, x_range: tuple[float, float], kept: int | None) -> Chart | None:
    """The later two thirds of the losses, where the first fall does not hide what differs."""
    begin = x_range[0] + (x_range[1] - x_range[0]) / 3
    series = [one for one in _loss_series(history) if not one.faint]
    later = {
        one.label: _finite(y for x, y in zip(one.xs, one.ys, strict=True) if x >= begin) for one in series
    }
    held_out = [y for one in series if one.shape not in (None, "cross") for y in later[one.label]]
    if len(history.evaluations) < 4 or len(history.steps) < SMOOTHED_ABOVE or not held_out:
        return None
    values = held_out + later[series[0].label]
    return Chart(
        key="closer",
        title="The same, later and closer",
        description=f"From step {begin:,.0f} on: between {label(min(values))} and {label(max(values))}.",
        series=[one for one in series if one.shape != "cross"],
        x_range=(begin, x_range[1]),
        y_range=_padded(min(values), max(values)),
        vertical=_kept_line(kept),
    )


def _loss_series(history: History) -> list[Series]:
    steps, losses = _steps(history.steps), _column(history.steps, "loss")
    series = []
    if len(steps) > SMOOTHED_ABOVE:
        window = smoothing_window(len(steps))
        series.append(Series(label="training loss, each step", xs=steps, ys=losses, color="c1", faint=True))
        name = f"training loss, mean of {window} steps"
        series.append(Series(label=name, xs=steps, ys=smooth(losses, window), color="c1"))
    else:
        series.append(Series(label="training loss, each step", xs=steps, ys=losses, color="c1"))
    for key, name, color, shape in HELD_OUT:
        found = [event for event in history.evaluations if event.get(key) is not None]
        if found:
            series.append(
                Series(label=name, xs=_steps(found), ys=_column(found, key), color=color, shape=shape)
            )
    bad = [event for event in history.steps if not math.isfinite(_number(event.get("loss")))]
    if bad:
        ys = _column(bad, "loss")
        series.append(_crosses("loss that is no number", _steps(bad), ys))
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
    steps, norms = (
        _steps(history.steps),
        [y if y > 0 else math.nan for y in _column(history.steps, "grad_norm")],
    )
    if not _finite(norms):
        return None
    many = len(steps) > SMOOTHED_ABOVE
    series = [Series(label="gradient norm, each step", xs=steps, ys=norms, color="c1", faint=many)]
    if many:
        window = smoothing_window(len(steps))
        # The mean of logarithms: on this axis it runs through the middle of the curve.
        middle = np.exp(smooth(np.log(np.asarray(norms)).tolist(), window)).tolist()
        series.append(Series(label=f"geometric mean of {window} steps", xs=steps, ys=middle, color="c1"))
    if history.skips:
        series.append(_crosses("step skipped", _steps(history.skips), _column(history.skips, "grad_norm")))
    series += _undone(history, "grad_norm")
    clip = config.recipe.clip
    seen = _finite(norms) + [y for one in series for y in _finite(one.ys) if y > 0]
    if clip is not None:
        seen.append(clip)
    return Chart(
        key="norm",
        title="Gradient norm before clipping",
        description=_described("Gradient norm", history.steps, "grad_norm")
        + f" {len(history.skips)} steps were skipped.",
        series=series,
        x_range=x_range,
        y_range=(min(seen) / 1.3, max(seen) * 1.3),
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


def _described(name: str, events: Sequence[Event], key: str) -> str:
    values = _finite(_column(events, key))
    if not values:
        return ""
    return f"{name}: {label(values[0])} first, {label(min(values))} at the lowest, {label(values[-1])} last."


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
