"""Robust statistics on a series: what it usually is, where it leaves that, where its level changes, what recurs.

Medians and median absolute deviations, which a spike does not move; all of the points before, so that an onset is
judged by what was known then.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Numbers = npt.NDArray[np.float64]
SIGMAS, RUN_SIGMAS, MIDDLE_SIGMAS, BACK_SIGMAS = 7.0, 3.5, 2.7, 2.0
"""By how many robust deviations one point, each of three in a row, or the median of five must leave the median to be an
onset; and below how many it is back."""
TO_STD = 1.4826
"""MAD times this is the standard deviation of a normal variable."""


@dataclass(frozen=True, kw_only=True)
class Departure:
    """Where a series leaves what it was, as places in it.

    start, peak, end: first point outside, farthest, last one outside (the series' last where it never returns).
    usual, limit: the median before, and what was passed. first: the share of the way gone at `start` already.
    """

    start: int
    peak: int
    end: int
    usual: float
    limit: float
    returns: bool
    first: float


def window_of(count: int) -> int:
    """The number of points that say what is usual."""
    return int(min(64, max(8, count // 8)))


def filled(x: Numbers) -> Numbers:
    """What is not finite replaced by the last finite value before it (at the beginning, by the first)."""
    good = np.isfinite(x)
    if good.all() or not good.any():
        return x
    last = np.maximum.accumulate(np.where(good, np.arange(len(x)), 0))
    last[: int(good.argmax())] = int(good.argmax())
    return x[last]


def trailing(x: Numbers, window: int) -> tuple[Numbers, Numbers]:
    """Median and deviation of the `window` points before each point; NaN where there are fewer than 6."""
    padded = np.concatenate([np.full(window, np.nan), filled(x)])
    views = np.lib.stride_tricks.sliding_window_view(padded, window)[: len(x)]
    medians, deviations = np.full(len(x), np.nan), np.full(len(x), np.nan)
    for first in range(0, len(x), 20_000):
        part = views[first : first + 20_000]
        enough = np.isfinite(part).sum(1) >= 6
        if not enough.any():
            continue
        middle = np.nanmedian(part[enough], axis=1)
        # Around the trend, else a loss that falls would look noisy: differences of neighbours have √2 the deviation.
        steps = np.abs(np.diff(part[enough], axis=1))
        spread = np.nanmedian(np.abs(part[enough] - middle[:, None]), axis=1)
        rough = np.nanmedian(steps, axis=1) / np.sqrt(2)
        medians[first : first + 20_000][enough] = middle
        deviations[first : first + 20_000][enough] = TO_STD * np.maximum(np.minimum(spread, 2 * rough), 0.5 * rough)
    return medians, deviations


def departures(x: Numbers, *, relative: float, absolute: float = 0.0, most: int = 200) -> list[Departure]:
    """Where the series rises above what it was: by SIGMAS deviations at once, or by less for longer.

    Never by less than `relative` of the median or `absolute`. A point that is not finite is not looked at here.
    """
    window = window_of(len(x))
    x = np.where(np.isfinite(x), x, np.nan)
    usual, deviation = trailing(x, window)
    least = np.maximum(relative * np.abs(usual), absolute)
    far = x > usual + np.maximum(SIGMAS * deviation, least)
    near = x > usual + np.maximum(RUN_SIGMAS * deviation, least)
    runs = near.copy()
    runs[:-1] &= near[1:]
    runs[:-2] &= near[2:]
    runs[-2:] = False
    together = np.full(len(x), -np.inf)
    if len(x) > 5:
        together[:-4] = np.median(np.lib.stride_tricks.sliding_window_view(x, 5), axis=1)
    runs |= (together > usual + np.maximum(MIDDLE_SIGMAS * deviation, 1.5 * least)) & (x > usual + 1.5 * deviation)
    found: list[Departure] = []
    place, patience = 0, max(12, window)
    starts = np.nonzero(far | runs)[0]
    while len(found) < most:
        starts = starts[starts >= place]
        if not len(starts):
            break
        start = int(starts[0])
        frozen, limit = float(usual[start]), float(usual[start] + max(BACK_SIGMAS * deviation[start], least[start]))
        end, quiet, returns = start, 0, False
        for place in range(start + 1, len(x)):
            if np.isfinite(x[place]) and x[place] <= limit:
                quiet += 1
                if quiet >= 3:
                    returns = True
                    break
            else:
                end, quiet = place, 0
            if place - start >= 4 * patience:
                break
        else:
            place = len(x)
        values = np.where(np.isfinite(x[start : end + 1]), x[start : end + 1], -np.inf)
        peak = start + int(values.argmax())
        height = x[peak] - frozen
        first = float((x[start] - frozen) / height) if height > 0 else 1.0
        found.append(
            Departure(start=start, peak=peak, end=end, usual=frozen, limit=limit, returns=returns, first=first)
        )
        # What stays high is the new level: judged by it again only once the window is full of it.
        place = max(place, start + 1) + (0 if returns else window)
    return found


def smooth(x: Numbers, width: int) -> Numbers:
    """The running median over `width` points around each."""
    half = max(1, width // 2)
    padded = np.concatenate([np.full(half, np.nan), np.where(np.isfinite(x), x, np.nan), np.full(half, np.nan)])
    views = np.lib.stride_tricks.sliding_window_view(padded, 2 * half + 1)
    filled = np.isfinite(views).any(1)
    found = np.full(len(x), np.nan)
    found[filled] = np.nanmedian(views[filled], axis=1)
    return found


def noise(x: Numbers) -> float:
    """The deviation of one point from its neighbours, whatever the trend."""
    finite = x[np.isfinite(x)]
    if len(finite) < 4:
        return 0.0
    return float(TO_STD * np.median(np.abs(np.diff(finite))) / np.sqrt(2))


def slow_rise(x: Numbers, *, relative: float) -> tuple[int, int] | None:
    """Where a smoothed series begins to climb from its least value for good, and where it then is highest."""
    if len(x) < 16:
        return None
    width = max(5, window_of(len(x)) // 2)
    level = filled(smooth(x, width))
    if not np.isfinite(level).all():
        return None
    low = int(np.nanargmin(level))
    after = level[low:]
    high = low + int(np.nanargmax(after))
    gain = level[high] - level[low]
    least = max(5 * noise(x) / np.sqrt(width) + noise(x), relative * abs(level[low]))
    stays = np.median(level[-max(3, width) :]) - level[low]
    if not gain > least or not stays > 0.5 * least or len(after) < max(6, width):
        return None
    still = np.nonzero(level[low : high + 1] <= level[low] + 0.15 * gain)[0]
    return low + int(still[-1]) if len(still) else low, high


def level_shifts(x: Numbers, *, relative: float, absolute: float = 0.0) -> list[tuple[int, float]]:
    """Places at which the level changes at once, up or down, and by how much; a trend that goes on is no change."""
    half = int(min(24, max(6, len(x) // 14)))
    if len(x) < 4 * half:
        return []
    series = filled(x)
    if not np.isfinite(series).all():
        return []
    views = np.lib.stride_tricks.sliding_window_view(series, half)
    medians = np.median(views, axis=1)
    places = np.arange(2 * half, len(x) - half + 1)
    before, after, earlier = medians[places - half], medians[places], medians[places - 2 * half]
    change = after - before
    trend = np.minimum(before - earlier, 0.0)
    change = np.where(change < 0, np.minimum(change - trend, 0.0), change)
    rough = TO_STD * np.median(np.abs(np.diff(views, axis=1)), axis=1) / np.sqrt(2)
    deviation = np.maximum(np.maximum(rough[places - half], rough[places]), max(0.8 * noise(x), 1e-12))
    strength = np.abs(change) / (deviation * 1.25 * np.sqrt(2 / half))
    # At once: most of it between the two medians of three points on either side.
    threes = np.median(np.lib.stride_tricks.sliding_window_view(series, 3), axis=1)
    close = threes[places] - threes[places - 3]
    wanted = (strength > 7) & (np.abs(change) > np.maximum(relative * np.abs(before), absolute))
    wanted &= np.abs(change) > 1.5 * deviation
    wanted &= close * np.sign(change) > 0.4 * np.abs(change)
    found: list[tuple[int, float]] = []
    for index in np.argsort(-strength * wanted):
        if not wanted[index]:
            break
        if all(abs(places[index] - other) >= half for other, _ in found):
            found.append((int(places[index]), float(change[index])))
    return sorted(found)


def recurring(places: list[float]) -> float | None:
    """The distance at which events recur, of at least three whose distances agree within a tenth; else None."""
    if len(places) < 3:
        return None
    apart = np.diff(np.array(sorted(places)))
    usual = float(np.median(apart))
    return usual if usual > 0 and bool((np.abs(apart - usual) <= 0.1 * usual).mean() >= 0.75) else None


def period(x: Numbers) -> tuple[int, float] | None:
    """The lag at which a series without its trend looks like itself, and how much: at least two and a half periods."""
    series = x[len(x) // 10 :]
    if len(series) < 48 or not np.isfinite(series).all():
        return None
    rest = series - _trend(series)
    spread = TO_STD * np.median(np.abs(rest)) + 1e-12
    rest = np.clip(rest, -4 * spread, 4 * spread)
    rest = rest - rest.mean()
    size = 1 << (2 * len(rest) - 1).bit_length()
    power = np.abs(np.fft.rfft(rest, size)) ** 2
    same = np.fft.irfft(power)[: len(rest)]
    if same[0] <= 0:
        return None
    lags = np.arange(len(rest))
    share = same / same[0] * len(rest) / np.maximum(len(rest) - lags, 1)
    last = int(len(rest) / 2.5)
    if last <= 8:
        return None
    best = 8 + int(share[8:last].argmax())
    # A multiple of the period looks as much alike: the least one is meant.
    for part in (5, 4, 3, 2):
        near = best // part
        around = share[max(8, near - 2) : near + 3]
        if near >= 8 and len(around) and float(around.max()) > 0.75 * share[best]:
            best = max(8, near - 2) + int(around.argmax())
            break
    local = share[best] >= share[max(0, best - 2) : best + 3].max()
    # What only drifts is alike at short distances; what recurs is unlike itself in between.
    if share[1:best].min() > 0.3 * share[best] or share[min(2 * best, len(share) - 1)] < 0.3 * share[best]:
        return None
    return (best, float(share[best])) if local and share[best] > max(0.35, 5 / np.sqrt(len(rest))) else None


def _trend(series: Numbers) -> Numbers:
    """What varies over a sixth of the series and more: medians of short blocks, smoothed, with lines between them."""
    block = max(1, len(series) // 54)
    whole = len(series) // block * block
    medians = np.median(series[:whole].reshape(-1, block), axis=1)
    return np.interp(np.arange(len(series)), np.arange(len(medians)) * block + (block - 1) / 2, smooth(medians, 9))


def quickens(x: Numbers) -> int | None:
    """Where a series begins to rise much faster than it has before, for its last points; None where it does not.

    Compared are gains over an eighth of the points: the last ones against the median of all before.
    """
    width = max(2, len(x) // 8)
    if len(x) < 4 * width:
        return None
    gains = x[width:] - x[:-width]
    early = gains[: max(3, int(0.6 * len(gains)))]
    usual = float(np.median(early))
    spread = TO_STD * float(np.median(np.abs(early - usual)))
    line = max(usual, 0.0) + max(4 * spread, np.log(1.5))
    if float(gains[-2:].max()) <= line:
        return None
    slow = np.nonzero(gains <= max(usual, 0.0) + 0.5 * (line - max(usual, 0.0)))[0]
    return int(slow[-1]) + 1 if len(slow) else 0
