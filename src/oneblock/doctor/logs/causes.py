"""Causes: for each what a log must show to be consistent with it, and what rules it out. One table.

A log cannot establish a mechanism. The weights are an order, not probabilities: 8 and more where the log shows the
cause itself (a rate that jumps, a scale that halves), about 5 where it shows its usual shape, about 2 where nothing
speaks against it.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from oneblock.doctor.logs.evidence import WIDE, Evidence
from oneblock.doctor.logs.inside import activations, blow_up, leak, overfitting, routing
from oneblock.doctor.logs.judgement import Judgement


def learning_rate(e: Evidence) -> Judgement:
    """Steps too large for the place: at once after a jump, early, again and again, without coming back."""
    assert e.main is not None
    lasting = e.main.kind in ("rise", "climb", "not finite")
    repeated = len(e.troubles) >= 3 and e.recurs is None and e.cycle is None
    if e.rate_jump is not None:
        factor = e.rate_jump.after / e.rate_jump.before if e.rate_jump.before else math.inf
        return Judgement(9.5, f"the learning rate rises {factor:.3g}-fold at step {e.rate_jump.step:g}, just before")
    rates, weight, why = e.log.get("learning_rate"), 2.0, "nothing speaks against it"
    if lasting:
        weight, why = 5.0, "the loss goes up and does not come back"
    if repeated:
        weight, why = 5.5, f"{len(e.troubles)} onsets at uneven distances"
    if e.main.kind == "level":
        weight, why = 1.0, "a loss that only changes its level is not its shape"
    if rates is not None and len(rates) > 3:
        finite = np.where(np.isfinite(rates.values), rates.values, 0.0)
        peak, now = float(finite.max()), rates.at(e.step) or 0.0
        before = finite[rates.steps <= e.step]
        top = float(before.max()) if len(before) else now
        reached = float(rates.steps[int((finite >= 0.98 * peak).argmax())])
        calm = e.step - reached > min(60 * e.apart, 0.2 * float(np.ptp(rates.steps)))
        if top > 0 and now < 0.15 * top:
            said = f"the learning rate is {now:.3g} at the onset, {now / top:.2g} of the {top:.3g} it has been through"
            return Judgement(0.0, "", said)
        if not calm and now > 0.2 * peak and e.main.kind != "level":
            weight += 2.5 if lasting or repeated else 1.5
            why += f"; it begins while the learning rate is near its highest for the first time ({now:.3g})"
        elif calm and not repeated and e.main.kind == "spike":
            weight -= 0.5
            why = f"the learning rate has been as high for {(e.step - reached) / e.apart:.0f} points without trouble"
    elif lasting or repeated or (e.main.end - e.main.step) / e.apart > 8:
        weight, why = weight + 1.8, why + "; it lasts, and the learning rate is not logged"
    elif e.step < e.log.series["loss"].steps[0] + 0.25 * np.ptp(e.log.series["loss"].steps):
        weight, why = weight + 1.5, why + "; it is early in the run"
    updates = e.log.get("updates")
    moved = updates.at(e.step) if updates is not None else None
    if moved is not None and moved > 0.05:
        weight, why = weight + 1, why + f"; a step moves weights by {100 * moved:.2g} %"
    return Judgement(weight - 2.0 * bool(e.overflows or e.halvings), why)


def bad_batch(e: Evidence) -> Judgement:
    """One batch that is not like the others: all of it in one point, gone soon."""
    assert e.main is not None
    if e.main.quantity != "loss":
        return Judgement(2.0 if e.main.kind == "spike" else 0.5, "only the gradients show something")
    if e.main.kind in ("climb", "level"):
        return Judgement(1.0, "what lasts is not one batch")
    points = (e.main.end - e.main.step) / e.apart
    if e.main.kind == "not finite":
        weight, why = 4.5, "the loss is no number from one step to the next: one batch may hold something that is none"
    elif e.main.first >= 0.5:
        weight, why = (
            (8.0 if points <= 3 else 6.0 if points <= 8 else 4.5),
            f"the loss is up within one point, for {points + 1:.0f} points",
        )
        if e.main.kind == "rise":
            weight, why = 4.5, "the loss is up within one point, and stays"
    else:
        weight, why = 3.0, "the loss takes several points to rise"
    ratio = e.ratio("grad_norm", e.main.step)
    if ratio is not None and ratio > 2 and e.main.kind != "not finite":
        weight, why = weight + 0.7, why + f"; the gradient norm of that step is {ratio:.2g} times the usual"
    elif ratio is not None and ratio < 1.3:
        weight, why = weight - 1.0, why + "; the gradient norm of that step is the usual one"
    weight -= 2.5 if not e.alone else 0.0
    weight -= 2.0 if e.climbs_before("grad_norm") else 0.0
    others = e.rate_jump is not None or e.restart is not None or e.overflows or e.halvings
    return Judgement(weight - 4.0 * bool(others) - 3.0 * (e.sharpens), why)


def resumed(e: Evidence) -> Judgement:
    """Right after a restart: the weights are there, the moments are not; the first loss is as before, then it rises."""
    assert e.main is not None
    points = (e.main.end - e.main.step) / e.apart
    gradual = e.main.kind in ("spike", "rise") and (e.main.first < 0.5 or (points > 8 and e.main.kind == "spike"))
    if e.restart is not None:
        since = (e.main.step - e.restart) / e.apart
        why = f"the log is begun again at step {e.restart:g}, {max(since, 0):.0f} points before"
        why += "; the loss is at first as before and then rises" if since >= 0.5 or gradual else ""
        return Judgement(9.0 if since <= 20 else 6.0, why)
    if e.main.kind in ("level", "not finite", "climb") or e.main.quantity != "loss":
        return Judgement(0.5, "not its shape")
    if e.log.facts.get("ours"):
        return Judgement(0.0, "", "the run was not resumed before the onset")
    rates = e.log.get("learning_rate")
    weight, why = (4.7, f"the loss is up for {points + 1:.0f} points and comes back slowly, ") if gradual else (2.0, "")
    why += "as after moments that begin at zero" if gradual else "nothing speaks against it"
    if e.main.kind == "rise":
        weight -= 1.0
    ratio = e.ratio("grad_norm", e.main.step)
    if gradual and ratio is not None and ratio < 2:
        weight, why = weight + 0.7, why + "; the gradient norm is still the usual one at its first point"
    if e.rate_jump is not None or e.sharpens or e.overflows or e.halvings:
        weight -= 2.5
    elif rates is not None and gradual:
        why += "; the learning rate does not change"
    if not e.alone:
        weight -= 1.5
    if e.log.clocked:
        weight, why = weight - 0.5, why + "; the clock shows no wait"
        if not gradual:
            return Judgement(0.0, "", "steps and clock go on without a break, and the loss is up at once")
    return Judgement(weight, why)


def loss_scale(e: Evidence) -> Judgement:
    """Half precision: gradients overflow while the loss is well, and the scale is halved; or they vanish."""
    assert e.main is not None
    precision = str(e.log.facts.get("precision", ""))
    if precision in WIDE:
        return Judgement(0.0, "", f"computed in {precision}, which needs no loss scale")
    close = [each for each in e.halvings if abs(each.step - e.step) <= AROUND_SCALE * e.apart]
    zero = e.of("grad_norm", "zero")
    if e.halvings and zero:
        said = f"the loss scale goes down to {e.halvings[-1].after:.3g} and gradients are exactly 0"
        return Judgement(9.5, said)
    if close:
        said = f"the loss scale goes down at step {close[0].step:g}" + (f", {len(close)} times" if close[1:] else "")
        if e.overflows:
            said += "; gradients are not finite there though the loss is"
        return Judgement(9.5, said)
    early = [step for step in e.overflows if step <= e.step + e.apart]
    if early:
        return Judgement(9.0, f"the gradient norm is not finite at step {early[0]:g}, though the loss of that step is")
    if zero:
        return Judgement(7.5, "gradients are exactly 0: a scale too small, or no gradient at all")
    if e.main.kind == "not finite" and e.main.quantity == "loss":
        if e.climbs_before("grad_norm"):
            return Judgement(4.0, "the loss becomes no number, after gradients that grew")
        return Judgement(6.0, "the loss becomes no number from one step to the next, with calm gradients before")
    powers = [o for o in e.of("grad_norm", "level", "rise") if o.before > 0 and _power_of_two(o.after / o.before)]
    if powers and abs(powers[0].step - e.step) <= AROUND_SCALE * e.apart:
        return Judgement(6.5, "the gradient norm changes by a power of two and stays there: a scale that is not undone")
    scale = e.log.get("loss_scale")
    if scale is not None and np.ptp(scale.values[np.isfinite(scale.values)]) == 0:
        return Judgement(0.0, "", "the loss scale is logged and never changes, and no gradient is infinite")
    return Judgement(0.8, "no gradient is infinite, and the loss scale is not logged")


AROUND_SCALE = 20


def _power_of_two(ratio: float) -> bool:
    power = math.log2(ratio) if ratio > 0 and math.isfinite(ratio) else 0.0
    return abs(power) >= 0.9 and abs(power - round(power)) < 0.08


def data_order(e: Evidence) -> Judgement:
    """Sorted or repeated data: the level changes at once, or the same comes again after the same number of steps."""
    assert e.main is not None
    if e.main.kind == "not finite":
        return Judgement(0.3, "an order of data gives no infinite loss")
    at_epochs = [o for o in e.troubles if any(abs(o.step - each) <= 2 * e.apart for each in e.epochs)]
    if at_epochs:
        many = len(at_epochs) > 1
        return Judgement(9.0 if many else 7.5, f"it begins where an epoch does (step {at_epochs[0].step:g})")
    if e.recurs is not None:
        return Judgement(9.3, f"the loss's onsets come again every {e.recurs:g} steps")
    if e.cycle is not None:
        return Judgement(
            7.5, f"the loss looks like itself after {e.cycle[0]:g} steps (autocorrelation {e.cycle[1]:.2f})"
        )
    levels = e.levels
    other = e.rate_jump is not None or e.restart is not None or bool(e.halvings) or e.sharpens
    if e.main.kind == "level":
        return Judgement(6.5 + min(len(levels), 3) * 0.5 - 3 * other, "the loss changes its level at once and goes on")
    if e.main.kind == "rise" and e.main.first > 0.4:
        return Judgement(4.8 - 3 * other, "the loss is at another level at once, and stays there")
    if e.main.kind == "spike" and e.main.first >= 0.5 and (e.main.end - e.main.step) / e.apart > 8:
        return Judgement(4.4 - 3 * other, "the loss jumps and is learned away, as when other data come")
    return Judgement(2.4 if e.main.first < 0.5 else 2.2, "nothing speaks against it")


CAUSES: dict[str, Callable[[Evidence], Judgement]] = {
    "learning rate": learning_rate,
    "bad batch": bad_batch,
    "resume without optimiser state": resumed,
    "loss scale": loss_scale,
    "data order": data_order,
    "attention blow-up": blow_up,
    "activations growing": activations,
    "router collapse": routing,
    "overfitting": overfitting,
    "leak": leak,
}
"""Cause -> its judge."""

IN_WORDS = {
    "learning rate": "learning rate too high",
    "loss scale": "loss scale (overflow or underflow in half precision)",
    "leak": "leak (a mask, or targets among the inputs)",
    "data order": "data order (sorted data, an epoch's boundary, a repeated stretch)",
}
LEAST = 1.5
"""The weight below which a cause is not mentioned."""


def judged(e: Evidence) -> tuple[list[tuple[str, Judgement]], list[tuple[str, str]]]:
    """Causes that are consistent with the log, most likely first, and those that are ruled out, with the reason."""
    if e.main is None:
        return [], []
    answers = {name: judge(e) for name, judge in CAUSES.items()}
    left = [(name, answer) for name, answer in answers.items() if not answer.excluded and answer.weight >= LEAST]
    left.sort(key=lambda pair: -pair[1].weight)
    return left, [(name, answer.excluded) for name, answer in answers.items() if answer.excluded]
