"""Dense and gated feed-forwards."""

from __future__ import annotations

from torch import Tensor, nn

from oneblock.config import dense as config
from oneblock.nn.activation import ACTIVATIONS
from oneblock.nn.branch import Branch
from oneblock.nn.context import Context
from oneblock.nn.dropout import make_dropout
from oneblock.nn.linear import Linear


class Dense(Branch):
    """down(act(up(x))), B × T × D -> B × T × D through F = 4·D (Vaswani 2017, eq. 2). 2·D·F weights."""

    def __init__(
        self,
        option: config.Dense,
        width: int,
        *,
        norm_in: nn.Module | None = None,
        norm_out: nn.Module | None = None,
        dropout: float = 0.0,
    ) -> None:
        super().__init__(norm_in, norm_out, dropout)
        hidden = option.hidden_width(width)
        self.up = Linear(width, hidden, bias=option.bias)
        self.down = Linear(hidden, width, bias=option.bias)
        self.activation = ACTIVATIONS[option.activation]
        self.drop_hidden = make_dropout(option.dropout)

    def mix(self, x_BTD: Tensor, ctx: Context) -> Tensor:
        return self.down(self.drop_hidden(self.activation(self.up(x_BTD))))


class Gated(Branch):
    """down(act(gate(x)) ⊙ up(x)) (Shazeer 2020, eq. 5–6). 3·D·F weights, so F is 2/3 of a dense one's.

    People get wrong which half is activated: here it is the gate.
    """

    def __init__(
        self,
        option: config.Gated,
        width: int,
        *,
        norm_in: nn.Module | None = None,
        norm_out: nn.Module | None = None,
        dropout: float = 0.0,
    ) -> None:
        super().__init__(norm_in, norm_out, dropout)
        hidden = option.hidden_width(width)
        self.gate = Linear(width, hidden, bias=option.bias)
        self.up = Linear(width, hidden, bias=option.bias)
        self.down = Linear(hidden, width, bias=option.bias)
        self.activation = ACTIVATIONS[option.activation]
        self.drop_hidden = make_dropout(option.dropout)

    def mix(self, x_BTD: Tensor, ctx: Context) -> Tensor:
        return self.down(self.drop_hidden(self.activation(self.gate(x_BTD)) * self.up(x_BTD)))


DENSE: dict[type, type[Dense] | type[Gated]] = {config.Dense: Dense, config.Gated: Gated}
