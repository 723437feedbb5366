"""Another model of the same class, made from what a model in hand keeps of how it was made."""

from __future__ import annotations

import copy
import inspect
from collections.abc import Callable
from typing import Any

from torch import Tensor, nn

MOST = 4_000_000
"""Larger ones are not made a second time unasked."""


def maker(thing: Any) -> Callable[[], Any] | None:
    """What calls the class of a module once more with the arguments that it keeps under their own names.

    `__init__(self, width, heads=4)` with `self.width` and `self.heads`; None where a needed one is not kept, or is a
    module or a tensor. It is a guess: whoever uses it asks whether parts and sizes are the same.
    """
    kind = type(thing)
    if not isinstance(thing, nn.Module) or kind.__module__.startswith("torch.") or kind.__init__ is nn.Module.__init__:
        return None
    if sum(p.numel() for p in thing.parameters()) > MOST:
        return None
    try:
        parameters = list(inspect.signature(kind).parameters.values())
    except (TypeError, ValueError):
        return None
    places, named = [], {}
    for each in parameters:
        if each.kind in (each.VAR_POSITIONAL, each.VAR_KEYWORD):
            continue
        kept = next((n for n in (each.name, f"_{each.name}") if n in vars(thing)), "")
        if not kept:
            if each.default is each.empty:
                return None
            continue
        value = vars(thing)[kept]
        if isinstance(value, nn.Module | Tensor):
            return None
        if each.kind is each.POSITIONAL_ONLY:
            places.append(value)
        else:
            named[each.name] = value
    return lambda: kind(*copy.deepcopy(places), **copy.deepcopy(named))
