"""One row times a matrix of weights on a CPU: the form it has in a compiled step of decoding.

Read once, the weights of a token should take what memory takes. The kernel comes near it; where there is none
(`one_token`), the product is a sum, which PyTorch's compiler makes one pass of.
"""

from __future__ import annotations

import torch
from torch import Tensor

from oneblock.nn import one_token


def single(x: Tensor) -> bool:
    """Whether this is compiled for a single row on a CPU, and no gradient is asked for."""
    return one_token.asked(x) and x.numel() == x.shape[-1]


def times(x: Tensor, weight_ED: Tensor) -> Tensor:
    """x Wᵀ for a single row, in float32 or wider: … × D -> … × E."""
    wide = torch.promote_types(x.dtype, torch.float32)
    x_D = x.reshape(-1).to(wide)
    if one_token.ready() and wide == torch.float32 and _suits(weight_ED):
        y_E = torch.ops.oneblock.one_row.default(x_D, weight_ED)
    else:
        y_E = (x_D * weight_ED.to(wide)).sum(-1)
    return y_E.view(*x.shape[:-1], -1)


def _suits(weight_ED: Tensor) -> bool:
    kept = weight_ED.dtype in (torch.float32, torch.bfloat16, torch.int8)
    return kept and weight_ED.device.type == "cpu" and weight_ED.is_contiguous()
