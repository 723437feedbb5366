"""Which part of a text the model sees, and how rows of different lengths lie beside one another."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from oneblock.decoding.errors import GenerateError


def window_start(length: int, context: int) -> int:
    """Where the part of a text of `length` tokens begins that a model of `context` positions is shown.

    0 while the text fits, then the smallest multiple of ⌊context/2⌋ (at least 1) that leaves at most
    `context` tokens: it moves half a context at a time, so that a cache stays good between two moves.
    """
    hop = max(1, context // 2)
    return max(0, -(-(length - context) // hop)) * hop


class Rows:
    """A batch of growing texts, B × L, that end together: a shorter one has pads on its left.

    `length` columns are filled; `starts` and `context` say what of each row is shown (`window_start`).
    """

    def __init__(self, tokens_BT: Tensor, lengths: Sequence[int], more: int, context: int) -> None:
        batch, self.length = tokens_BT.shape
        self.text = tokens_BT.new_zeros(batch, self.length + more)
        self.text[:, : self.length] = tokens_BT
        self.lengths, self.context = list(lengths), context
        self.starts = self._starts()

    def _starts(self) -> list[int]:
        return [window_start(length, self.context) for length in self.lengths]

    @property
    def widths(self) -> list[int]:
        """How many tokens of each row are shown."""
        return [length - start for length, start in zip(self.lengths, self.starts, strict=True)]

    def append(self, ids_B: Tensor) -> bool:
        """Add one token to every row; True where a window moved, so that a cache of it holds too much."""
        self.text.select(1, self.length).copy_(ids_B)
        self.length += 1
        self.lengths = [length + 1 for length in self.lengths]
        before, self.starts = self.starts, self._starts()
        return before != self.starts

    def windows(self) -> tuple[Tensor, Tensor | None]:
        """What is shown, B × W, and its padding (None where all rows are equally wide)."""
        widths = self.widths
        widest = max(widths)
        shown_BW = self.text[:, self.length - widest : self.length]
        if min(widths) == widest:
            return shown_BW, None
        pads_B1 = torch.tensor([[widest - width] for width in widths], device=shown_BW.device)
        padding_BW = torch.arange(widest, device=shown_BW.device) < pads_B1
        return shown_BW.masked_fill(padding_BW, 0), padding_BW


def lengths_of(tokens_BT: Tensor, padding_BT: Tensor | None) -> list[int]:
    """How many tokens each row has; GenerateError where pads stand anywhere but on the left."""
    batch, length = tokens_BT.shape
    if padding_BT is None:
        return [length] * batch
    if padding_BT.shape != tokens_BT.shape or padding_BT.dtype != torch.bool:
        raise GenerateError(
            f"padding must be boolean of the tokens' shape {tuple(tokens_BT.shape)}, True = a pad; "
            f"got {padding_BT.dtype} {tuple(padding_BT.shape)}"
        )
    lengths = (~padding_BT).sum(dim=1)
    on_the_left = torch.arange(length, device=padding_BT.device) < (length - lengths).unsqueeze(1)
    wrong = (padding_BT != on_the_left).any(dim=1).nonzero().flatten().tolist()
    if wrong:
        raise GenerateError(f"row {wrong[0]} has a pad after a token; put all pads on the left")
    empty = (lengths == 0).nonzero().flatten().tolist()
    if empty:
        raise GenerateError(f"row {empty[0]} is all pads; a text to go on from needs at least one token")
    return lengths.tolist()
