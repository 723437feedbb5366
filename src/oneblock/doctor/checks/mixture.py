"""For M1: a mixture whose experts are equal is one expert, and an expert that is chosen is heard."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from oneblock.doctor.target import Target

Choose = Callable[[Target, Tensor], list[tuple[Tensor, Tensor]]]
ALIKE, SOME = 1e-4, 0.02


def lists(module: nn.Module) -> list[tuple[str, nn.Module, nn.ModuleList]]:
    """(name, mixture, its experts) of every list of experts."""
    found = []
    for name, each in module.named_modules():
        for child, inside in each.named_children():
            experts = isinstance(inside, nn.ModuleList) and "expert" in child.lower() and len(inside) > 1
            if experts and len({type(one) for one in inside}) == 1:
                found.append((name, each, inside))
    return found


def stacked(module: nn.Module) -> list[tuple[str, nn.Module]]:
    """(name, experts) of every module that holds its experts' matrices as slices of three-dimensional ones."""
    found = []
    for name, each in module.named_modules():
        own = list(each.parameters(recurse=False))
        named = "expert" in f"{name} {type(each).__name__}".lower() and any(p.dim() == 3 for p in own)
        if named and len({len(p) for p in own}) == 1 and len(own[0]) > 1:
            found.append((name, each))
    return found


def unequal_slices(model: Target, x: Tensor, choose: Choose) -> str:
    """`unequal` of experts that are slices: called once more as one expert of weight 1, with what they were given."""
    trial = model.on(copy.deepcopy(model.thing))
    parts = stacked(trial.module)
    calls: list[tuple[str, nn.Module, tuple[Any, ...], Tensor]] = []
    with torch.no_grad():
        for _, experts in parts:
            for p in experts.parameters(recurse=False):
                p.copy_(p[:1].expand_as(p))
    handles = []
    for name, experts in parts:

        def hook(module: nn.Module, args: Any, out: Any, name: str = name) -> None:
            calls.append((name, module, args, out))

        handles.append(experts.register_forward_hook(hook))
    try:
        chosen = choose(trial, x)
    finally:
        for handle in handles:
            handle.remove()
    if len(calls) != len(parts) or len(chosen) != len(calls):
        return ""
    for (name, experts, args, made), (scores, picked) in zip(calls, chosen, strict=True):
        kinds = ["index" if a.dtype == torch.long else "flat" for a in args if isinstance(a, Tensor)]
        if len(kinds) != len(args) or kinds != ["flat", "index", "flat"] or not isinstance(made, Tensor):
            continue
        one = experts(args[0], torch.zeros_like(args[1][:, :1]), torch.ones_like(args[2][:, :1]))
        if one.shape != made.shape or len(scores) != len(made):
            continue
        ratio = (made * one).sum(-1) / one.square().sum(-1)
        alike = float((made - ratio[:, None] * one).abs().max()) <= ALIKE * float(one.abs().max())
        if alike and not any(_constant(ratio / wanted) for wanted in _weights(scores, picked)):
            return f"with equal experts {name} is not one expert: weights do not add up, {_words(ratio)} of it"
    return ""


def idle(model: Target, x: Tensor, choose: Choose) -> str:
    """Experts that the router chooses and whose answers are lost, as words; "" where there are none."""
    trial = model.on(copy.deepcopy(model.thing))
    mixtures: list[tuple[str, list[list[Tensor]]]] = []
    trial.module.requires_grad_(True)
    for name, _, experts in lists(trial.module):
        mixtures.append((name, [[*one.parameters()] for one in experts]))
    sliced = stacked(trial.module) if not mixtures else []
    with torch.no_grad():
        chosen = choose(trial, x)
    if len(chosen) != len(mixtures or sliced) or not chosen:
        return ""
    trial.module.zero_grad(set_to_none=True)
    with torch.enable_grad():
        answer = trial(x)
        noise = torch.randn(answer.shape, generator=torch.Generator().manual_seed(7)).to(answer.dtype)
        (answer * noise).sum().backward()
    moved = [(name, [any(p.grad is not None and bool(p.grad.any()) for p in one) for one in e]) for name, e in mixtures]
    for name, module in sliced:
        grads = [p.grad.flatten(1).any(1) for p in module.parameters(recurse=False) if p.grad is not None]
        moved.append((name, torch.stack(grads).any(0).tolist() if grads else []))
    for (name, alive), (_, picked) in zip(moved, chosen, strict=True):
        share = torch.bincount(picked.flatten(), minlength=len(alive)).double() / picked.numel()
        lost = [str(i) for i, one in enumerate(alive) if not one and float(share[i]) > SOME]
        if any(alive) and lost:
            return f"experts that the router chooses change no answer: {', '.join(lost)} of {len(alive)} at {name}"
    return ""


def unequal(model: Target, x: Tensor, choose: Choose) -> str:
    """A mixture that with equal experts is not one of them times a weight that its router explains."""
    trial = model.on(copy.deepcopy(model.thing))
    for _, _, experts in lists(trial.module):
        first = experts[0].state_dict()
        if any(one.state_dict().keys() != first.keys() for one in experts):
            return ""
        for one in experts:
            one.load_state_dict(first)
    calls: list[tuple[str, nn.Module, Tensor, Tensor]] = []
    mixtures = lists(trial.module)

    def note(name: str, expert: nn.Module) -> Callable[..., None]:
        def hook(_: nn.Module, args: Any, out: Any) -> None:
            made = out if isinstance(out, Tensor) else out[0]
            if args and isinstance(args[0], Tensor) and args[0].shape == made.shape:
                calls.append((name, expert, args[0], made))

        return hook

    handles = [mixture.register_forward_hook(note(name, experts[0])) for name, mixture, experts in mixtures]
    try:
        chosen = choose(trial, x)
    finally:
        for handle in handles:
            handle.remove()
    if len(calls) != len(mixtures) or len(chosen) != len(calls):
        return ""
    for (name, expert, given, made), (scores, picked) in zip(calls, chosen, strict=True):
        try:
            one = expert(given.reshape(-1, given.shape[-1]))
        except Exception:
            continue
        flat = made.reshape(one.shape)
        ratio = (flat * one).sum(-1) / one.square().sum(-1)
        apart = float((flat - ratio[:, None] * one).abs().max()) if len(scores) == len(ratio) else float("inf")
        if apart > ALIKE * float(one.abs().max()):
            continue
        if not any(_constant(ratio / wanted) for wanted in _weights(scores, picked)):
            return f"with equal experts {name} is not one expert: weights do not add up, {_words(ratio)} of it"
    return ""


def _weights(scores: Tensor, picked: Tensor) -> list[Tensor]:
    """What the weights of the chosen may add up to, for every token: 1, or what a softmax or a sigmoid gave them."""
    forms = (scores, scores.softmax(-1), scores.sigmoid())
    return [torch.ones_like(scores[:, 0]), *(form.gather(-1, picked).sum(-1) for form in forms)]


def _constant(ratio: Tensor) -> bool:
    return bool(ratio.isfinite().all()) and float(ratio.max() - ratio.min()) <= ALIKE * float(ratio.abs().max())


def _words(ratio: Tensor) -> str:
    return f"{float(ratio.min()):.2f} to {float(ratio.max()):.2f}"
