"""L1, L2: which label a logit is held against, and whether small batches add up to a large one."""

from __future__ import annotations

import copy
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from oneblock.doctor.calling import seeded
from oneblock.doctor.checks.check import BAD, EQUALITY, judged, said, skip
from oneblock.doctor.finding import Finding
from oneblock.doctor.look import names_of, place
from oneblock.doctor.noting import Noting
from oneblock.doctor.patient import Patient, difference
from oneblock.doctor.target import Target

CLOSE = 1e-5
SHIFTS = (-1, 0, 1, 2)


def shifts_of(model: Target, seed: int) -> tuple[int | None, str]:
    """(by how much the model's own loss shifts its labels, what else it does); None where no shift explains it."""
    x = model.sample(3, min(9, model.max_len), seed)
    labels = torch.randint(0, model.vocab_size, x.shape, generator=seeded(seed + 1))
    loss, logits = model.loss(x, labels), model(x)
    if loss is None or not loss.is_floating_point():
        raise TypeError("it gives no loss")
    for note, made in (("", logits), ("softmax before the cross-entropy", logits.softmax(-1))):
        found = {shift: float(cross_entropy(made, labels, shift)) for shift in SHIFTS}
        best = min(found, key=lambda shift: abs(found[shift] - float(loss)))
        if _near(float(loss), found[best]):
            return best, note
    turned = logits.transpose(1, 2).reshape(-1, logits.shape[-1])
    if _near(float(loss), float(F.cross_entropy(turned, labels.flatten()))):
        return 0, "softmax over the wrong axis: tokens and vocabulary are swapped before the cross-entropy"
    for shift in SHIFTS:
        if _near(float(loss), float(cross_entropy(logits, labels, shift, reduction="sum"))):
            return shift, "a sum over tokens, not their mean"
    return None, f"{float(loss):.4f}; a shift by one would be {float(cross_entropy(logits, labels, 1)):.4f}"


def labels(patient: Patient) -> Finding:
    """L1: the model's own loss against cross-entropies at shifts −1 to 2, with labels drawn at random."""
    target = patient.target
    if not target.calling.labels or target.takes != "tokens":
        return skip("it computes no loss of its own")
    shift, note = shifts_of(patient.stirred, patient.seed)
    where = loss_line(patient) or "the loss"
    name, more = target.calling.labels, {"source": "cross-entropy by hand at every shift", "where": where}
    if shift is None and note.startswith("-"):
        wrong = (
            f"the loss is below zero ({note.partition(';')[0]}), which no cross-entropy is: probabilities for logits?"
        )
        return said("FAIL", wrong, repair="cross_entropy(logits, labels), of logits and not of probabilities", **more)
    if shift is None:
        return said("WARN", f"its loss is no plain cross-entropy at any shift: {note}", **more)
    wrong = note if note.startswith("softmax") else ""
    answers = patient.stirred(patient.stirred.sample(1, min(5, target.max_len), patient.seed))
    if target.says_tokens and bool((answers >= 0).all()) and float((answers.sum(-1) - 1).abs().max()) < CLOSE:
        wrong = "what is given as logits are probabilities, of which cross-entropy takes the softmax once more"
    hugging_face = name == "labels" and target.calling.ids in ("input_ids", "decoder_input_ids")
    unknown = target.kind == "unknown" or not hugging_face
    wanted = (0, 1) if unknown else (1,) if target.kind == "causal" else (0,)
    if shift not in wanted:
        asked = " or ".join(map(str, wanted))
        wrong = f"logits at t are held against the label at t{shift:+d} and should be at t + {asked}"
    if wrong:
        repair = "loss = cross_entropy(logits[:, :-1], labels[:, 1:]), once, of logits"
        return said("FAIL", f"the loss is wrong: {wrong}", value=float(shift), repair=repair, **more)
    if hugging_face:
        counted = _ignored(patient.stirred, patient.seed, shift)
        if counted is not None:
            return said("FAIL", "labels of −100 are counted", value=counted, repair="ignore_index=-100", **more)
    if note:
        return said("INFO", f"the loss is {note}", value=float(shift), **more)
    inside = "in the model" if shift else "in the data: give targets that are already shifted"
    return said("PASS", f"labels are shifted by {shift}, {inside}", value=float(shift), **more)


def loss_line(patient: Patient) -> str:
    """Where a model's own cross-entropy is asked for; "" where it is none of torch's."""
    model = patient.stirred
    x = model.sample(2, min(5, model.max_len), patient.seed)
    try:
        with torch.no_grad(), Asked(names_of(model.module)) as asked:
            model.loss(x, x)
    except Exception:
        return ""
    return next(iter(asked.found), "")


class Asked(Noting):
    """Where a cross-entropy is asked for."""

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if getattr(func, "__name__", "") in ("cross_entropy", "nll_loss", "log_softmax"):
            self.found.append(place(self.names))
        return func(*args, **(kwargs or {}))


def _ignored(model: Target, seed: int, shift: int) -> float | None:
    """The error of a loss some labels of which are −100, if it has one."""
    x = model.sample(3, min(9, model.max_len), seed)
    labels = torch.randint(0, model.vocab_size, x.shape, generator=seeded(seed + 1))
    labels[0, 3:], labels[1, :2] = -100, -100
    loss = model.loss(x, labels)
    wanted = float(cross_entropy(model(x), labels, shift))
    return None if loss is not None and _near(float(loss), wanted) else float("nan") if loss is None else float(loss)


def accumulation(patient: Patient) -> Finding:
    """L2: the gradient of four rows is the mean of those of two and two (equal lengths, eval mode)."""
    target = patient.target
    if not target.calling.labels or target.takes != "tokens":
        return skip("it computes no loss of its own")
    model = patient.stirred.on(copy.deepcopy(patient.stirred.thing))
    x = model.sample(4, min(9, target.max_len), patient.seed)
    labels = torch.randint(0, target.vocab_size, x.shape, generator=seeded(patient.seed + 1))
    whole = _gradient(model, [(x, labels)])
    if not whole.numel():
        repair = "no detach() and no item() between logits and loss"
        return said("FAIL", "the loss has no way back to the weights: no gradient", where="the loss", repair=repair)
    parts = _gradient(model, [(x[:2], labels[:2]), (x[2:], labels[2:])])
    value = difference(parts, whole)
    if value > BAD and abs(float((parts * whole).sum() / whole.square().sum()) - 0.5) < CLOSE:
        note = "its loss is a sum: gradients grow with the batch"
        return said("INFO", note, value=value, threshold=BAD, source=EQUALITY)
    repair = "the loss is the mean over the tokens that count; nothing else in it may depend on the batch"
    return judged(value, "small batches add up to a large one", "small batches do not add up", repair=repair)


def _gradient(model: Target, batches: list[tuple[Tensor, Tensor]]) -> Tensor:
    for p in model.module.parameters():
        p.grad = None
    for x, labels in batches:
        loss = model.loss(x, labels)
        assert loss is not None
        (loss / len(batches)).backward()
    grads = [p.grad.flatten() for p in model.module.parameters() if p.grad is not None]
    return torch.cat(grads) if grads else torch.zeros(0)


def cross_entropy(logits: Tensor, labels: Tensor, shift: int, reduction: str = "mean") -> Tensor:
    """Logits at t against labels at t + shift; −100 is left out."""
    length = labels.shape[1]
    first, last = max(0, -shift), length - max(0, shift)
    kept = logits[:, first:last].flatten(0, 1)
    return F.cross_entropy(kept, labels[:, first + shift : last + shift].flatten(), reduction=reduction)


def _near(found: float, wanted: float) -> bool:
    return abs(found - wanted) <= CLOSE * max(1.0, abs(wanted))
