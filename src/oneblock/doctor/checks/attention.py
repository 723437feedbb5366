"""A1 to A4: what the softmax is given and what its weights do, in whatever module it stands."""

from __future__ import annotations

import math
import re

import torch
from torch import Tensor

from oneblock.doctor.checks.check import said, skip
from oneblock.doctor.finding import Finding
from oneblock.doctor.look import Seen, attentions, watched
from oneblock.doctor.patient import Patient

ROWS, NEAR, SHARP = 1e-3, 0.02, 100.0
BOUND, MASKED = 3.0, -5e3
UNSCALED = ("t5", "switch", "gptneofor", "gptneomodel")
"""Classes that leave the scale to how their weights start, by design."""


def _seen(patient: Patient, stirred: bool = True) -> list[Seen]:
    model = patient.stirred if stirred else patient.plain
    return attentions(model, model.sample(2, min(11, patient.target.max_len), patient.seed))


def rows(patient: Patient) -> Finding:
    """A1: the weights that meet the values sum to 1 over the keys."""
    model = patient.stirred
    watch = watched(model, model.sample(2, min(11, patient.target.max_len), patient.seed))
    found = watch.seen
    if watch.bare:
        note = "products of queries and keys weigh the values without a softmax"
        return said("WARN", note, where=watch.bare[0], repair="softmax(scores, dim=-1) @ v; if none is meant, fine")
    if watch.dropped:
        note = "dropout falls on scores: in train mode it gives a pair the score 0 and takes no weight from it"
        return said("WARN", note, where=watch.dropped[0], repair="dropout behind the softmax, on the weights")
    if not found:
        return skip("no softmax over scores was seen")
    if all(each.fused for each in found):
        return said("PASS", f"{len(found)} attentions, all by the fused kernel: rows sum to 1")
    worst, where = 0.0, ""
    for layer, each in enumerate(found):
        used = each.weights if each.used is None or each.used.shape != each.weights.shape else each.used
        value = float((used.sum(-1) - 1).abs().max())
        if not value <= worst:
            worst, where = value, each.place or f"attention {layer}"
    more = {"value": worst, "threshold": ROWS, "source": "a softmax's rows sum to 1 within rounding", "where": where}
    if not worst <= ROWS:
        repair = "softmax over the keys (dim=-1); mask before it; nothing multiplied on its weights in eval mode"
        return said(
            "FAIL", f"attention weights do not sum to 1 over the keys: off by {worst:.2g}", repair=repair, **more
        )
    return said("PASS", f"the weights of {len(found)} attentions sum to 1 over the keys", **more)


def scale(patient: Patient) -> Finding:
    """A2: the constant between q kᵀ and the softmax, wherever it was multiplied in, against 1/√d."""
    found = [each for each in _seen(patient) if each.factor is not None and each.head_width > 1]
    if not found:
        return skip("no softmax over scores was seen")
    ratios = [abs(each.factor or 0.0) * each.head_width**0.5 for each in found]
    off = [max(ratio, 1 / ratio) if ratio else math.inf for ratio in ratios]
    layer = off.index(max(off))
    ratio, width = ratios[layer], found[layer].head_width
    more = {
        "value": ratio,
        "threshold": 1.0,
        "source": "Vaswani 2017, section 3.2.1: 1/√d keeps scores at variance 1",
        "where": found[layer].place or f"attention {layer}",
    }
    note = f"scores are scaled by {ratio:.3g} × 1/√{width}"
    if abs(ratio - 1) <= NEAR:
        return said("PASS", f"all {len(found)} attentions scale their scores by 1/√d", **more)
    config, words = getattr(patient.target.thing, "config", None), type(patient.target.thing).__name__.lower()
    of_family = any(hasattr(config, name) for name in ("query_pre_attn_scalar", "attention_multiplier"))
    # YaRN's angles carry a factor of its own.
    angles = str(getattr(config, "rope_parameters", None) or getattr(config, "rope_scaling", None) or "")
    of_family = of_family or bool(re.search(r"yarn|longrope|attention_factor|mscale", angles))
    declared = of_family or bool(re.search(r"\bscale=[\d.]", repr(config)))
    if declared or "unscaled" in patient.expect or any(words.startswith(name) for name in UNSCALED):
        return said("INFO", f"{note}, as its configuration or family has it", **more)
    repair = "divide q kᵀ by √(width of a head), once; if another scale is meant: --expect unscaled"
    if abs(ratio * width**0.5 - 1) <= NEAR:
        return said("INFO", f"{note}: 1/d, as in μP (muP)", **more)
    bound = _bounded(patient, layer, found[layer])
    if bound is not None:
        return said(
            "INFO", f"{note}, and a norm on queries and keys holds them: standard deviation {bound:.2g}", **more
        )
    if ratio >= width**0.5 * (1 - NEAR):
        return said("FAIL", f"{note}: not scaled down, so the softmax saturates as heads grow", repair=repair, **more)
    count = found[layer].scores.shape[1] if found[layer].scores.dim() == 4 else 1
    if count > 1 and abs(ratio * count**0.5 - 1) <= NEAR:
        wide = f"{note}: that is 1/√{count * width}, of the model's width and not of a head's"
        return said("FAIL", wide, repair=repair, **more)
    return said("WARN", note, repair=repair, **more)


def _bounded(patient: Patient, layer: int, seen: Seen) -> float | None:
    """How large scores are, where larger weights do not make them larger and they are no larger than BOUND."""
    model = patient.loud
    louder = attentions(model, model.sample(2, min(11, patient.target.max_len), patient.seed))
    same = [each for each in louder if each.factor is not None and each.head_width > 1]
    if len(same) <= layer:
        return None
    size, loud = float(visible(seen).std()), float(visible(same[layer]).std())
    return size if size <= BOUND and loud <= 1.5 * size else None


def visible(seen: Seen) -> Tensor:
    """Scores of the pairs that are not masked, whether by −∞ or by a number that is added."""
    return seen.scores[torch.isfinite(seen.scores) & (seen.weights > 0) & (seen.scores > MASKED)]


def sharpness(patient: Patient) -> Finding:
    """A3: the largest score, and the entropy of each head's weights as a share of that of uniform ones."""
    found = _seen(patient, stirred=False)
    if not found:
        return skip("no softmax over scores was seen")
    largest, shares = 0.0, []
    for each in found:
        finite = visible(each)
        largest = max(largest, float(finite.abs().max()) if finite.numel() else 0.0)
        weights = each.weights.double()
        entropy = -(weights * weights.clamp(min=1e-30).log()).sum(-1)
        seen = (each.weights > 0).sum(-1).double()
        many = seen > 3
        shares.append(float((entropy / seen.clamp(min=2).log())[many].median()) if bool(many.any()) else 1.0)
    note = f"largest score {largest:.3g}; entropy of weights {min(shares):.0%} to {max(shares):.0%} of uniform"
    more = {"value": largest, "threshold": SHARP, "source": "convention; that logits grow: Dehghani et al. 2023"}
    if not largest <= SHARP or min(shares) < 0.02:
        repair = "check the scale and the start of queries and keys; a norm on both (qk-norm) or a soft cap holds them"
        layer = shares.index(min(shares))
        where = found[layer].place or f"attention {layer}"
        return said("WARN", f"attention is very sharp: {note}", where=where, repair=repair, **more)
    return said("INFO", note, **more)


def heads(patient: Patient) -> Finding:
    """A4: heads that give nothing while others of their layer do."""
    dead, total, where = [], 0, ""
    for layer, each in enumerate(_seen(patient)):
        if each.out is None or each.out.dim() != 4:
            continue
        sizes = each.out.double().square().mean((0, 2, 3)).sqrt()
        total += len(sizes)
        if float(sizes.max()) > 0:
            still = [h for h in range(len(sizes)) if float(sizes[h]) < 1e-9 * float(sizes.max())]
            dead += [f"attention {layer} head {h}" for h in still]
            where = where or (each.place if still else "")
    if not total:
        return skip("no heads were seen")
    more = {"value": float(len(dead)), "threshold": 0.0, "source": "below 1e-9 of the layer's strongest head"}
    if dead:
        repair = "look for a mask on heads, a wrong slice of values, or a pruned head"
        return said(
            "FAIL",
            f"{len(dead)} of {total} heads give nothing: {', '.join(dead[:4])}",
            where=where or dead[0],
            repair=repair,
            **more,
        )
    return said("PASS", f"all {total} heads give something", **more)
