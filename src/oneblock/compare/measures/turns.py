"""Seconds of things done in turns: all meet the same machine, however busy it is."""

from __future__ import annotations

import math
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from oneblock.machine.device import synchronize

Do = Callable[[], object]


def in_turns(things: Mapping[str, Do], rounds: int, device: torch.device) -> dict[str, list[float]]:
    """Seconds of each thing, one for each round. Each round has all of them, the next one in the contrary order.

    A round before the first warms up and does not count. With one thread on a CPU the clock is the process's own, which
    stands still while others have the core; several threads, and a GPU, are timed by the wall's.
    """
    taken: dict[str, list[float]] = {name: [] for name in things}
    clock = time.process_time if device.type == "cpu" and torch.get_num_threads() == 1 else time.perf_counter
    order = list(things)
    for _ in range(rounds + 1):
        for name in order:
            taken[name].append(_seconds(things[name], device, clock))
        order.reverse()
    return {name: of[1:] for name, of in taken.items()}


def longer(of: Sequence[float], than: Sequence[float]) -> float:
    """ln of how much longer the one takes: the median over rounds, each compared with its own."""
    return statistics.median(math.log(a / b) for a, b in zip(of, than, strict=True))


def training_step(model: nn.Module, tokens: Tensor) -> Do:
    """A step of training on these tokens: forward, the loss of the next token, backward, AdamW."""
    within: Any = model.train()
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-4)

    def step() -> None:
        logits = within(tokens)[:, :-1].float()
        loss = nn.functional.cross_entropy(logits.flatten(0, 1), tokens[:, 1:].flatten())
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()

    return step


def forward_and_backward(layer: Callable[[Tensor], Sequence[Tensor]], x: Tensor, weights: Sequence[Tensor]) -> Do:
    """A layer alone: its outputs, then the gradient of its input and of its weights, for one of ones on the outputs."""
    x = x.detach().requires_grad_()
    above = [torch.ones_like(part) for part in layer(x)]
    return lambda: torch.autograd.grad(layer(x), [x, *weights], above)


def _seconds(thing: Do, device: torch.device, clock: Callable[[], float]) -> float:
    synchronize(device)
    began = clock()
    thing()
    synchronize(device)
    return clock() - began
