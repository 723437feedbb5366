"""The router: one logit for each expert."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from oneblock.nn.dropout import noise


class Router(nn.Linear):
    """logits = x · weightᵀ, in float32 or wider whatever the stream is in: … × D -> … × E.

    In training its input is multiplied by U(1 − jitter, 1 + jitter) (Fedus et al. 2022, appendix C). Rounding to
    bfloat16 moves tokens between experts; people get wrong that the experts' own input must not be jittered.
    """

    def __init__(self, width: int, num_experts: int, jitter: float) -> None:
        super().__init__(width, num_experts, bias=False)
        self.jitter = jitter

    def forward(self, x_BTD: Tensor) -> Tensor:
        wide_BTD = x_BTD.to(torch.promote_types(x_BTD.dtype, torch.float32))
        if self.training and self.jitter:
            wide_BTD = wide_BTD * (1 + self.jitter * 2**-31 * noise(wide_BTD).to(wide_BTD.dtype))
        with torch.autocast(x_BTD.device.type, enabled=False):
            return F.linear(wide_BTD, self.weight.to(wide_BTD.dtype))
