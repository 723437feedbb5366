"""`Record`: what the layers tell about one forward pass."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor


class Routed(NamedTuple):
    """What one mixture of experts tells of one forward pass; pads are left out of all of it.

    loss:    its auxiliary losses, weighted, a scalar with a gradient
    load:    share of the tokens' choices that each expert was given, E numbers, before any was dropped; sums to 1
    dropped: share of the choices that found no place
    entropy: of the router's probabilities, mean over the tokens, in nats: ln E when it does not know
    """

    loss: Tensor
    load: Tensor
    dropped: Tensor
    entropy: Tensor


class Record:
    """Filled by the layers of the one forward pass it is given to: `model(tokens, record=record)`.

    `layers` has an entry for each mixture of experts, in the order they ran, which is that of `model.modules()`. May
    be made inside a compiled function, and returned from it.
    """

    def __init__(self) -> None:
        self.layers: list[Routed] = []

    def loss(self) -> Tensor:
        """The sum of all auxiliary losses, to be added to the task's; 0 where there are none."""
        return sum((layer.loss for layer in self.layers), start=torch.zeros(()))

    def statistics(self) -> dict[str, Tensor]:
        """Loads, dropped share and entropy of the n-th mixture as `n.load` (E numbers), `n.dropped`, `n.entropy`."""
        return {
            f"{number}.{name}": value
            for number, layer in enumerate(self.layers)
            for name, value in (("load", layer.load), ("dropped", layer.dropped), ("entropy", layer.entropy))
        }
