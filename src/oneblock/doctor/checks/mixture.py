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


def idle(model: Target, x: Tensor, choose: Choose) -> str:
    """Experts that the router chooses and whose answers are lost, as words; "" where there are none."""
    trial = model.on(copy.deepcopy(model.thing))
    mixtures = lists(trial.module)
    with torch.no_grad():
        chosen = choose(trial, x)
    if len(chosen) != len(mixtures) or not mixtures:
        return ""
    trial.module.requires_grad_(True)
    trial.module.zero_grad(set_to_none=True)
    with torch.enable_grad():
        answer = trial(x)
        noise = torch.randn(answer.shape, generator=torch.Generator().manual_seed(7)).to(answer.dtype)
        (answer * noise).sum().backward()
    for (name, _, experts), (_, picked) in zip(mixtures, chosen, strict=True):
        share = torch.bincount(picked.flatten(), minlength=len(experts)).double() / picked.numel()
        alive = [any(p.grad is not None and bool(p.grad.any()) for p in one.parameters()) for one in experts]
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
