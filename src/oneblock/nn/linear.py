"""The linear map, and how a compiled step of decoding computes it for a single row."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn


def linear(x: Tensor, weight_ED: Tensor, bias_E: Tensor | None = None) -> Tensor:
    """x Wᵀ + b over the last dimension: … × D -> … × E.

    Compiled for one row on a CPU, the product is written as a sum, which becomes one pass over the weights together
    with what comes before and after; a library's matrix product, made for many rows, takes about twice as long.
    """
    if torch.compiler.is_compiling() and one_row(x):
        wide = torch.promote_types(x.dtype, torch.float32)
        y_E = (x.reshape(1, -1).to(wide) * weight_ED.to(wide)).sum(-1)
        if bias_E is not None:
            y_E = y_E + bias_E.to(wide)
        return y_E.to(x.dtype).view(*x.shape[:-1], -1)
    return F.linear(x, weight_ED, bias_E)


def one_row(x: Tensor) -> bool:
    """Whether it is a single row on a CPU, and no gradient is asked for."""
    return x.device.type == "cpu" and x.numel() == x.shape[-1] and not torch.is_grad_enabled()


class Linear(nn.Linear):
    """`linear` with its own weight and bias."""

    def forward(self, x: Tensor) -> Tensor:
        """… × D -> … × E."""
        return linear(x, self.weight, self.bias)
