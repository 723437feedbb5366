"""What a forward pass knows besides the stream: where tokens stand, who may see whom, and the cache."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple, TypeVar

import torch
from torch import Tensor

from oneblock.nn.cache import Cache
from oneblock.nn.record import Record

if TYPE_CHECKING:
    from oneblock.nn.position import Position

Made = TypeVar("Made")


class Mask(NamedTuple):
    """Who may see whom. `triangle`: exactly the square causal triangle. `allowed`: True = may attend; None: all."""

    triangle: bool
    allowed: Tensor | None

    def dense(self, num_queries: int, num_keys: int, device: torch.device) -> Tensor | None:
        """As a boolean tensor T × S or B × 1 × T × S, or None where everything is seen."""
        if self.triangle:
            return torch.ones(num_queries, num_keys, dtype=torch.bool, device=device).tril()
        return self.allowed


class Memory(NamedTuple):
    """What a cross-attention reads: an encoder's output B × S × D, and its padding B × S (None: no pads)."""

    stream: Tensor
    padding: Tensor | None = None


class Context:
    """Positions, masks and cache of one forward pass.

    positions_T:  place of each query in its own text, T, or B × T where rows are padded differently
    padding_BS:   True = a pad, for every key
    condition_BD: what modulated blocks read, a vector for each row
    memory:       what cross-attention reads
    record:       where layers put what they have to tell, if somebody asks
    place, pads_B: of a step of fixed shape (`decoding.step`): the new token's column, and the pads at each row's left
    What layers share (masks, rotations, biases) is made once and kept under a name (`once`).
    """

    def __init__(
        self,
        num_queries: int,
        device: torch.device,
        *,
        position: Position,
        padding_BS: Tensor | None = None,
        cache: Cache | None = None,
        causal: bool = True,
        condition_BD: Tensor | None = None,
        memory: Memory | None = None,
        record: Record | None = None,
    ) -> None:
        self.num_queries, self.device = num_queries, device
        self.cached = cache.length if cache is not None else 0
        self.num_keys = self.cached + num_queries
        self.position, self.padding_BS, self.cache, self.causal = position, padding_BS, cache, causal
        self.condition_BD, self.memory, self.record = condition_BD, memory, record
        if padding_BS is None:
            self.key_positions = torch.arange(self.num_keys, device=device)
        else:
            self.key_positions = ((~padding_BS).cumsum(1) - 1).clamp(min=0)
        self.positions = self.key_positions[..., self.cached :]
        self.place: Tensor | None = None
        self.pads_B: Tensor | None = None
        self._made: dict[str, object] = {}

    def once(self, name: str, make: Callable[[], Made]) -> Made:
        """The thing of that name, made at its first asking."""
        if name not in self._made:
            self._made[name] = make()
        return self._made[name]  # type: ignore[return-value]

    def distance(self) -> Tensor:
        """Query position − key position, T × S or B × T × S."""
        return self.once("distance", lambda: self.positions.unsqueeze(-1) - self.key_positions.unsqueeze(-2))

    def visible(self, window: int | None) -> Mask:
        """The mask of an attention with that window (itself included), or with none."""
        if window is not None and window >= self.num_keys:
            window = None
        if self.padding_BS is None and window is None:
            if not self.causal or self.num_queries == 1:
                return Mask(False, None)
            if self.cached == 0:
                return Mask(True, None)
        return self.once(f"visible {window}", lambda: self._dense(window))

    def _dense(self, window: int | None) -> Mask:
        distance = self.distance()
        allowed = distance >= 0 if self.causal else torch.ones_like(distance, dtype=torch.bool)
        if window is not None:
            allowed = allowed & (distance.abs() < window)
        if self.padding_BS is None:
            return Mask(False, allowed)
        allowed = allowed & ~self.padding_BS.unsqueeze(1)
        # A pad sees itself, so that no row is without a key: softmax over nothing is NaN.
        own = torch.ones(self.num_queries, self.num_keys, dtype=torch.bool, device=self.device)
        own = own.tril(self.cached).triu(self.cached)
        return Mask(False, (allowed | own).unsqueeze(1))

    def remember(self, slot: int, k_BGTK: Tensor, v_BGTK: Tensor) -> tuple[Tensor, Tensor]:
        """All keys and values an attention may see: the cached ones and these."""
        if self.cache is None:
            return k_BGTK, v_BGTK
        return self.cache.store(slot, k_BGTK, v_BGTK)

    def visible_memory(self) -> Mask:
        """The mask of a cross-attention, B × 1 × 1 × S: everything but pads."""
        assert self.memory is not None
        padding_BS = self.memory.padding
        if padding_BS is None:
            return Mask(False, None)
        # Where all is padding nothing is hidden, so that no row is without a key: softmax over nothing is NaN.
        return self.once(
            "visible memory",
            lambda: Mask(False, (~padding_BS | padding_BS.all(dim=1, keepdim=True))[:, None, None]),
        )

    def recall(self, slot: int, project: Callable[[Tensor], tuple[Tensor, Tensor]]) -> tuple[Tensor, Tensor]:
        """The memory's keys and values for one cross-attention: projected at the first asking, then the cache's."""
        assert self.memory is not None
        if self.cache is None:
            return project(self.memory.stream)
        return self.cache.recall(slot, self.memory.stream, project)
