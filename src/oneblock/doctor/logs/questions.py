"""The four questions that are always answered: norms growing, logits sharp, mask leaking, cache positions drifting."""

from __future__ import annotations

import numpy as np

from oneblock.doctor.logs.evidence import HIGH, Evidence
from oneblock.doctor.logs.robust import smooth

QUESTIONS = ("norms growing", "logits sharp", "mask leaking", "cache positions drifting")
FLOOR = 0.05
"""A loss below this share of its first value is implausibly low for a text that is not known by heart."""


def answers(e: Evidence) -> dict[str, str]:
    """Question -> "yes", "no", "not seen" or "not logged", with what the log shows."""
    return dict(zip(QUESTIONS, (_norms(e), _sharp(e), _leak(e), _cache()), strict=True))


def _norms(e: Evidence) -> str:
    for quantity in ("stream", "weight_norm"):
        series, grown = e.log.get(quantity), e.grown.get(quantity)
        if grown is not None:
            return f"yes: {grown.words}"
        if series is not None and len(series) >= 4:
            usual, last = float(np.nanmedian(series.values)), float(series.values[-1])
            return f"no: {series.name} is {last:.3g} at the end, {usual:.3g} in the median"
    rises = e.of("grad_norm", "rise", "climb", "not finite")
    if rises:
        return f"not logged for the stream; of the gradients: {rises[0].words}"
    return "not logged: norms of the residual stream or of the weights"


def _sharp(e: Evidence) -> str:
    for quantity in ("max_logit", "entropy"):
        series, grown = e.log.get(quantity), e.grown.get(quantity)
        if grown is not None and (grown.sudden or grown.after > HIGH):
            return f"yes: {grown.words}"
        if series is not None and len(series) >= 4:
            finite = series.values[np.isfinite(series.values)]
            if not len(finite):
                return f"cannot be said: {series.name} is nowhere finite"
            end = f"{finite[-1]:.3g} at the end, {finite.min():.3g} to {finite.max():.3g} in all"
            steep = quantity == "max_logit" and finite.max() > HIGH
            return f"{'yes' if steep else 'no'}: {series.name} is {end}"
    return "not logged: the largest attention logit, or the entropy of attention"


def _leak(e: Evidence) -> str:
    series = e.log.series["loss"]
    level = smooth(series.values, 5)
    finite = level[np.isfinite(level)]
    if len(finite) < 8:
        return "cannot be said: too few losses"
    falls = [each for each in e.of("loss", "level") if each.after < 0.6 * each.before]
    ask = "ask the model: oneblock doctor TARGET --only leak"
    if falls:
        return f"possible: {falls[0].words}; {ask}"
    low, first = float(finite.min()), float(finite[0])
    if first > 0 and low < FLOOR * first:
        held = e.log.get("val_loss")
        told = held.values[np.isfinite(held.values)] if held is not None else np.array([])
        if len(told) and float(told.min()) > 4 * max(low, 1e-9):
            return f"not seen: the loss falls to {low:.3g}, the held-out loss only to {told.min():.3g}: known by heart"
        return f"possible: the loss falls to {low:.3g}, from {first:.3g} at first (medians of 5 points); {ask}"
    floor = f"{low:.3g}, from {first:.3g} at first (medians of 5 points)"
    return f"not seen: the loss falls no lower than {floor}; a log cannot say more ({ask})"


def _cache() -> str:
    return "not logged: training does not decode; ask the model: oneblock doctor TARGET --only cache"
