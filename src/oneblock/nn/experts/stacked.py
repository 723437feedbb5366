"""The experts themselves: E feed-forwards of one shape, their weights stacked."""

from __future__ import annotations

from typing import Protocol

import torch
from torch import Tensor, nn

from oneblock.config import dense as config
from oneblock.nn.activation import ACTIVATIONS
from oneblock.nn.dropout import make_dropout
from oneblock.nn.experts.grouped import grouped_product


class Rows:
    """Tokens M × D, sorted: the first counts[0] are expert 0's, and so on; the rest nobody's, with 0 for an answer."""

    def __init__(self, counts_E: Tensor, experts_M: Tensor) -> None:
        self.counts_E, self.experts_M = counts_E, experts_M

    def product(self, x_MD: Tensor, weight_EFD: Tensor, bias_EF: Tensor | None) -> Tensor:
        """Each row times its expert's matrix, M × F."""
        y_MF = grouped_product(x_MD, weight_EFD, self.counts_E)
        return y_MF if bias_EF is None else y_MF + bias_EF.to(y_MF.dtype)[self.experts_M]


class Places:
    """Tokens E × C × D, each in a place of its expert; an empty place is a row of zeros."""

    def product(self, x_ECD: Tensor, weight_EFD: Tensor, bias_EF: Tensor | None) -> Tensor:
        """Each expert's places times its matrix, E × C × F."""
        y_ECF = x_ECD @ weight_EFD.transpose(1, 2)
        return y_ECF if bias_EF is None else y_ECF + bias_EF.to(y_ECF.dtype).unsqueeze(1)


class FewRows:
    """A few rows M × D, each with the number of its expert: only those experts' weights are read."""

    def __init__(self, experts_M: Tensor) -> None:
        self.experts_M = experts_M

    def product(self, x_MD: Tensor, weight_EFD: Tensor, bias_EF: Tensor | None) -> Tensor:
        """As a sum, which a compiler makes one pass over the weights together with what is around it."""
        wide = torch.promote_types(x_MD.dtype, torch.float32)
        y_MF = (x_MD.unsqueeze(1).to(wide) * weight_EFD[self.experts_M].to(wide)).sum(-1)
        y_MF = y_MF if bias_EF is None else y_MF + bias_EF[self.experts_M].to(wide)
        return y_MF.to(x_MD.dtype)


class Layout(Protocol):
    """Where the rows of each expert lie, and so how they meet its matrix."""

    def product(self, x: Tensor, weight_EFD: Tensor, bias_EF: Tensor | None) -> Tensor:
        """Each row times its expert's matrix."""


class Experts(Protocol):
    """All experts of a mixture: rows in one of the layouts, and their answers. here: any weight may be read here."""

    here: bool

    def __call__(self, x: Tensor, layout: Layout) -> Tensor: ...


class StackedLinear(nn.Module):
    """E linear maps, weight E × out × in: x · weight[e]ᵀ + bias[e], e by where the row lies (`layout`)."""

    def __init__(self, num_experts: int, width: int, out: int, bias: bool) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(num_experts, out, width))
        self.bias = nn.Parameter(torch.zeros(num_experts, out)) if bias else None

    def forward(self, x: Tensor, layout: Layout) -> Tensor:
        return layout.product(x, self.weight, self.bias)

    def extra_repr(self) -> str:
        experts, out, width = self.weight.shape
        return f"num_experts={experts}, in_features={width}, out_features={out}, bias={self.bias is not None}"


class DenseExperts(nn.Module):
    """down_e(act(up_e(x))) for expert e."""

    here = True

    def __init__(self, option: config.Dense, num_experts: int, width: int) -> None:
        super().__init__()
        hidden = option.hidden_width(width)
        self.up = StackedLinear(num_experts, width, hidden, option.bias)
        self.down = StackedLinear(num_experts, hidden, width, option.bias)
        self.activation = ACTIVATIONS[option.activation]
        self.drop_hidden = make_dropout(option.dropout)

    def forward(self, x: Tensor, layout: Layout) -> Tensor:
        return self.down(self.drop_hidden(self.activation(self.up(x, layout))), layout)


class GatedExperts(nn.Module):
    """down_e(act(gate_e(x)) ⊙ up_e(x)) for expert e."""

    here = True

    def __init__(self, option: config.Gated, num_experts: int, width: int) -> None:
        super().__init__()
        hidden = option.hidden_width(width)
        self.gate = StackedLinear(num_experts, width, hidden, option.bias)
        self.up = StackedLinear(num_experts, width, hidden, option.bias)
        self.down = StackedLinear(num_experts, hidden, width, option.bias)
        self.activation = ACTIVATIONS[option.activation]
        self.drop_hidden = make_dropout(option.dropout)

    def forward(self, x: Tensor, layout: Layout) -> Tensor:
        return self.down(self.drop_hidden(self.activation(self.gate(x, layout)) * self.up(x, layout)), layout)


EXPERTS: dict[type, type[DenseExperts] | type[GatedExperts]] = {config.Dense: DenseExperts, config.Gated: GatedExperts}
