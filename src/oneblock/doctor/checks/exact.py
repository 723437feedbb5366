"""What a resampled token cannot show: gradients on the embeddings, which are exactly zero where nothing is seen.

A difference of answers is told from rounding at one part in 10⁵; a mask of −20 lets through one part in 10⁹. The
gradient of an answer with respect to a token it must not see is 0, to the last bit, under a mask that is one.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from oneblock.doctor.calling import logits_of, seeded
from oneblock.doctor.checks.check import BAD
from oneblock.doctor.patient import Patient, difference
from oneblock.doctor.target import Target

EXACT = 1e-12
"""Of the largest gradient, in float64: beyond rounding where a sum over tokens is taken in another order."""


def later(patient: Patient) -> float | None:
    """max|∂ answers up to t / ∂ embeddings after t| over that up to t; None where it cannot be asked."""
    length = min(11, patient.target.max_len)
    t = length // 2
    return _ratio(patient, 1, length, lambda answer: answer[:, : t + 1], lambda grad: (grad[:, t + 1 :], grad))


def other_rows(patient: Patient) -> float | None:
    """max|∂ answers of row 0 / ∂ embeddings of the others| over that of its own; None where it cannot be asked."""
    length = min(7, patient.target.max_len)
    return _ratio(patient, 3, length, lambda answer: answer[:1], lambda grad: (grad[1:], grad))


def unlike(patient: Patient) -> float:
    """How far an adapter's `logits_from_embeds(embed(ids))` is from its `logits(ids)`; 0 where it lacks one of them."""
    model = patient.stirred
    if not by_embeddings(model):
        return 0.0
    x = model.sample(2, min(7, model.max_len), patient.seed)
    return difference(logits_of(model.thing.logits_from_embeds(model.thing.embed(x))), model(x))


def by_embeddings(target: Target) -> bool:
    """Whether an adapter has both `embed(ids)` and `logits_from_embeds(embeddings)`."""
    return target.adapter and all(callable(getattr(target.thing, n, None)) for n in ("embed", "logits_from_embeds"))


def _ratio(patient: Patient, batch: int, length: int, asked: Any, parts: Any) -> float | None:
    if patient.dtype != torch.float64 or patient.target.takes != "tokens" or length < 3:
        return None
    model = patient.stirred
    x = model.sample(batch, length, patient.seed)
    try:
        with torch.enable_grad():
            leaves, answer = embedded(model, x)
            if not leaves or answer.dim() != 3 or answer.shape[:2] != x.shape:
                return None
            kept = asked(answer)
            noise = torch.randn(kept.shape, generator=seeded(patient.seed), dtype=torch.float64).to(kept.dtype)
            grads = torch.autograd.grad((kept * noise).sum(), leaves, allow_unused=True)
    except Exception:
        return None
    pairs = [tuple(float(part.abs().max()) for part in parts(grad)) for grad in grads if grad is not None]
    largest = max((own for _, own in pairs), default=0.0)
    return max(other for other, _ in pairs) / largest if largest else None


def embedded(model: Target, x: Tensor) -> tuple[list[Tensor], Tensor]:
    """(what the token ids become, as leaves of a graph; the answer made of them). No leaves where none was seen."""
    if by_embeddings(model):
        leaf = model.thing.embed(x).detach().requires_grad_()
        return [leaf], logits_of(model.thing.logits_from_embeds(leaf))
    leaves: list[Tensor] = []

    def hook(module: nn.Module, args: tuple[Any, ...], out: Any) -> Tensor | None:
        ids = args[0] if args else None
        known = isinstance(ids, Tensor) and ids.shape == x.shape and torch.equal(ids, x)
        if not known or not isinstance(out, Tensor) or out.dim() != 3 or not out.is_floating_point():
            return None
        leaves.append(out.detach().requires_grad_())
        return leaves[-1]

    ends = [each for each in model.module.modules() if not any(each.children())]
    handles = [each.register_forward_hook(hook) for each in ends]
    try:
        answer = model(x)
    finally:
        for handle in handles:
            handle.remove()
    return leaves, answer


def adapter_at_odds(patient: Patient) -> str:
    """What is wrong with an adapter's own embeddings, as words; "" where nothing is."""
    off = unlike(patient)
    return f"logits_from_embeds(embed(ids)) is not logits(ids) (difference {off:.1e})" if not off <= BAD else ""
