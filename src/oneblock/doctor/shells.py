"""How a shell is called: a forward of `*args, **kwargs` around another model says nothing, so it is tried."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn

from oneblock.doctor.calling import (
    CACHES,
    LABELS,
    MASKS,
    SOURCES,
    Calling,
    cache_of,
    logits_of,
    loss_of,
    read_signature,
)
from oneblock.doctor.patient import difference

IDS = ("input_ids", "idx", "ids", "tokens", "x", "src")
SOURCE = [1, 0, 1]
SAME = 1e-4


def hides(forward: Callable[..., Any]) -> bool:
    """Whether a forward takes more than it names, and names neither mask, cache, labels nor a source."""
    try:
        kinds = {each.kind for each in inspect.signature(forward).parameters.values()}
    except (TypeError, ValueError):
        return False
    open_ended = kinds & {inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD}
    found = read_signature(forward)
    return bool(open_ended) and not (found.mask or found.cache or found.labels or found.source)


@torch.no_grad()
def tried(thing: nn.Module) -> Calling:
    """The calling that works, each name by giving it: names of the model inside first, then all that are known.

    A mask counts if all-real changes nothing and hiding half changes something, or if the model inside names it; labels
    if a loss comes; a cache if it is given and taken.
    """
    found = read_signature(thing.forward)
    x = torch.tensor([[0, 1, 1, 0, 1], [1, 0, 1, 1, 0]])
    inner = _inside(thing, x)
    named = [inner.ids] if inner is not None and inner.ids and not inner.source else []
    pairs = [(inner.ids, inner.source)] if inner is not None and inner.source else list(SOURCES.items())
    ways = [Calling(ids=name) for name in dict.fromkeys([*named, found.ids, "", *IDS])]
    ways += [Calling(ids=target, source=source) for target, source in pairs]
    ways = ways[-len(pairs) :] + ways if inner is not None and inner.source else ways
    for way in ways:
        plain = _asked(thing, way, x)
        if plain is not None:
            return _with_more(thing, replace(way, tried=True), inner, x, plain)
    return found


def _with_more(thing: nn.Module, way: Calling, inner: Calling | None, x: Tensor, plain: Any) -> Calling:
    """The same calling with mask, labels, cache, positions and documents, as far as they work."""
    known = inner or Calling()
    for name in _first(known.mask, MASKS):
        size = (len(x), len(SOURCE)) if way.source else tuple(x.shape)
        real = torch.ones(size, dtype=torch.long) if MASKS[name] else torch.zeros(size, dtype=torch.bool)
        half = real.clone()
        half[:, :2] = 1 - half[:, :2] if MASKS[name] else True
        whole, hidden = _asked(thing, way, x, **{name: real}), _asked(thing, way, x, **{name: half})
        if whole is None or hidden is None or name == known.mask:
            if name == known.mask and whole is not None:
                way = replace(way, mask=name, mask_says_real=MASKS[name])
                break
            continue
        if _apart(whole, plain) <= SAME < _apart(hidden, plain):
            way = replace(way, mask=name, mask_says_real=MASKS[name])
            break
    for name in _first(known.labels, LABELS):
        answer = _asked(thing, way, x, **{name: x}) if name != way.source else None
        if answer is not None and loss_of(answer) is not None and loss_of(plain) is None:
            way = replace(way, labels=name)
            break
    for switch in ({"use_cache": True}, {}):
        first = _asked(thing, way, x, **switch)
        cache = None if first is None else cache_of(first)
        names = _first(known.cache, CACHES) if cache is not None else ()
        taken = next((n for n in names if _asked(thing, way, x[:, :1], **switch, **{n: cache}) is not None), "")
        if taken:
            way = replace(way, cache=taken, use_cache=bool(switch))
            break
    kept = {name: getattr(known, name) for name in ("positions", "documents")}
    return replace(way, **{name: value for name, value in kept.items() if value})


def _first(name: str, names: Iterable[str]) -> list[str]:
    """What the model inside names alone; all where it names nothing."""
    return [name] if name else list(names)


def _asked(thing: nn.Module, way: Calling, x: Tensor, **more: Any) -> Any:
    """What it answers, None where it raises or answers nothing that is logits."""
    given = {**({way.source: torch.tensor([SOURCE] * len(x))} if way.source else {}), **more}
    try:
        answer = thing(**{way.ids: x}, **given) if way.ids else thing(x, **given)
        logits_of(answer)
    except Exception:
        return None
    return answer


def _apart(one: Any, other: Any) -> float:
    """Of the last token, which is hidden in no row."""
    return difference(logits_of(one)[:, -1], logits_of(other)[:, -1])


def _inside(thing: nn.Module, x: Tensor) -> Calling | None:
    """The calling of the first module inside that names ids, a mask, labels or a cache; the outermost first."""
    for name, each in thing.named_modules():
        if not name or isinstance(each, nn.ModuleList | nn.ModuleDict) or hides(each.forward):
            continue
        calling = read_signature(each.forward)
        if any(isinstance(m, nn.Embedding) for m in each.modules()) and type(each) is not nn.Embedding:
            return calling
    return None
