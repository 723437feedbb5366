"""K1, K2, K3: with a cache as without one, in every form of feeding."""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import torch
from torch import nn

from oneblock.doctor.calling import cache_of, logits_of
from oneblock.doctor.checks.check import BAD, GOOD, judged, said, skip
from oneblock.doctor.finding import Finding
from oneblock.doctor.lines import as_last, parting_line
from oneblock.doctor.locate import events, joined, line_of, parting
from oneblock.doctor.patient import Patient, difference
from oneblock.doctor.target import Target

ROOM = 1000
REPAIR = (
    "with a cache positions go on where it ends, new keys are joined behind the old ones, and the mask is aligned at "
    "its bottom right"
)


Ask = Callable[[Patient], Finding]


def with_room(ask: Ask) -> Ask:
    """A FAIL of experts with few places, counted anew in each call, is a WARN if with room for all there is none."""

    def asked(patient: Patient) -> Finding:
        found = ask(patient)
        if found.status != "FAIL":
            return found
        roomy, lifted = patient.copy(), False
        for each in [*roomy.module.modules(), *(m.config for m in roomy.module.modules() if hasattr(m, "config"))]:
            for name, value in list(getattr(each, "__dict__", {}).items()):
                if "capacity" in name.lower() and type(value) in (int, float):
                    setattr(each, name, ROOM)
                    lifted = True
        if not lifted:
            return found
        more = {"seed": patient.seed, "expect": patient.expect, "again": None}
        if ask(Patient(roomy, **more)).status == "FAIL":  # type: ignore[arg-type]
            return found
        return replace(
            found, status="WARN", message=f"places at experts are counted anew in each call: {found.message}"
        )

    return asked


@with_room
def one_by_one(patient: Patient) -> Finding:
    """K1: tokens one at a time through the cache give the logits of one pass; a second text too."""
    if not patient.target.caches:
        return skip("it has no cache")
    model, length = patient.stirred, min(13, patient.target.max_len)
    try:
        first = _gap(model, length, [1] * length, patient.seed)
    except (RuntimeError, IndexError, ValueError) as error:
        if not (model.calling.use_cache and model.calling.cache == "past_key_values"):
            raise
        last = (str(error).strip().splitlines() or [type(error).__name__])[-1][:120]
        return said("FAIL", f"it cannot go on from the cache that it gives: {last}", where="the cache", repair=REPAIR)
    prompt = _gap(model, length, [max(1, length - 3), *[1] * min(3, length - 1)], patient.seed + 1)
    forms = {"": max(first, prompt), **_other_forms(model, length, patient.seed)}
    value = max(forms.values())
    wrong = "decoding with the cache differs from one pass without it"
    if forms[""] > BAD:
        wrong += f"; from token {_first_wrong(model, length, patient.seed)} on"
    elif value > BAD:
        wrong += f": {', '.join(name for name, gap in forms.items() if gap > BAD)}"
    twice = _twice(model, length, patient.seed) if value <= BAD else 0.0
    if twice > BAD:
        note = f"the caller's cache is changed in place: a second step from it answers otherwise ({twice:.1e})"
        return said("WARN", note, value=twice, threshold=BAD, where="the cache", repair="give a new list, not the old")
    where = _where(model, length, patient.seed) if forms[""] > BAD else "the cache"
    also = "".join(f", {name} too" for name in forms if name)
    return judged(value, f"cached, token by token, is as uncached{also}", wrong, where=where, repair=REPAIR)


def _twice(model: Target, length: int, seed: int) -> float:
    """How far the second of two steps from one past is from the first; 0 of a cache that is an object of its own."""
    if model.adapter or model.calling.source or not model.calling.cache:
        return 0.0
    more: dict[str, Any] = {"use_cache": True} if model.calling.use_cache else {}
    x = model.sample(2, length, seed)
    try:
        past = cache_of(model.ask(x[:, :-1], **more))
        if not isinstance(past, list | tuple | dict):
            return 0.0
        more[model.calling.cache] = past
        first, second = (logits_of(model.ask(x[:, -1:], **more)) for _ in range(2))
    except Exception:
        return 0.0
    return difference(second, first)


def _other_forms(model: Target, length: int, seed: int) -> dict[str, float]:
    """What else a cache may be: of a fixed size, cut back and gone on with, behind a padded prompt."""
    found: dict[str, float] = {}
    for name, ask in (("a static cache", _static), ("a cropped cache", _cropped), ("a padded prompt", _padded)):
        try:
            value = ask(model, length, seed)
        except Exception:
            continue
        if value is not None:
            found[name] = value
    return found


def _static(model: Target, length: int, seed: int) -> float | None:
    """Of transformers' classes: all room made beforehand."""
    config = getattr(model.thing, "config", None)
    if not hasattr(config, "model_type") or not model.calling.use_cache or model.calling.source:
        return None
    from transformers import StaticCache

    room = StaticCache(config=config, max_cache_len=length + 5)
    x, outs = model.sample(2, length, seed), []
    for chunk in x.split([length - 2, 1, 1], dim=1):
        outs.append(logits_of(model.ask(chunk, use_cache=True, **{model.calling.cache: room})))
    return difference(torch.cat(outs, dim=1), model(x))


def _cropped(model: Target, length: int, seed: int) -> float | None:
    """Five tokens too many, taken back; then on, as if they had never been."""
    if isinstance(model.thing, nn.Module) and type(model.thing).__module__.startswith("oneblock.models"):
        return None
    if model.adapter or model.calling.source or length < 9:
        return None
    more: dict[str, Any] = {"use_cache": True} if model.calling.use_cache else {}
    x, wrong = model.sample(2, length, seed), model.sample(2, 5, seed + 1)
    keep = length - 4
    answer = model.ask(torch.cat([x[:, :keep], wrong], dim=1)[:, :length], **more)
    cache = cropped(cache_of(answer), keep, min(length, keep + 5))
    if cache is None:
        return None
    rest = logits_of(model.ask(x[:, keep:], **more, **{model.calling.cache: cache}))
    whole = model(x)[:, keep:]
    return difference(rest, whole[:, -rest.shape[1] :])


def cropped(cache: Any, keep: int, filled: int) -> Any:
    """A cache with its first `keep` positions only; None where nobody can say how. Tuples and lists of tensors too."""
    if hasattr(cache, "crop") and hasattr(cache, "get_seq_length"):
        for count in (keep - filled, filled - keep, keep):
            trial = copy.deepcopy(cache)
            try:
                trial.crop(count)
            except Exception:
                continue
            if int(trial.get_seq_length()) == keep:
                return trial
        return None
    if isinstance(cache, torch.Tensor):
        axes = [axis for axis, size in enumerate(cache.shape) if size == filled and axis >= 1]
        return cache.narrow(axes[0], 0, keep) if len(axes) == 1 else None
    if isinstance(cache, list | tuple):
        parts = [cropped(part, keep, filled) for part in cache]
        return None if any(part is None for part in parts) else type(cache)(parts)
    return None


def _padded(model: Target, length: int, seed: int) -> float | None:
    """One row padded on the left; cached against one pass with the same pads."""
    if not model.masks or model.adapter:
        return None
    x, pads = model.sample(2, length, seed), torch.zeros(2, length, dtype=torch.bool)
    pads[0, :2] = True
    sizes = [length - 3, 1, 1, 1]
    whole, parts = model(x, pads), model.cached(list(x.split(sizes, dim=1)), pads[:, : sizes[0]])
    if parts.shape != whole.shape:
        return None
    return max(difference(parts[1], whole[1]), difference(parts[0, 2:], whole[0, 2:]))


def _where(model: Target, length: int, seed: int) -> str:
    """The first module that answers otherwise with the cache though it is given the same."""
    x = model.sample(2, length, seed)
    try:
        whole = joined(events(model.module, lambda: model(x)))
        parts = joined(events(model.module, lambda: model.cached(list(x.split(1, dim=1)))))
    except Exception:
        return "the cache"

    def keep(tensor: torch.Tensor) -> torch.Tensor | None:
        return tensor if tensor.dim() == 3 and tensor.shape[1] == length else None

    line = _line(model, x)
    if line:
        return line
    name = parting(whole, parts, keep)
    return "the cache" if name is None else line_of(model.module, name)


def _line(model: Target, x: torch.Tensor) -> str:
    """Where the first token that is answered otherwise parts from one pass over the text up to it."""
    if model.adapter or not model.calling.cache:
        return ""
    t = next((n for n in range(1, x.shape[1]) if _step_gap(model, x[:, : n + 1]) > GOOD), 0)
    more: dict[str, Any] = {"use_cache": True} if model.calling.use_cache else {}
    if not t:
        return ""
    before, last = x[:, :t], x[:, t : t + 1]
    made = [copy.deepcopy(cache_of(_fed(model, before))) for _ in range(2)]

    def step() -> Any:
        return model.ask(last, **more, **{model.calling.cache: made[1]})

    return parting_line(model.module, [lambda: model.ask(x[:, : t + 1], **more), step], as_last)


def _fed(model: Target, x: torch.Tensor) -> Any:
    """The answer to the last of some tokens that were fed one by one."""
    more: dict[str, Any] = {"use_cache": True} if model.calling.use_cache else {}
    answer, cache = None, None
    for token in x.split(1, dim=1):
        answer = model.ask(token, **more, **({model.calling.cache: cache} if cache is not None else {}))
        cache = cache_of(answer)
    return answer


def _step_gap(model: Target, x: torch.Tensor) -> float:
    return difference(logits_of(_fed(model, x))[:, -1], model(x)[:, -1])


@with_room
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
    where = "chunks of 2, 7"
    if value > BAD and _gap(model, min(9, before + 3), [1] * min(9, before + 3), patient.seed) > BAD:
        where = f"{_where(model, min(9, before + 3), patient.seed)}, {where}"
    return judged(value, "chunks behind a filled cache are as uncached", wrong, where=where, repair=repair)


@with_room
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
    more: dict[str, Any] = {"value": kept, "threshold": free, "source": "the move without a cache"}
    if gap <= GOOD:
        return said("PASS", "the position of a token is the same with the cache", **more)
    if kept <= GOOD < free:
        return said(
            "FAIL",
            "positions do not advance with the cache",
            where=_where(model, 7, patient.seed),
            repair=REPAIR,
            **more,
        )
    more["where"] = _where(model, 7, patient.seed)
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
