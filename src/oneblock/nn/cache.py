"""The key/value cache: what attention has seen, so that each token is computed once."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from oneblock.config.errors import OneblockError


class ContextOverflow(OneblockError, ValueError):
    """More positions than there is room for."""


class Cache:
    """Keys and values of every attention, preallocated: for each slot two tensors B × G × capacity × K.

    `length` positions are filled, the same for all rows; shorter rows are padded on the left. Of a memory (what
    cross-attention reads) it keeps each cross-attention's keys and values, B × G × S × K.
    Bytes: 2 · Σ G·K · capacity · B · bytes a number, and the same over S. Raises ContextOverflow at its end.
    """

    def __init__(
        self,
        slots: Sequence[tuple[int, int]],
        batch: int,
        capacity: int,
        *,
        dtype: torch.dtype = torch.float32,
        device: torch.device | str = "cpu",
    ) -> None:
        def room(groups: int, head_width: int) -> Tensor:
            return torch.zeros(batch, groups, capacity, head_width, dtype=dtype, device=device)

        self.keys = [room(*slot) for slot in slots]
        self.values = [room(*slot) for slot in slots]
        self.batch, self.capacity, self.length = batch, capacity, 0
        self.padding: Tensor | None = None
        self.memory: Tensor | None = None
        self.memories: dict[int, tuple[Tensor, Tensor]] = {}

    @property
    def num_bytes(self) -> int:
        """What the tensors take."""
        of_memory = (tensor for pair in self.memories.values() for tensor in pair)
        return sum(room.numel() * room.element_size() for room in (*self.keys, *self.values, *of_memory))

    def reserve(self, batch: int, new: int, padding_BT: Tensor | None) -> Tensor | None:
        """Check that `new` positions fit, note which of them are pads; the padding of all positions, or None."""
        if batch != self.batch:
            raise ValueError(f"the cache was made for {self.batch} rows and was given {batch}; make one for {batch}")
        if self.length + new > self.capacity:
            raise ContextOverflow(
                f"the cache holds {self.capacity} positions: {self.length} are filled and {new} more were given; "
                f"make a larger one (model.cache(batch, capacity={self.length + new})) or begin again with less"
            )
        if padding_BT is None and self.padding is None:
            return None
        if padding_BT is None:
            assert self.padding is not None
            padding_BT = self.padding.new_zeros(batch, new)
        if self.padding is None:
            before = padding_BT.new_zeros(batch, self.length)
        else:
            # Up to the filled length: a call that failed after this one's check has noted pads and stored nothing.
            before = self.padding[:, : self.length]
        self.padding = torch.cat([before, padding_BT], dim=1)
        return self.padding

    def store(self, slot: int, k_BGTK: Tensor, v_BGTK: Tensor) -> tuple[Tensor, Tensor]:
        """Write the new keys and values of one attention; give all it has, B × G × S × K."""
        end = self.length + k_BGTK.shape[2]
        self.keys[slot][:, :, self.length : end] = k_BGTK
        self.values[slot][:, :, self.length : end] = v_BGTK
        return self.keys[slot][:, :, :end], self.values[slot][:, :, :end]

    def recall(
        self, slot: int, memory_BSD: Tensor, project: Callable[[Tensor], tuple[Tensor, Tensor]]
    ) -> tuple[Tensor, Tensor]:
        """Keys and values of a memory for one cross-attention, projected at the first asking. One memory a cache."""
        if self.memory is None:
            self.memory = memory_BSD
        if self.memory is not memory_BSD:
            raise ValueError(
                "the cache holds the keys and values of another memory; clear() it, or give it the same one each time"
            )
        if slot not in self.memories:
            self.memories[slot] = project(memory_BSD)
        return self.memories[slot]

    def reorder(self, rows_B: Tensor) -> None:
        """Row b goes on from what row rows[b] was; the memory stays, so both must read the same source."""
        for room in (*self.keys, *self.values):
            room[:, :, : self.length] = room[rows_B, :, : self.length]
        if self.padding is not None:
            self.padding = self.padding[rows_B]

    def clear(self) -> None:
        """Forget everything; the room stays."""
        self.length, self.padding, self.memory = 0, None, None
        self.memories.clear()

    def advance(self, new: int) -> None:
        """Count the positions that every attention has stored."""
        self.length += new
