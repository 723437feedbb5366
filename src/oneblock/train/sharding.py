"""Tensors of which each process holds some rows, beside plain ones: their rows, the whole, and back.

A sharded tensor is a DTensor, `Shard(0)` on a mesh of one dimension over all processes. What follows takes a plain one
too and gives it as it is, so that who computes on a process's own rows need not ask which it has.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn


def is_sharded(tensor: Tensor) -> bool:
    """Whether this process holds only some rows."""
    # A DTensor by what it has: asking for its class would load it for every run of one process.
    return hasattr(tensor, "device_mesh")


@torch.no_grad()
def local(tensor: Tensor) -> Tensor:
    """This process's rows, sharing memory, without a gradient's history; a plain tensor itself."""
    return tensor.to_local() if is_sharded(tensor) else tensor  # type: ignore[attr-defined]


def rows(tensor: Tensor) -> tuple[int, int]:
    """The first row this process holds, and the one after its last: ⌈rows / processes⌉ each, the last ones fewer."""
    total = tensor.shape[0]
    if not is_sharded(tensor):
        return 0, total
    mesh: Any = tensor.device_mesh  # type: ignore[attr-defined]
    each = -(-total // mesh.size())
    first = min(mesh.get_local_rank() * each, total)
    return first, min(first + each, total)


@torch.no_grad()
def full(tensor: Tensor) -> Tensor:
    """The whole tensor; all processes must ask. A plain one itself."""
    return tensor.full_tensor() if is_sharded(tensor) else tensor  # type: ignore[attr-defined]


@torch.no_grad()
def part_of(whole: Tensor, like: Tensor) -> Tensor:
    """Of a whole tensor what this process holds of one laid out as `like`: a copy on its device, or the plain whole."""
    if not is_sharded(like) or is_sharded(whole):
        return whole
    first, last = rows(like)
    return joined(whole[first:last].to(like.device, copy=True), like)


@torch.no_grad()
def joined(own: Tensor, like: Tensor) -> Tensor:
    """This process's rows as a sharded tensor laid out as `like`; plain where that is plain."""
    if not is_sharded(like):
        return own
    kind: Any = type(like.data)
    layout: Any = like
    made: Tensor = kind.from_local(
        own.contiguous(),
        layout.device_mesh,
        layout.placements,
        run_check=False,
        shape=like.shape,
        stride=torch.empty(like.shape, device="meta").stride(),
    )
    return made


def add_up(own: Tensor, tensors: Iterable[Tensor]) -> Tensor:
    """The sum over the processes that share these tensors, in place; all plain: as it is."""
    for tensor in tensors:
        if is_sharded(tensor):
            dist.all_reduce(own, group=tensor.device_mesh.get_group())  # type: ignore[attr-defined]
            break
    return own


def gathered(tensors: Mapping[str, Tensor], *, keep: bool) -> dict[str, Tensor]:
    """All of them whole, one after another, the gathered ones on the CPU; empty in a process that is not to `keep`."""
    kept: dict[str, Tensor] = {}
    for name, tensor in tensors.items():
        whole = full(tensor)
        if keep:
            kept[name] = whole.cpu() if is_sharded(tensor) else whole
    return kept


def load_whole(model: nn.Module, weights: Mapping[str, Tensor]) -> None:
    """`model.load_state_dict`, for whole weights into a model of either kind."""
    mine = model.state_dict()
    model.load_state_dict({k: part_of(value, mine[k]) if k in mine else value for k, value in weights.items()})
