"""Causes inside the model: attention that gets sharp, norms that grow, routers that collapse, a leak."""

from __future__ import annotations

import math

import numpy as np

from oneblock.doctor.logs.evidence import HIGH, Evidence
from oneblock.doctor.logs.judgement import Judgement


def blow_up(e: Evidence) -> Judgement:
    """Logits of attention grow until the softmax chooses one: before the loss, over many steps."""
    assert e.main is not None
    grown = e.grown.get("max_logit") or e.grown.get("entropy")
    series = e.log.get("max_logit") or e.log.get("entropy")
    meanwhile = _meanwhile(e)
    if meanwhile is not None and not (grown is not None and grown.sudden):
        return meanwhile
    if grown is not None and (grown.step <= e.step or e.main is grown):
        verb = "falls" if grown.kind == "collapse" else "grows"
        why = f"{'entropy' if verb == 'falls' else 'the largest logit'} {verb} from {grown.before:.3g} to "
        why += f"{grown.after:.3g}, beginning about step {grown.step:g}"
        quick = (e.step - grown.step) / e.apart < 3 and e.main is not grown
        late = e.rate_jump is not None and e.rate_jump.step <= grown.step
        if grown.sudden and (grown.after > 12 or grown.kind == "collapse"):
            return Judgement(9.2 - 1.5 * late - 2.5 * quick, why + ", far faster than it had")
        high = grown.kind == "growth" and grown.after > 2 * HIGH
        return Judgement(7.0 if high else 2.2, why + ("" if high else ", no faster than all the time"))
    if series is not None and len(series.between(-math.inf, e.step)) >= 4:
        now = series.at(e.step)
        usual = float(np.median(series.between(-math.inf, e.step)))
        return Judgement(0.0, "", f"{series.name} has not grown before the onset: {now:.3g} there, {usual:.3g} usually")
    gradual = e.main.kind in ("climb", "rise") and e.main.first < 0.6
    weight = 3.5 if gradual else 1.5
    weight += 1.0 if e.climbs_before("grad_norm") else 0.0
    why = "it goes up over many points, as then; " if gradual else ""
    return Judgement(weight, why + "the largest attention logit is not logged")


def _meanwhile(e: Evidence) -> Judgement | None:
    """Logits that grow several times over while the loss is up, not before it."""
    assert e.main is not None
    series = e.log.get("max_logit")
    if series is None or e.main.quantity != "loss":
        return None
    before, during = series.between(-math.inf, e.step), series.between(e.step, e.main.end + 15 * e.apart)
    if len(before) < 3 or len(during) < 1:
        return None
    usual, top = float(np.median(before[-3:])), float(during.max())
    if top < max(HIGH, 3 * usual):
        return None
    why = f"the largest logit goes from {usual:.3g} (median of the 3 looks before) to {top:.3g} while the loss is up"
    return Judgement(6.5 - 2.0 * (e.rate_jump is not None), why)


def activations(e: Evidence) -> Judgement:
    """The residual stream grows until a norm's input or a product overflows."""
    grown = e.grown.get("stream")
    if grown is not None and grown.step <= e.step:
        weight = 6.5 if grown.after / grown.before > 3 else 3.0
        return Judgement(weight, f"the stream's norm grows from {grown.before:.3g} to {grown.after:.3g} before")
    series = e.log.get("stream")
    if series is not None and len(series.between(-math.inf, e.step)) >= 4:
        return Judgement(0.0, "", f"the stream's norm has not grown before the onset ({series.at(e.step):.3g} there)")
    return Judgement(0.0, "")


def routing(e: Evidence) -> Judgement:
    """Experts: the router sends everything to a few."""
    grown = e.grown.get("router_entropy") or e.grown.get("router_load")
    if grown is None or grown.step > e.step:
        return Judgement(0.0, "")
    return Judgement(
        7.0, f"{grown.quantity.replace('_', ' ')} goes from {grown.before:.3g} to {grown.after:.3g} before"
    )


def overfitting(e: Evidence) -> Judgement:
    """The held-out loss rises while the training loss goes on falling."""
    assert e.main is not None
    climbs = e.of("val_loss", "climb")
    if climbs and e.main.quantity == "val_loss":
        return Judgement(8.0, "the held-out loss climbs from its least value and the training loss does not")
    return Judgement(0.0, "")


def leak(e: Evidence) -> Judgement:
    """The model sees what it is to say: a loss that falls at once to far below what it was."""
    assert e.main is not None
    if e.main.quantity == "loss" and e.main.kind == "level" and e.main.after < 0.6 * e.main.before:
        return Judgement(6.8, f"the loss falls at once to {e.main.after / e.main.before:.2g} of what it was")
    return Judgement(0.0, "")
