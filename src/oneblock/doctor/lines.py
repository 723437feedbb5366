"""The line where two runs of one model part: what every operation gave, in order, side by side."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from difflib import SequenceMatcher
from typing import Any

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from oneblock.doctor.checks.check import GOOD
from oneblock.doctor.look import names_of, place
from oneblock.doctor.patient import difference

MOST = 4000
UNSET = ("empty", "empty_like", "new_empty")
Alike = Callable[[Tensor, Tensor], bool]


@dataclass
class Steps(TorchFunctionMode):
    """What each operation of a forward pass gave, and where it stands."""

    names: dict[int, str]
    made: list[tuple[str, str, Tensor]] = field(default_factory=list)

    def __post_init__(self) -> None:
        super().__init__()

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        out, name = func(*args, **(kwargs or {})), getattr(func, "__name__", "")
        for part in out if isinstance(out, tuple | list) else (out,):
            if isinstance(part, Tensor) and name not in UNSET and len(self.made) < MOST:
                self.made.append((name, place(self.names), part.detach().clone()))
        return out


def parting_line(
    module: nn.Module,
    runs: Sequence[Callable[[], Any]],
    alike: Alike,
    names: list[dict[int, str]] | None = None,
) -> str:
    """`module (file:line)` of the first operation of two runs whose results are not alike; "" where none is found.

    names: of modules by id, where the runs are of two copies.
    """
    parts = []
    try:
        for run, known in zip(runs, names or [names_of(module)] * 2, strict=True):
            with torch.no_grad(), Steps(known) as steps:
                run()
            parts.append(steps.made)
    except Exception:
        return ""
    first, second = parts
    keys = [[(name, where) for name, where, _ in made] for made in parts]
    for a, b, size in SequenceMatcher(None, keys[0], keys[1], autojunk=False).get_matching_blocks():
        for n in range(size):
            where = first[a + n][1]
            if ".py:" in where and not alike(first[a + n][2], second[b + n][2]):
                return where
    return ""


def equal(one: Tensor, other: Tensor) -> bool:
    """Whether two results are one up to rounding. What is not finite in both at the same places counts as equal."""
    if one.shape != other.shape:
        return True
    a, b = one.double(), other.double()
    gone = ~(a.isfinite() & b.isfinite())
    same = torch.equal(a[gone].nan_to_num(), b[gone].nan_to_num())
    return same and difference(a.masked_fill(gone, 0), b.masked_fill(gone, 0)) <= GOOD


def at_places(length: int, places: Tensor) -> Alike:
    """Alike at these places of every axis that is as long as the text; what has no such axis is not asked."""

    def alike(one: Tensor, other: Tensor) -> bool:
        axes = [axis for axis, size in enumerate(one.shape) if size == length]
        if one.shape != other.shape or not axes:
            return True
        for axis in axes:
            one, other = one.index_select(axis, places), other.index_select(axis, places)
        return equal(one, other)

    return alike


def as_last(whole: Tensor, part: Tensor) -> bool:
    """Of one pass and of its last token alone behind a cache: alike where axes are the whole text and that token."""
    if whole.dim() != part.dim():
        return True
    for axis, (long, short) in enumerate(zip(whole.shape, part.shape, strict=True)):
        if long != short:
            if short != 1:
                return True
            whole = whole.narrow(axis, long - 1, 1)
    return equal(whole, part)


def one_of_rows(rows: int, row: int) -> Alike:
    """Alike in one row of a batch of so many."""

    def alike(one: Tensor, other: Tensor) -> bool:
        if one.dim() < 2 or one.shape != other.shape or one.shape[0] != rows:
            return True
        return equal(one[row], other[row])

    return alike
