"""The one-token step compiled: once for each structure of model, and without a look at the whole model each time."""

from __future__ import annotations

import functools
import types
from collections.abc import Callable, Hashable, Sequence
from typing import Any

import torch
from torch import Tensor

from oneblock.decoding.replay import hooked, watched
from oneblock.nn import one_token

Step = Callable[..., Tensor]

MOST = 32
"""So many structures are kept compiled; the one not used for longest goes."""


def compiled(step: Step, model: Any, *shape: int) -> Step:
    """`step(model, …)`, compiled; the same function for every model of this structure and for calls of this shape.

    torch.compile checks before each call that nothing about the model has changed: a thousand looks, which at a width
    of 256 take a quarter of a token's time. What decides is put into a key instead, once. A model with hooks may do
    anything, so it is looked at each time.
    """
    device = next(model.parameters()).device.type
    # Before anything is traced: a trace must not build it. It is part of the key, as another trace comes of it.
    native = device == "cpu" and one_token.prepare()
    alone = device == "cpu" and shape[:1] == (1,)
    return _compiled(step, device, native, alone, None if hooked(model) else (structure(model), shape))


def structure(model: Any) -> Hashable:
    """Two models of equal structure compute the same with the same weights."""
    tensors = [*model.named_parameters(), *model.named_buffers()]
    kinds = tuple((name, t.dtype, t.device, t.shape, t.stride()) for name, t in tensors)
    return model.config, repr(model), kinds


@functools.lru_cache(maxsize=MOST)
def _compiled(step: Step, device: str, native: bool, alone: bool, key: Hashable) -> Step:
    # On a CPU the kernels are called from C++ too: Python's calls would take longer than they.
    options: dict[str, Any] = {"cpp_wrapper": device == "cpu"}
    if device == "cpu":
        # A replay is of the same tensors; a look at the shape of each takes as long as a small kernel.
        options["size_asserts"] = False
    if native and _calls_directly():
        options["aot_inductor.custom_ops_to_c_shims"] = one_token.Direct(one_token.OPERATORS)
    if alone and native:
        # Beside the products of one row there is nothing that is worth waking another thread for.
        options["cpp.threads"] = 1
    if key is not None:
        options["guard_filter_fn"] = _without_the_model
    backend = watched if device == "cpu" else "inductor"
    return torch.compile(_copy(step), dynamic=False, options=options, backend=backend)


def _calls_directly() -> bool:
    # Loaded by whoever compiles.
    from torch._inductor import config

    return hasattr(config.aot_inductor, "custom_ops_to_c_shims")


def _copy(function: Any) -> Any:
    """The same function with a code object of its own: that is what torch.compile files its results under."""
    code = function.__code__.replace(co_name=function.__name__)
    return types.FunctionType(code, function.__globals__, function.__name__, function.__defaults__)


def _without_the_model(guards: Sequence[Any]) -> list[bool]:
    return [not guard.name.startswith("L['model']") for guard in guards]
