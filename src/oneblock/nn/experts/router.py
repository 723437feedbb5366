"""The router: one logit for each expert."""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from oneblock.nn.dropout import noise


def wide(dtype: torch.dtype) -> torch.dtype:
    """float32, or the type itself where it is wider."""
    return torch.promote_types(dtype, torch.float32)


def narrow(dtype: torch.dtype) -> torch.dtype:
    """bfloat16, whatever the type is."""
    return torch.bfloat16


PRECISIONS: dict[str, Callable[[torch.dtype], torch.dtype]] = {"float32": wide, "bfloat16": narrow}
"""`router_precision` -> the type of the stream -> that of the router's arithmetic."""


class Router(nn.Linear):
    """logits = x · weightᵀ, in float32 or wider whatever the stream is in, or in bfloat16: … × D -> … × E.

    In training its input is multiplied by U(1 − jitter, 1 + jitter) (Fedus et al. 2022, appendix C). Rounding to
    bfloat16 moves tokens between experts (section 2.4); people get wrong that the experts' own input must not be
    jittered.
    """

    def __init__(self, width: int, num_experts: int, jitter: float, precision: str = "float32") -> None:
        super().__init__(width, num_experts, bias=False)
        self.jitter, self.type_for = jitter, PRECISIONS[precision]

    def forward(self, x_BTD: Tensor) -> Tensor:
        own_BTD = x_BTD.to(self.type_for(x_BTD.dtype))
        if self.training and self.jitter:
            own_BTD = own_BTD * (1 + self.jitter * 2**-31 * noise(own_BTD).to(own_BTD.dtype))
        with torch.autocast(x_BTD.device.type, enabled=False):
            return F.linear(own_BTD, self.weight.to(own_BTD.dtype))

    def probabilities(self, logits_GSE: Tensor) -> Tensor:
        """Their softmax, in the logits' own type; then wide, so that sums over many tokens are not rounded besides."""
        with torch.autocast(logits_GSE.device.type, enabled=False):
            probabilities_GSE = logits_GSE.softmax(-1)
        return probabilities_GSE.to(wide(probabilities_GSE.dtype))
