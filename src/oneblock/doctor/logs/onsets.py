"""`onsets(log)`: everything in a log that begins somewhere, in the order of time. Only what the numbers show."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from oneblock.doctor.logs.log import Log, Numbers, Series
from oneblock.doctor.logs.robust import departures, level_shifts, noise, quickens, slow_rise, smooth, window_of

ADVERSE = ("not finite", "spike", "rise", "climb")
GROWING = {"max_logit": 1.6, "stream": 1.6, "weight_norm": 1.5, "updates": 3.0, "router_load": 1.3}
"""Quantities that grow before something breaks, and by what factor at least that is worth a word."""
COLLAPSING = {"entropy": 0.6, "router_entropy": 0.6}


@dataclass(frozen=True, kw_only=True)
class Onset:
    """Something begins: which quantity, how, at which step, and in words what the log shows.

    kind: not finite, spike (returns), rise (does not), climb (slowly), level (another one at once), jump (of a rate or
    scale), growth, collapse, zero. before, after: the usual value and the farthest, or the new one. first: the share
    of the way that is gone at the first point. end: the last step of it. sudden: a growth far faster than before.
    """

    quantity: str
    kind: str
    step: float
    end: float
    before: float
    after: float
    words: str
    first: float = 1.0
    sudden: bool = False

    @property
    def size(self) -> float:
        """How far it goes."""
        return abs(self.after - self.before)


def onsets(log: Log) -> list[Onset]:
    """All of a log, by step."""
    found: list[Onset] = []
    for quantity, series in log.series.items():
        if len(series) < 4:
            continue
        if quantity in ("loss", "val_loss", "grad_norm", "max_logit", "stream"):
            found += _not_finite(quantity, series)
        if quantity == "loss":
            found += _of_loss(series)
        elif quantity == "val_loss":
            found += _climb(quantity, series)
        elif quantity == "grad_norm":
            found += _of_norm(quantity, series)
        elif quantity in ("learning_rate", "loss_scale"):
            found += jumps(quantity, series)
    return sorted(found, key=lambda each: each.step)


def growth(quantity: str, series: Series, until: float) -> Onset | None:
    """What a quantity that grows or collapses slowly did up to a step, against what it was in the first half before."""
    seen = (series.steps <= until) & np.isfinite(series.values) & (series.values > 0)
    steps, values = series.steps[seen], np.log(series.values[seen])
    if len(values) < 4:
        return None
    first, middle = max(1, len(values) // 10), max(3, len(values) // 2)
    body = values[first:middle]
    usual, last = float(np.median(body)), float(np.median(values[-2:]))
    falling = quantity in COLLAPSING
    least = -np.log(COLLAPSING[quantity]) if falling else np.log(GROWING[quantity])
    gone = usual - last if falling else last - usual
    if gone < max(least, 3 * noise(values)):
        return None
    faster = quickens(-values if falling else values)
    if faster is None:
        line = usual + (last - usual) * 0.25
        inside = values >= line if falling else values <= line
        place = min(int(np.nonzero(inside)[0][-1]) + 1 if inside.any() else 0, len(values) - 1)
    else:
        place = faster
    before, after, start = float(np.exp(usual)), float(np.exp(last)), float(steps[place])
    verb = "falls" if falling else "grows"
    words = f"{series.name} {verb} from {before:.3g} (median of steps {steps[first]:g} to {steps[middle - 1]:g}) to "
    words += f"{after:.3g} (median of steps {steps[-2]:g} and {steps[-1]:g})"
    words += f", faster than before from about step {start:g} on ({np.exp(values[place]):.3g} there)" if faster else ""
    return Onset(
        quantity=quantity,
        kind="collapse" if falling else "growth",
        step=start,
        end=float(steps[-1]),
        before=before,
        after=after,
        words=words,
        sudden=faster is not None,
    )


def jumps(quantity: str, series: Series) -> list[Onset]:
    """Where a rate changes at once by more than a fifth and far more than it changes around."""
    values, steps = series.values, series.steps
    found: list[Onset] = []
    change = np.diff(values)
    for place in np.nonzero(np.abs(change) > 0.2 * np.maximum(np.abs(values[:-1]), np.abs(values[1:])))[0]:
        if place < 1 or not np.isfinite(change[place]):
            continue
        around = np.abs(np.concatenate([change[max(0, place - 8) : place], change[place + 1 : place + 9]]))
        beside = np.abs(np.concatenate([change[place - 1 : place], change[place + 1 : place + 2]]))
        # A scale is moved by factors, step after step; a rate that does so is on a ramp.
        least = max(5 * float(np.median(around)), 3 * float(beside.max())) if quantity == "learning_rate" else 0.0
        if abs(change[place]) < least:
            continue
        before, after = float(values[place]), float(values[place + 1])
        words = f"{series.name} goes from {before:.4g} at step {steps[place]:g} to {after:.4g} at {steps[place + 1]:g}"
        made = Onset(
            quantity=quantity,
            kind="jump",
            step=float(steps[place + 1]),
            end=float(steps[place + 1]),
            before=before,
            after=after,
            words=words,
        )
        found.append(made)
    return found[:200]


def _of_loss(series: Series) -> list[Onset]:
    found = _departures("loss", series, series.values, relative=0.04, absolute=0.02)
    climbs = _climb("loss", series)
    found += [each for each in climbs if not any(abs(each.step - o.step) <= 3 or o.kind == "rise" for o in found)]
    spans = [(each.step, each.end) for each in found]
    for place, change in level_shifts(series.values, relative=0.02, absolute=0.01):
        step = float(series.steps[place])
        near = 3 * float(np.median(np.diff(series.steps)))
        if any(first - near <= step <= end + near for first, end in spans):
            continue
        found.append(_level("loss", series, place, change))
    return found


def _of_norm(quantity: str, series: Series) -> list[Onset]:
    values = series.values
    logs = np.full(len(values), np.nan)
    good = np.isfinite(values) & (values > 0)
    logs[good] = np.log(values[good])
    found = _departures(quantity, series, logs, relative=0.0, absolute=float(np.log(2)))
    spans = [(each.step, each.end) for each in found]
    for place, change in level_shifts(logs, relative=0.0, absolute=0.35):
        if not any(first - 3 <= series.steps[place] <= end + 3 for first, end in spans):
            found.append(_level(quantity, series, place, change))
    zero = np.nonzero(values == 0)[0]
    if len(zero) >= 3:
        words = f"{series.name} is exactly 0 at {len(zero)} of {len(values)} points, first at step "
        words += f"{series.steps[zero[0]]:g}"
        first, last = float(series.steps[zero[0]]), float(series.steps[zero[-1]])
        found.append(Onset(quantity=quantity, kind="zero", step=first, end=last, before=1.0, after=0.0, words=words))
    return found


def _departures(quantity: str, series: Series, seen: Numbers, *, relative: float, absolute: float) -> list[Onset]:
    found = []
    for each in departures(seen, relative=relative, absolute=absolute):
        steps, values = series.steps, series.values
        logs = seen is not values
        usual = float(np.exp(each.usual)) if logs else each.usual
        first, top = float(values[each.start]), float(values[each.peak])
        window = min(window_of(len(values)), each.start)
        words = f"{series.name} leaves {usual:.4g} (median of the {window} points before) at step {steps[each.start]:g}"
        words += f" with {first:.4g}"
        words += f", is highest with {top:.4g} at step {steps[each.peak]:g}" if each.peak != each.start else ""
        after = min(each.end + 1, len(steps) - 1)
        if each.returns:
            words += f", and is back by step {steps[after]:g}"
        else:
            words += f", and is not back by step {steps[each.end]:g}"
        made = Onset(
            quantity=quantity,
            kind="spike" if each.returns else "rise",
            step=float(steps[each.start]),
            end=float(steps[each.end]),
            before=usual,
            after=top,
            words=words,
            first=each.first,
        )
        found.append(made)
    return found


def _climb(quantity: str, series: Series) -> list[Onset]:
    found = slow_rise(series.values, relative=0.03)
    if found is None:
        return []
    low, high = found
    level = smooth(series.values, 5)
    before, after = float(level[low]), float(level[high])
    words = f"{series.name} climbs: about {before:.4g} at step {series.steps[low]:g}, {after:.4g} at step "
    words += f"{series.steps[high]:g} (medians of 5 points)"
    step, end = float(series.steps[low]), float(series.steps[high])
    return [
        Onset(quantity=quantity, kind="climb", step=step, end=end, before=before, after=after, words=words, first=0)
    ]


def _level(quantity: str, series: Series, place: int, change: float) -> Onset:
    before = float(np.nanmedian(series.values[max(0, place - 6) : place]))
    after = float(np.nanmedian(series.values[place : place + 6]))
    way = "up" if change > 0 else "down"
    words = f"{series.name} changes its level at step {series.steps[place]:g}, {way}: {before:.4g} before, "
    words += f"{after:.4g} after (medians of 6 points)"
    step = float(series.steps[place])
    return Onset(quantity=quantity, kind="level", step=step, end=step, before=before, after=after, words=words)


def _not_finite(quantity: str, series: Series) -> list[Onset]:
    bad = np.nonzero(~np.isfinite(series.values))[0]
    if not len(bad):
        return []
    place = int(bad[0])
    good = series.values[:place][np.isfinite(series.values[:place])]
    before = float(np.median(good[-9:])) if len(good) else float("nan")
    forever = len(bad) > 1 and len(bad) == len(series) - place
    more = ", and from then on" if forever else f", in all at {len(bad)} points" if len(bad) > 1 else ""
    words = f"{series.name} is {series.values[place]} at step {series.steps[place]:g}{more}"
    words += f" ({before:.4g} before, median of 9 points)" if len(good) else ""
    step, end = float(series.steps[place]), float(series.steps[bad[-1]])
    after = float(series.values[place])
    return [Onset(quantity=quantity, kind="not finite", step=step, end=end, before=before, after=after, words=words)]
