"""Activations, by name."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import torch
import torch.nn.functional as F


def relu2(x: torch.Tensor) -> torch.Tensor:
    """max(x, 0)² (So et al. 2021, Primer)."""
    return F.relu(x).square()


def identity(x: torch.Tensor) -> torch.Tensor:
    """x; with a gate this is the bilinear feed-forward."""
    return x


ACTIVATIONS: dict[str, Callable[[torch.Tensor], torch.Tensor]] = {
    "relu": F.relu,
    "gelu": F.gelu,
    "gelu_tanh": partial(F.gelu, approximate="tanh"),
    "relu2": relu2,
    "silu": F.silu,
    "sigmoid": torch.sigmoid,
    "identity": identity,
}
