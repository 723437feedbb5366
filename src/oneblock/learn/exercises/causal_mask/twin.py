"""The causal mask with switches: without any it is right; each variant sets one or more."""

import functools
import math

import torch
from torch import Tensor


def causal_mask(
    num_queries: int,
    num_keys: int,
    *,
    align: str = "right",
    offset: int = 0,
    polarity: str = "may",
    gives: str = "bool",
    shape: str = "T×S",
    window: int | None = None,
    direction: str = "past",
    form: str = "places",
    own: bool = True,
    first: bool = False,
    most: int = 0,
    small: bool = False,
) -> Tensor:
    if most:
        num_queries, num_keys = min(num_queries, most), min(num_keys, most)
    rows, columns = {"T×S": (num_queries, num_keys), "S×T": (num_keys, num_queries)}.get(shape, (num_queries, num_keys))
    rows, columns = {"T×T": (num_queries,) * 2, "S×S": (num_keys,) * 2}.get(shape, (rows, columns))
    more = columns - rows
    ahead = {"right": more, "left": 0, "absolute": abs(more), "reversed": -more, "clamped": max(0, more)}[align]
    place, key = torch.arange(rows)[:, None] + ahead + offset, torch.arange(columns)[None, :]
    if small:
        place, key = place.to(torch.int8), key.to(torch.int8)
    mask = key <= place if direction == "past" else key >= place
    if form == "tril":
        mask = torch.ones(rows, columns, dtype=torch.bool).tril(columns - rows)
    elif form == "triu":
        mask = ~torch.ones(rows, columns, dtype=torch.bool).triu(columns - rows + 1)
    elif form == "loop":
        mask = torch.zeros(rows, columns, dtype=torch.bool)
        for i in range(rows):
            mask[i, : max(0, i + columns - rows + 1)] = True
    elif form == "square":
        size = max(rows, columns)
        mask = torch.ones(size, size, dtype=torch.bool).tril()[size - rows :, size - columns :]
    if not own:
        mask = mask & (key != place)
    if window is not None:
        mask = mask & (key > place - window)
    if first:
        mask = mask | (key == 0)
    mask = ~mask if polarity == "hides" else mask
    if shape == "1×1×T×S":
        mask = mask[None, None]
    if gives == "float":
        return mask.float()
    if gives == "added":
        return torch.zeros(mask.shape).masked_fill(~mask, -math.inf)
    return mask.long() if gives == "integer" else mask


def make(**switches: object) -> dict[str, object]:
    """The names a learner would write."""
    return {"causal_mask": functools.partial(causal_mask, **switches)}  # type: ignore[arg-type]
