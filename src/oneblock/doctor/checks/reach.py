"""How far a leak reaches, in words: over all blocks, and in one attention alone."""

from __future__ import annotations

from oneblock.doctor.checks.check import GOOD
from oneblock.doctor.look import attentions
from oneblock.doctor.patient import Patient, difference
from oneblock.doctor.target import Target


def one_by_one(patient: Patient) -> str:
    """Blocks add their reaches up: how far ahead the weights of a single attention go."""
    x = patient.stirred.sample(1, min(9, patient.target.max_len), patient.seed)
    found = [each.weights for each in attentions(patient.stirred, x) if each.weights.dim() == 4]
    if len(found) < 2 or any(weights.shape[-1] != weights.shape[-2] for weights in found):
        return ""
    far = [max((int(s - t) for _, _, t, s in weights.nonzero()), default=0) for weights in found]
    return f" in all, {max(far)} in one attention" if max(far) > 0 else ""


ALL = "every token sees all that follow"


def reach(target: Target, seed: int, most: int = 9) -> str:
    """Which later tokens are seen, in words: one token at a time is changed."""
    length = min(most, target.max_len)
    x, seen = target.sample(1, length, seed), []
    plain, other = target(x), target.different(x, seed + 5)
    for s in range(1, length):
        changed = x.clone()
        changed[:, s] = other[:, s]
        logits = target(changed)
        seen += [(t, s) for t in range(s) if difference(logits[:, t], plain[:, t]) > GOOD]
    ahead = {s - t for t, s in seen}
    if not seen:
        return f"not within {length} tokens"
    if len(seen) == length * (length - 1) // 2:
        return ALL
    if len(ahead) < length - 1:
        return f"up to {max(ahead)} ahead"
    first = min(s - t for t, s in seen)
    return f"{len(seen)} of {length * (length - 1) // 2} pairs (query, later key), the nearest {first} ahead"
