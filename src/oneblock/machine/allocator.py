"""How the C library keeps freed memory: given back to the system, or held for the next tensor."""

from __future__ import annotations

import ctypes
import sys

_TRIM_THRESHOLD, _TOP_PAD, _MMAP_THRESHOLD = -1, -2, -3
_MEBIBYTE = 1 << 20


def keep_memory() -> bool:
    """Let this process hold on to memory it frees, for the next step's tensors; whether that was done.

    By default glibc gives memory back when much of it lies free at once, as after a backward pass, and the
    system clears every page again before its next use. Tensors of up to 32 MiB (glibc's limit) are kept
    instead. Linux with glibc only; elsewhere nothing happens. Cannot be undone.
    """
    if not sys.platform.startswith("linux"):
        return False
    try:
        libc = ctypes.CDLL(None)
        libc.gnu_get_libc_version  # noqa: B018 - absent in other C libraries
        mallopt = libc.mallopt
    except (OSError, AttributeError):
        return False
    settings = (
        (_MMAP_THRESHOLD, 32 * _MEBIBYTE),
        (_TRIM_THRESHOLD, 2**31 - 1),
        (_TOP_PAD, 64 * _MEBIBYTE),
    )
    done = [bool(mallopt(option, value)) for option, value in settings]
    return all(done)
