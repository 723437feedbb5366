"""P1, P2: pads, which must change nothing, and rows of nothing else, which must be finite."""

from __future__ import annotations

import copy
from functools import partial

import torch

from oneblock.doctor.checks.check import BAD, EQUALITY, GOOD, judged, said, skip
from oneblock.doctor.checks.positions import is_relative
from oneblock.doctor.finding import Finding
from oneblock.doctor.lines import at_places, parting_line
from oneblock.doctor.look import Watch, names_of
from oneblock.doctor.patient import Patient, difference


def padding(patient: Patient) -> Finding:
    """P1: pads on either side change nothing at real tokens, whatever stands at them."""
    model = patient.stirred
    if patient.target.calling.source and patient.target.source_mask:
        return _source_padding(patient)
    if not patient.target.masks:
        return skip("it takes no padding")
    length = min(7, patient.target.max_len // 2)
    x, worst, faults, shifted = model.sample(2, length, patient.seed), 0.0, [], 0.0
    alone = model(x)
    for count in {1, min(32, patient.target.max_len - length)}:
        fill = [model.sample(2, count, patient.seed + n) for n in (1, 2)]
        pads = torch.cat([torch.ones(2, count, dtype=torch.bool), torch.zeros(2, length, dtype=torch.bool)], dim=1)
        left = [_at(model(torch.cat([f, x], dim=1), pads), pads) for f in fill]
        right = [_at(model(torch.cat([x, f], dim=1), pads.flip(1)), pads.flip(1)) for f in fill]
        found = {
            f"what stands at {count} left pads is seen": difference(left[1], left[0]),
            f"what stands at {count} right pads is seen": difference(right[1], right[0]),
            f"{count} right pads change real tokens": difference(right[0], alone),
        }
        one = torch.zeros_like(pads)
        one[0] = pads.flip(1)[0]
        text = torch.cat([x, fill[0]], dim=1)
        found[f"{count} pads of one row reach another"] = difference(model(text, one)[1], model(text)[1])
        faults += [name for name, value in found.items() if not value <= BAD]
        worst = max(worst, *found.values())
        shifted = max(shifted, difference(left[0], alone))
    if faults and alone.shape[1] != length and all("left pads" in name for name in faults):
        note = "right padding only: it answers from the first place, where a pad on the left would stand"
        return said("WARN", note, value=worst, threshold=BAD, source=EQUALITY, repair="pad on the right")
    if worst <= GOOD and shifted > BAD and is_relative(patient):
        note = f"pads on the left change real tokens (difference {shifted:.1e}) though positions are relative"
        repair = "mask pads as keys: vectors of zeros still take a share of the softmax"
        return said("FAIL", note, value=shifted, threshold=BAD, source=EQUALITY, where="padding mask", repair=repair)
    looked = _weight_of_pads(patient, x) if worst <= GOOD < shifted else 0.0
    if looked > BAD:
        note = f"pads on the left are attended to with up to {looked:.2g} of a real token's weight: they take a share"
        repair = "mask pads as keys: vectors of zeros still take a share of the softmax"
        return said(
            "FAIL", note, value=looked, threshold=BAD, source="attention weights", where="padding mask", repair=repair
        )
    if worst <= GOOD < shifted:
        note = "pads are not seen; with pads on the left the positions of real tokens shift"
        return said("INFO", f"{note} (difference {shifted:.1e}): give positions with left-padded rows", value=shifted)
    repair = "mask pads as keys (not only as queries), before the softmax"
    where = _seen_at(patient, x) if worst > BAD else ""
    wrong = "; ".join(faults) or "pads are seen"
    return judged(worst, "pads change nothing", wrong, where=where or "padding mask", repair=repair)


def _seen_at(patient: Patient, x: torch.Tensor) -> str:
    """The line at which what stands at pads, on the left or on the right, reaches a real token."""
    model, count = patient.stirred, 4
    length = x.shape[1] + count
    fills = [model.sample(2, count, patient.seed + n) for n in (1, 2)]
    real = torch.arange(x.shape[1])
    for left in (True, False):
        pads = torch.zeros(2, length, dtype=torch.bool)
        pads[:, slice(count) if left else slice(x.shape[1], None)] = True
        texts = [torch.cat([fill, x] if left else [x, fill], dim=1) for fill in fills]
        alike = at_places(length, real + count if left else real)
        line = parting_line(model.module, [partial(model, text, pads) for text in texts], alike)
        if line:
            return line
    return ""


def _weight_of_pads(patient: Patient, x: torch.Tensor) -> float:
    """The most that a real token attends to the first of two pads on its left, over all attentions that were seen."""
    model, count = patient.stirred, 2
    text = torch.cat([model.sample(2, count, patient.seed + 1), x], dim=1)
    pads = torch.zeros_like(text, dtype=torch.bool)
    pads[:, :count] = True
    with Watch(names=names_of(model.module)) as watch:
        model(text, pads)
    square = [e.weights for e in watch.seen if e.weights.dim() == 4 and e.weights.shape[-2:] == (text.shape[1],) * 2]
    return max((float(weights[:, :, count:, :count].max()) for weights in square), default=0.0)


def _at(answer: torch.Tensor, pads: torch.Tensor) -> torch.Tensor:
    """The answers at real tokens; all of one that is for the whole text."""
    if answer.dim() < 3 or answer.shape[1] != pads.shape[1]:
        return answer
    return answer[:, ~pads[0]]


def _source_padding(patient: Patient) -> Finding:
    """Of a sequence-to-sequence model: pads behind the source."""
    model, target = patient.stirred, patient.target
    x, source = model.sample(2, min(5, target.max_len), patient.seed), model.source()
    pads = torch.cat([torch.zeros_like(source, dtype=torch.bool), torch.ones(1, 3, dtype=torch.bool)], dim=1)
    fills = [(source[:, :3] + n) % (target.source_vocab or target.vocab_size) for n in (1, 2)]
    padded = [model.replace_source(torch.cat([source, fill], dim=1))(x, pads.expand(2, -1)) for fill in fills]
    seen, changed = difference(padded[1], padded[0]), difference(padded[0], model(x))
    wrong = "what stands at pads of the source is seen" if seen > BAD else "pads of the source change the answer"
    repair = "mask the source's pads as keys, in the encoder and in cross-attention"
    well = "pads of the source change nothing"
    return judged(max(seen, changed), well, wrong, where="padding mask of the source", repair=repair)


def all_padded(patient: Patient) -> Finding:
    """P2: a row of pads alone, and left pads, give finite numbers and finite gradients."""
    if not patient.target.masks:
        return skip("it takes no padding")
    model, length = patient.stirred.on(copy.deepcopy(patient.stirred.thing)), min(7, patient.target.max_len)
    pads = torch.zeros(3, length, dtype=torch.bool)
    pads[0], pads[1, :2] = True, True
    logits = model(model.sample(3, length, patient.seed), pads)
    where = "the softmax over a row that is masked everywhere"
    repair = "give a fully masked row zeros or uniform weights; masked_fill with the dtype's minimum, not −∞"
    if not bool(torch.isfinite(logits[1:][~pads[1:]]).all()):
        return said("FAIL", "with pads in the batch logits of real tokens are not finite", where=where, repair=repair)
    if not bool(torch.isfinite(logits).all()):
        return said("FAIL", "a row that is masked everywhere gives NaN or infinity", where=where, repair=repair)
    logits[1:][~pads[1:]].square().sum().backward()
    wrong = [n for n, p in model.module.named_parameters() if p.grad is not None and not bool(p.grad.isfinite().all())]
    if wrong:
        return said("FAIL", f"pads make gradients NaN, first of {wrong[0]}", where=wrong[0], repair=repair)
    return said("PASS", "a fully masked row is finite, and so are gradients")
