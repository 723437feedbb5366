"""Weights as 8-bit integers: half of bfloat16's bytes to read for each token that is decoded."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from oneblock.config.errors import OneblockError
from oneblock.nn import one_row
from oneblock.nn.linear import Linear, TiedLinear

LARGEST = 127


class Int8Linear(nn.Module):
    """y = s ⊙ (x Wᵀ) + b, W of integers in −127…127 and s one scale for each row of W: … × D -> … × E.

    From weights V: s_e = max_d |v_ed| / 127, w_ed = round(v_ed / s_e); so |s_e·w_ed − v_ed| ≤ s_e / 2. Products are
    taken in x's type, which holds the integers exactly. For inference alone: nothing here has a gradient.
    """

    weight: Tensor
    scale: Tensor
    bias: Tensor | None

    def __init__(self, weight_ED: Tensor, bias_E: Tensor | None) -> None:
        super().__init__()
        wide_ED = weight_ED.detach().float()
        # A row of zeros has any scale.
        scale_E = wide_ED.abs().amax(1).clamp(min=torch.finfo(torch.float32).tiny) / LARGEST
        self.register_buffer("weight", (wide_ED / scale_E.unsqueeze(1)).round().to(torch.int8))
        self.register_buffer("scale", scale_E)
        self.register_buffer("bias", None if bias_E is None else bias_E.detach().clone())

    def forward(self, x: Tensor) -> Tensor:
        wide = torch.promote_types(x.dtype, torch.float32)
        if one_row.single(x):
            y = one_row.times(x, self.weight)
        else:
            y = F.linear(x, self.weight.to(x.dtype)).to(wide)
        y = y * self.scale.to(wide)
        return (y if self.bias is None else y + self.bias.to(wide)).to(x.dtype)

    def extra_repr(self) -> str:
        out, width = self.weight.shape
        return f"in_features={width}, out_features={out}, bias={self.bias is not None}"


@torch.no_grad()
def to_int8(model: nn.Module) -> nn.Module:
    """The model with every linear map of its blocks and its head in 8-bit integers, changed in place; for inference.

    Embeddings, norms, routers and stacked experts stay as they are; a tied head becomes a table of its own, in
    integers, beside the embedding. OneblockError where there is no linear map.
    """
    found = 0
    for parent in list(model.modules()):
        for name, child in list(parent.named_children()):
            made = _of(child)
            if made is not None:
                setattr(parent, name, made)
                found += 1
    if not found:
        raise OneblockError(f"{type(model).__name__} has no linear map that could be held in 8-bit integers")
    return model.eval()


def _of(module: nn.Module) -> Int8Linear | None:
    if type(module) is Linear:
        return Int8Linear(module.weight, module.bias)
    return Int8Linear(module.table, module.bias) if isinstance(module, TiedLinear) else None
