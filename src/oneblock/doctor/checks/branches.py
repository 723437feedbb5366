"""For N1 and N2: what is written into the stream with one sign only, and queries normed along their heads."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from oneblock.doctor.look import attentions, names_of, place
from oneblock.doctor.noting import Noting
from oneblock.doctor.target import Target

ADDS = ("add", "add_", "__add__", "__radd__", "__iadd__")
ZEROS, FLAT = 0.1, 1e-4


class Added(Noting):
    """Where a sum of two B × T × D has one part that is nowhere below zero and often zero: what a ReLU gives."""

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if getattr(func, "__name__", "") in ADDS and len(args) == 2 and all(map(_stream, args)):
            one, other = args
            pairs = ((one, other), (other, one)) if one.shape == other.shape else ()
            if any(_one_sided(a) and bool((b < 0).any()) for a, b in pairs):
                self.found.append(place(self.names))
        return func(*args, **(kwargs or {}))


def _stream(value: Any) -> bool:
    return isinstance(value, Tensor) and value.dim() == 3 and value.shape[-1] >= 8 and value.is_floating_point()


def _one_sided(part: Tensor) -> bool:
    return bool((part >= 0).all()) and ZEROS < float((part == 0).double().mean()) < 1 - ZEROS


def only_positive(model: Target, seed: int) -> str:
    """Where a branch adds nothing below zero to the stream; "" where none does."""
    if model.takes == "images":
        return ""
    with torch.no_grad(), Added(names_of(model.module)) as added:
        model(model.sample(2, min(9, model.max_len), seed))
    return next(iter(added.found), "")


def normed_along_heads(model: Target, seed: int) -> str:
    """Where the squares of queries or keys add up to the same over the heads, feature by feature; "" where they do not.

    A norm over a head's features makes their sum the same, head by head; a rotation keeps sums of its pairs.
    """
    for seen in attentions(model, model.sample(2, min(9, model.max_len), seed)):
        for part, word in ((seen.q, "queries"), (seen.k, "keys")):
            if part is None:
                continue
            part = part.transpose(-1, -2) if part.shape[-2] == seen.head_width != part.shape[-1] else part
            if part.dim() != 4 or part.shape[1] < 2 or part.shape[-1] != seen.head_width or part.shape[2] < 3:
                continue
            squares = part.double().square()
            along, within = squares.sum(1), squares.sum(-1)
            half = along.shape[-1] // 2
            sums = [along]
            if half and along.shape[-1] % 2 == 0:
                sums += [along[..., :half] + along[..., half:], along[..., 0::2] + along[..., 1::2]]
            if _spread(within, (0, 2)) > FLAT > min(_spread(each, (0, 1)) for each in sums):
                return f"{word} at {seen.place}"
    return ""


def _spread(sums: Tensor, over: tuple[int, ...]) -> float:
    """How far sums vary from token to token, against their mean."""
    return float((sums.std(over) / sums.mean(over).clamp(min=1e-30)).max())
