"""The layers of a model that is not ours: found, called again, silenced; and what looks like a norm."""

from __future__ import annotations

import copy
import itertools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from oneblock.doctor.calling import CACHES
from oneblock.doctor.target import Target

MOST = 4
"""So many lists of modules are tried, the largest first."""


@dataclass(frozen=True)
class Called:
    """One block of a model with what it was given: `run(x)` calls it again, `given` is its x."""

    name: str
    block: nn.Module
    given: Tensor
    out: Tensor
    args: tuple[Any, ...]
    kwargs: dict[str, Any]

    def run(self, x: Tensor, block: nn.Module | None = None) -> Tensor:
        """The stream after the block."""
        args, kwargs = self.args, dict(self.kwargs)
        if args:
            args = (x, *(None if hasattr(each, "get_seq_length") else each for each in args[1:]))
        else:
            kwargs["hidden_states" if "hidden_states" in kwargs else next(iter(kwargs))] = x
        for name in CACHES:
            if name in kwargs:
                kwargs[name] = None
        answer = (block or self.block)(*args, **kwargs)
        return answer if isinstance(answer, Tensor) else next(p for p in answer if isinstance(p, Tensor))


def blocks(target: Target, x: Tensor) -> list[Called]:
    """The layers of a model, each as it was called: the largest list of modules of one class that maps B × T × D.

    A list of branches (all attentions, all feed-forwards, with the residuals in the loop around them) is none.
    """
    lists: list[list[tuple[str, nn.Module]]] = []
    if target.adapter and hasattr(target.thing, "blocks"):
        given = target.thing.blocks() if callable(target.thing.blocks) else target.thing.blocks
        lists = [[(f"blocks.{i}", each) for i, each in enumerate(given) if isinstance(each, nn.Module)]]
    named = bool(lists and lists[0])
    for path, module in target.module.named_modules():
        if isinstance(module, nn.ModuleList | nn.Sequential) and len(module) and not named:
            inside = [(f"{path}.{name}", each) for name, each in module.named_children()]
            alike = len({type(each) for _, each in inside}) == 1 and any(p.dim() > 1 for p in inside[0][1].parameters())
            lists += [inside] if alike else []
    lists.sort(key=lambda inside: -sum(p.numel() for _, m in inside for p in m.parameters()))
    for inside in lists[:MOST]:
        calls = _calls(target, x, inside)
        # What blocks write is what the next one reads, or they norm what they read; a branch does neither.
        chained = any(torch.equal(a.out, b.given) for a, b in itertools.pairwise(calls) if a.out.shape == b.given.shape)
        if calls and (named or chained or any(norms(each.block) for each in calls)):
            return calls
    return []


def _calls(target: Target, x: Tensor, inside: list[tuple[str, nn.Module]]) -> list[Called]:
    calls: list[Called] = []

    def note(name: str) -> Callable[..., None]:
        def hook(module: nn.Module, args: Any, kwargs: Any, answer: Any) -> None:
            tensors = [t for t in (*args, *kwargs.values()) if isinstance(t, Tensor) and t.is_floating_point()]
            out = answer if isinstance(answer, Tensor) else next((p for p in answer if isinstance(p, Tensor)), None)
            if tensors and out is not None and tensors[0].dim() == 3 and out.shape == tensors[0].shape:
                calls.append(Called(name, module, tensors[0].clone(), out.clone(), args, kwargs))

        return hook

    handles = [module.register_forward_hook(note(name), with_kwargs=True) for name, module in inside]
    try:
        target(x)
    finally:
        for handle in handles:
            handle.remove()
    return calls


def silenced(block: nn.Module) -> nn.Module:
    """A copy whose branches give 0: matrices and their biases zeroed, norms left."""
    made = copy.deepcopy(block)
    with torch.no_grad():
        for module in made.modules():
            own = [p for p in module.parameters(recurse=False) if p.is_floating_point()]
            if any(p.dim() >= 2 for p in own):
                for p in own:
                    p.zero_()
    return made


def norms(module: nn.Module) -> list[tuple[str, nn.Module]]:
    """Modules that look like norms: named so, with vectors only."""
    found = []
    for name, each in module.named_modules():
        last = f"{type(each).__name__} {name.rpartition('.')[2]}".lower()
        plain = all(p.dim() <= 1 for p in each.parameters()) and not any(True for _ in each.children())
        if plain and ("norm" in last or "ln" in last.split("_")) and any(True for _ in each.parameters()):
            found.append((name, each))
    return found
