"""One writer to a run: a lock that the system itself drops when its holder dies."""

from __future__ import annotations

import contextlib
import os
import socket
from pathlib import Path
from types import TracebackType

from oneblock.runs.errors import RunError

try:
    import fcntl
except ImportError:  # Windows: the run is written without a lock.
    fcntl = None  # type: ignore[assignment]

_held: set[int] = set()


def _let_go_in_child() -> None:
    # A forked worker would keep the lock alive after the training that forked it was killed.
    for descriptor in _held:
        with contextlib.suppress(OSError):
            os.close(descriptor)
    _held.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_let_go_in_child)


class RunLock:
    """`with RunLock(path):` holds the lock; RunError, with the holder's process id, where another has it.

    The file stays; it is the lock on it that counts, and that ends with the process, however it ends.
    Without effect where the system or the file system knows no such locks (Windows, some network disks).
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._descriptor: int | None = None

    def __enter__(self) -> RunLock:
        if fcntl is None:
            return self
        try:
            descriptor = os.open(self.path, os.O_RDWR | os.O_CREAT, 0o644)
        except OSError as error:
            raise RunError(f"cannot write into {self.path.parent}: {error.strerror or error}") from error
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = os.pread(descriptor, 200, 0).decode(errors="replace").strip() or "another process"
            os.close(descriptor)
            raise RunError(
                f"{self.path.parent} is being written by {holder}; wait for it, stop it, or choose another --out"
            ) from None
        except OSError:
            os.close(descriptor)
            return self
        self._descriptor = descriptor
        _held.add(descriptor)
        # The name is a courtesy: a full disk must not keep a run from being resumed and pruned.
        with contextlib.suppress(OSError):
            os.ftruncate(descriptor, 0)
            os.pwrite(descriptor, f"process {os.getpid()} on {socket.gethostname()}\n".encode(), 0)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._descriptor is None:
            return
        _held.discard(self._descriptor)
        with contextlib.suppress(OSError):
            os.ftruncate(self._descriptor, 0)
        os.close(self._descriptor)
        self._descriptor = None
