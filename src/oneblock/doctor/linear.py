"""Linear maps that follow upon one another with nothing between, seen as they run."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from oneblock.doctor.target import Target


def maps_in_a_row(target: Target, seed: int) -> tuple[str, str] | None:
    """(up, down): a linear layer that is given just what a wider one gave, so that nothing is gained by its width.

    What is narrower in between, as LoRA is and as heads of low rank are, is there for its low rank.
    """
    made: dict[int, tuple[str, nn.Linear, Tensor]] = {}
    found: list[tuple[str, str]] = []

    def before(name: str) -> Callable[..., None]:
        def hook(module: nn.Linear, args: Any) -> None:
            first = made.get(args[0].data_ptr()) if args and isinstance(args[0], Tensor) else None
            if first is None:
                return
            up, wide, out = first
            # Work in place keeps the address; its numbers it does not.
            same = out.shape == args[0].shape and torch.equal(out, args[0])
            if same and wide.out_features > max(wide.in_features, module.out_features):
                found.append((up, name))

        return hook

    def after(name: str) -> Callable[..., None]:
        def hook(module: nn.Linear, args: Any, out: Tensor) -> None:
            made[out.data_ptr()] = (name, module, out.clone())
            kept.append(out)

        return hook

    kept: list[Tensor] = []
    handles = []
    for name, each in target.module.named_modules():
        if type(each) is nn.Linear:
            handles += [each.register_forward_pre_hook(before(name)), each.register_forward_hook(after(name))]
    try:
        with torch.no_grad():
            target(target.sample(2, min(5, target.max_len), seed))
    finally:
        for handle in handles:
            handle.remove()
    return found[0] if found else None
