"""Groups: which tokens share the experts' places, in the order in which they find them."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor


class Groups:
    """B × T tokens as G groups of S, and back.

    size None: one group, the first tokens of all rows, then the second ones, …: no token stands behind a later one of
    any row. Else that many neighbours of a row each; a row that does not come out even is filled up with pads.
    """

    def __init__(self, batch: int, length: int, size: int | None) -> None:
        self.batch, self.length, self.size = batch, length, size
        self.missing = -length % size if size else 0

    def split(self, x_BTD: Tensor) -> Tensor:
        """B × T × … -> G × S × …; the filling is 0."""
        if self.size is None:
            return x_BTD.transpose(0, 1).flatten(0, 1).unsqueeze(0)
        if self.missing:
            x_BTD = F.pad(x_BTD, (*(0, 0) * (x_BTD.dim() - 2), 0, self.missing))
        return x_BTD.unflatten(1, (-1, self.size)).flatten(0, 1)

    def join(self, x_GSD: Tensor) -> Tensor:
        """G × S × … -> B × T × …."""
        if self.size is None:
            return x_GSD.squeeze(0).unflatten(0, (self.length, self.batch)).transpose(0, 1)
        return x_GSD.unflatten(0, (self.batch, -1)).flatten(1, 2)[:, : self.length]

    def real(self, real_BT: Tensor | None, like_BTE: Tensor) -> Tensor | None:
        """G × S, which tokens are none of the pads and none of the filling; None where all are."""
        if real_BT is None and self.missing:
            real_BT = like_BTE.new_ones(self.batch, self.length, dtype=torch.bool)
        return None if real_BT is None else self.split(real_BT)
