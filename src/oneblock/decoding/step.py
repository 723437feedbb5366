"""One step of decoding: tokens through the model to the logits of what comes next.

Two forms with the same result. `Plain` grows with the text. `Fixed` keeps every shape: the place of the new
token is a number in a tensor, so that the step can be compiled once, and replayed.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable
from typing import Any

import torch
from torch import Tensor
from torch.utils._pytree import tree_map_only

from oneblock.decoding.compiled import Step, compiled
from oneblock.decoding.replay import Again, Ground, record, replayed, setting
from oneblock.decoding.sampling import Sampling
from oneblock.machine.pages import in_large_pages
from oneblock.nn import one_token as kernels
from oneblock.nn.cache import Cache
from oneblock.nn.context import Context, Made, Mask
from oneblock.nn.position import Position

# A capacity that is a multiple of this is compiled for once and serves texts of many lengths.
ROUND_TO = 256

Storage = tuple[list[Tensor], list[Tensor], int]
"""The keys and values of a cache, slot by slot, and its capacity."""


def last_logits(model: Any, tokens_BT: Tensor, padding_BT: Tensor | None, cache: Cache | None) -> Tensor:
    """What follows the last token, B × V. The head is applied there alone."""
    x_BTD = model.stream(tokens_BT, padding_BT, cache)
    logits_B1V: Tensor = model.cap(model.head(model.norm(x_BTD[:, -1:])))
    return logits_B1V.squeeze(1)


def prefill(model: Any, tokens_BT: Tensor, padding_BT: Tensor | None, cache: Cache, chunk: int | None = None) -> Tensor:
    """Read a text into an empty cache, `chunk` tokens at a time (None: at once); what follows, B × V."""
    length = tokens_BT.shape[1]
    chunk = chunk or length
    for begin in range(0, length - chunk, chunk):
        part = slice(begin, begin + chunk)
        model.stream(tokens_BT[:, part], None if padding_BT is None else padding_BT[:, part], cache)
    rest = slice((length - 1) // chunk * chunk, length)
    return last_logits(model, tokens_BT[:, rest], None if padding_BT is None else padding_BT[:, rest], cache)


class OneToken(Context):
    """`Context` for one new token per row in a cache that is always seen whole; the place is a tensor.

    place: the column of the cache it goes to, shape 1. pads_B: how many columns are pads at each row's left.
    """

    place: Tensor

    def __init__(self, cache: Storage, place: Tensor, pads_B: Tensor | None, position: Position) -> None:
        (self.keys, self.values, capacity), self.place = cache, place
        self.num_queries, self.num_keys, self.device = 1, capacity, place.device
        self.position, self.causal = position, True
        self.columns = torch.arange(self.num_keys, device=place.device)
        self.pads_B = pads_B
        # The new token is no pad, and nobody asks what the layers have to tell.
        self.cached, self.padding_BS, self.record = 0, None, None
        if pads_B is None:
            self.key_positions, self.positions = self.columns, place
        else:
            self.key_positions = (self.columns - pads_B.unsqueeze(1)).clamp(min=0)
            self.positions = place - pads_B.unsqueeze(1)
        self._made = {}

    def once(self, name: str, make: Callable[[], Made]) -> Made:
        return super().once(name, lambda: tree_map_only(Tensor, kernels.kept, make()))

    def visible(self, window: int | None) -> Mask:
        return self.once(f"visible {window}", lambda: self._seen(window))

    def _seen(self, window: int | None) -> Mask:
        allowed_S = self.columns <= self.place
        if window is not None:
            allowed_S = allowed_S & (self.columns > self.place - window)
        if self.pads_B is None:
            return Mask(False, allowed_S.unsqueeze(0))
        return Mask(False, (allowed_S & (self.columns >= self.pads_B.unsqueeze(1)))[:, None, None])

    def remember(self, slot: int, k_BGTK: Tensor, v_BGTK: Tensor) -> tuple[Tensor, Tensor]:
        self.keys[slot].index_copy_(2, self.place, k_BGTK)
        self.values[slot].index_copy_(2, self.place, v_BGTK)
        return self.keys[slot], self.values[slot]


def one_token(model: Any, ids_B: Tensor, place: Tensor, pads_B: Tensor | None, cache: Storage) -> Tensor:
    """The logits after one new token per row, B × V; every shape the same whatever the place."""
    ctx = OneToken(cache, place, pads_B, model.position)
    x_BTD = model.embed(ids_B.unsqueeze(1), ctx)
    for block in model.blocks:
        x_BTD = block(x_BTD, ctx)
    logits_B1V: Tensor = model.cap(model.head(model.norm(x_BTD)))
    return logits_B1V.squeeze(1)


def one_choice(
    model: Any, ids_B: Tensor, place: Tensor, pads_B: Tensor | None, cache: Storage, sampling: Sampling,
    chance_B: Tensor | None,
) -> Tensor:  # fmt: skip
    """The token after one new token per row, B: `one_token` and what is chosen by it, one graph."""
    return sampling.choose(one_token(model, ids_B, place, pads_B, cache), chance_B)


class Plain:
    """Prefill, then the model's own cached forward, one token at a time."""

    def __init__(self, model: Any, batch: int, capacity: int, chunk: int | None) -> None:
        self.model, self.chunk = model, chunk
        self.cache: Cache = model.cache(batch, capacity)

    def start(self, tokens_BT: Tensor, padding_BT: Tensor | None) -> Tensor:
        """Forget what was, and read these."""
        self.cache.clear()
        return prefill(self.model, tokens_BT, padding_BT, self.cache, self.chunk)

    def next(self, ids_B: Tensor) -> Tensor:
        """One more token for each row; what follows, B × V."""
        return last_logits(self.model, ids_B.unsqueeze(1), None, self.cache)

    def choose(self, ids_B: Tensor, sampling: Sampling, chance_B: Tensor | None) -> Tensor:
        """One more token for each row; the token chosen to follow it, B."""
        return sampling.choose(self.next(ids_B), chance_B)

    def look(self) -> None:
        """Somebody else may have changed the model since the last token."""


class Fixed(Plain):
    """Prefill, then `one_token`, compiled or not, and replayed from the second time on (`replay`).

    Between two tokens the model must stay as it is, but for the numbers in its tensors, or `look` be called.
    """

    compile = True

    def __init__(self, model: Any, batch: int, capacity: int, chunk: int | None) -> None:
        context = model.config.context
        super().__init__(model, batch, min(context, -(-capacity // ROUND_TO) * ROUND_TO), chunk)
        self.room = self.cache.keys, self.cache.values, self.cache.capacity
        device = model.embedding.weight.device
        self.ids_B = torch.zeros(batch, dtype=torch.long, device=device)
        self.place = torch.zeros(1, dtype=torch.long, device=device)
        self.pads_B = torch.zeros(batch, dtype=torch.long, device=device)
        self.padded = False
        self.chance_B = torch.zeros(batch, dtype=torch.float64, device=device)
        self._prepare()

    def _prepare(self) -> None:
        self.ground = Ground(self.model)
        if self.compile:
            in_large_pages(self.ground.tensors)
        self.steps: dict[Step, Step] = {}
        self.recorded: dict[Hashable, Again] = {}

    def _made(self, step: Step) -> Step:
        # When it is asked for: a generation needs one of the two, and what decides takes milliseconds to look up.
        if step not in self.steps:
            shape = self.cache.batch, self.cache.capacity
            self.steps[step] = compiled(step, self.model, *shape) if self.compile else step
        return self.steps[step]

    def look(self) -> None:
        if not self.ground.holds():
            self._prepare()

    def start(self, tokens_BT: Tensor, padding_BT: Tensor | None) -> Tensor:
        logits_BV = super().start(tokens_BT, padding_BT)
        self.padded = padding_BT is not None
        if padding_BT is not None:
            self.pads_B.copy_(padding_BT.sum(dim=1))
        self.place.fill_(tokens_BT.shape[1])
        return logits_BV

    def next(self, ids_B: Tensor) -> Tensor:
        return self._move(ids_B, (self.padded,), self._step)

    def choose(self, ids_B: Tensor, sampling: Sampling, chance_B: Tensor | None) -> Tensor:
        if chance_B is not None:
            self.chance_B.copy_(chance_B)
        given_B = None if chance_B is None else self.chance_B
        return self._move(ids_B, (self.padded, sampling), lambda: self._choice(sampling, given_B))

    def _move(self, ids_B: Tensor, what: Hashable, step: Again) -> Tensor:
        self.ids_B.copy_(ids_B)
        answer = step() if self.ground.hooked else self._again((what, setting()), step)
        self.place += 1
        return answer

    def _again(self, what: Hashable, step: Again) -> Tensor:
        if what in self.recorded:
            return self.recorded[what]()
        if self.place.is_cuda:
            self.recorded[what] = record(step)
            return self.recorded[what]()
        answer, self.recorded[what] = replayed(step)
        return answer

    def _step(self) -> Tensor:
        return self._made(one_token)(
            self.model, self.ids_B, self.place, self.pads_B if self.padded else None, self.room
        )

    def _choice(self, sampling: Sampling, chance_B: Tensor | None) -> Tensor:
        pads_B = self.pads_B if self.padded else None
        return self._made(one_choice)(self.model, self.ids_B, self.place, pads_B, self.room, sampling, chance_B)
