"""O2: a training step that came with the model: what it moves, by how much, and what it leaves behind."""

from __future__ import annotations

import copy
import math
from typing import Any

import torch
from torch import Tensor

from oneblock.doctor.checks.check import BAD, EQUALITY, said, skip
from oneblock.doctor.finding import Finding
from oneblock.doctor.patient import Patient, difference
from oneblock.doctor.target import Target

LARGE, REPEATS = 0.1, 25


def own(patient: Patient) -> Finding:
    """O2: `train_step(ids)` of an adapter: every weight moves, a little; old gradients are cleared; the loss falls."""
    target = patient.target
    if not target.adapter or not callable(getattr(target.thing, "train_step", None)):
        return skip("it brings no training step of its own (an adapter's train_step(ids) -> loss)")
    if not patient.small:
        return skip("too large to train for a moment")
    model = patient.copy(None, train=True)
    x = model.sample(4, min(9, target.max_len), patient.seed)
    names = [name for name, p in model.module.named_parameters() if p.requires_grad]
    before = _weights(model)
    first = _loss(model, x, patient.seed)
    moved = {
        name: difference(after, start)
        for (name, start), after in zip(before.items(), _weights(model).values(), strict=True)
    }
    still = [name for name in names if moved[name] == 0]
    # What starts at zero has no size to hold a step against.
    sized = [moved[name] for name, start in before.items() if bool((start != 0).any())]
    more = {"value": max(sized, default=0.0), "where": still[0] if still else ""}
    if len(still) == len(names):
        return said("FAIL", "a training step moves no weight", repair="call optimizer.step() after backward()", **more)
    # Left over gradients show when the same step is taken from cleared ones.
    cleared = model.on(copy.deepcopy(model.thing))
    for p in cleared.module.parameters():
        p.grad = None
    _loss(cleared, x, patient.seed + 1)
    _loss(model, x, patient.seed + 1)
    pairs = list(zip(_weights(model).values(), _weights(cleared).values(), strict=True))
    gap = max((difference(a, b) for a, b in pairs), default=0.0)
    if gap > BAD:
        note = "a step adds its gradients to those of the step before"
        return said(
            "FAIL", note, value=gap, threshold=BAD, source=EQUALITY, where="train_step", repair="optimizer.zero_grad()"
        )
    last = first
    for number in range(REPEATS):
        last = _loss(model, x, patient.seed + 2 + number)
    wrong = [name for name, p in model.module.named_parameters() if not bool(p.isfinite().all())]
    tells = first == first
    if wrong or (tells and not math.isfinite(last)):
        return said("FAIL", f"after {REPEATS} steps numbers are not finite", where=", ".join(wrong[:3]), value=last)
    note = f"a step moves weights by up to {more['value']:.2g} of the largest; loss {first:.3f} → {last:.3f}"
    if still:
        share = f"{len(still)} of {len(names)} parameters are not moved by a step: {', '.join(still[:3])}"
        return said("FAIL", share, repair="give the optimizer every parameter: model.parameters()", **more)
    if tells and not last < first:
        wrong_way = "look at the sign of the update, the learning rate, and whether gradients are clipped after scaling"
        return said("FAIL", f"on one batch, again and again, the loss does not fall: {note}", repair=wrong_way, **more)
    if float(str(more["value"])) > LARGE:
        return said(
            "WARN", f"{note}: large steps", threshold=LARGE, repair="a smaller learning rate, a warm-up", **more
        )
    return said("PASS", note, **more)


def _weights(model: Target) -> dict[str, Tensor]:
    return {name: p.detach().clone() for name, p in model.module.named_parameters() if p.requires_grad}


def _loss(model: Target, x: Tensor, seed: int) -> float:
    torch.manual_seed(seed)
    found: Any = model.thing.train_step(x)
    return float(found.detach() if isinstance(found, Tensor) else found if found is not None else "nan")
