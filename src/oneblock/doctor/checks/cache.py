"""K1, K2, K3: with a cache as without one, in every form of feeding."""

from __future__ import annotations

import torch

from oneblock.doctor.checks.check import BAD, GOOD, judged, said, skip
from oneblock.doctor.finding import Finding
from oneblock.doctor.patient import Patient, difference
from oneblock.doctor.target import Target

REPAIR = (
    "with a cache positions go on where it ends, new keys are joined behind the old ones, and the mask is aligned at "
    "its bottom right"
)


def one_by_one(patient: Patient) -> Finding:
    """K1: tokens one at a time through the cache give the logits of one pass; a second text too."""
    if not patient.target.caches:
        return skip("it has no cache")
    model, length = patient.stirred, min(13, patient.target.max_len)
    first = _gap(model, length, [1] * length, patient.seed)
    prompt = _gap(model, length, [length - 3, 1, 1, 1], patient.seed + 1)
    value = max(first, prompt)
    wrong = "decoding with the cache differs from one pass without it"
    if value > BAD:
        wrong += f"; from token {_first_wrong(model, length, patient.seed)} on"
    return judged(value, "cached, token by token, is as uncached", wrong, where="the cache", repair=REPAIR)


def chunks(patient: Patient) -> Finding:
    """K2: chunks of 1, 2 and 7 behind 64 tokens in the cache (as many as fit)."""
    if not patient.target.caches:
        return skip("it has no cache")
    sizes = [1, 2, 7]
    before = min(64, patient.target.max_len - sum(sizes))
    if before < 1:
        return skip("its context is too short")
    model = patient.stirred
    value = _gap(model, before + sum(sizes), [before, *sizes], patient.seed)
    wrong = "several tokens fed at once behind a filled cache differ from one pass without it"
    repair = "a chunk needs a causal mask of its own behind the cached keys: " + REPAIR
    return judged(value, "chunks behind a filled cache are as uncached", wrong, where="chunks of 2, 7", repair=repair)


def positions(patient: Patient) -> Finding:
    """K3: does the position advance with the cache? The same last token after 3 and after 6 equal tokens."""
    target, model = patient.target, patient.stirred
    if not target.caches:
        return skip("it has no cache")
    if target.max_len < 8 or target.takes != "tokens":
        return skip("its context is too short")
    token, last = model.sample(1, 2, patient.seed).unbind(1)

    def after(count: int, cached: bool) -> torch.Tensor:
        text = torch.cat([token.repeat(count), last]).unsqueeze(0)
        return (model.cached(list(text.split(1, dim=1))) if cached else model(text))[:, -1]

    free = difference(after(6, False), after(3, False))
    kept = difference(after(6, True), after(3, True))
    gap = max(difference(after(n, True), after(n, False)) for n in (3, 6))
    more = {"value": kept, "threshold": free, "source": "the move without a cache"}
    if gap <= GOOD:
        return said("PASS", "the position of a token is the same with the cache", **more)
    if kept <= GOOD < free:
        return said("FAIL", "positions do not advance with the cache", where="positions", repair=REPAIR, **more)
    return said("FAIL", f"behind a cache a token stands elsewhere, or sees others ({gap:.1e})", repair=REPAIR, **more)


def _gap(model: Target, length: int, sizes: list[int], seed: int) -> float:
    x = model.sample(2, length, seed)
    whole, parts = model(x), model.cached(list(x.split(sizes, dim=1)))
    # Some answer for the last token of a chunk only.
    if parts.shape[1] != whole.shape[1] and parts.shape[1] == len(sizes):
        whole = whole[:, torch.tensor(sizes).cumsum(0) - 1]
    return difference(parts, whole)


def _first_wrong(model: Target, length: int, seed: int) -> int:
    x = model.sample(2, length, seed)
    whole, parts = model(x), model.cached(list(x.split(1, dim=1)))
    if parts.shape != whole.shape:
        return 0
    return next((t for t in range(length) if difference(parts[:, t], whole[:, t]) > GOOD), 0)
