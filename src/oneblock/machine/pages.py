"""Large pages: weights that are read whole for each token, where one entry of the page table covers 2 MiB of them."""

from __future__ import annotations

import ctypes
import sys
from collections.abc import Iterable

from torch import Tensor

LEAST = 64 << 20
"""Fewer bytes than this, all together, may stay in the processor's caches, and stay as they are."""
_COLLAPSE = 25  # MADV_COLLAPSE, Linux 6.1: now and in this call; numbers and addresses stay
_LARGE = 2 << 20


def in_large_pages(tensors: Iterable[Tensor]) -> int:
    """Ask the system to keep these tensors' memory in pages of 2 MiB; how many such pages it did.

    Addresses, numbers and owners stay as they are: the system copies what is not in a large page yet, about as long as
    a hundred readings take. 0 where it cannot (other systems, an older Linux, no whole large page free).
    """
    held = [t for t in tensors if t.device.type == "cpu" and t.numel()]
    if not sys.platform.startswith("linux") or sum(t.nbytes for t in held) < LEAST:
        return 0
    madvise = ctypes.CDLL(None).madvise
    madvise.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int]
    # One by one: where a neighbour of the tensors cannot be moved, the others still are.
    return sum(madvise(at, _LARGE, _COLLAPSE) == 0 for at in sorted(set().union(*map(_pages, held))))


def _pages(tensor: Tensor) -> range:
    """Where the large pages begin in which it lies."""
    begin = tensor.data_ptr()
    return range(begin // _LARGE * _LARGE, begin + tensor.nbytes, _LARGE)
