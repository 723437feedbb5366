"""What the learner's process may use, and what it may not do. No sandbox by itself: it stops accidents, not attacks."""

from __future__ import annotations

import contextlib
import math
import os
import signal
import sys
import time
from collections.abc import Iterator
from typing import Any

FILE_BYTES = 2**20
"""The largest file, and so the most that may be printed."""

FORBIDDEN = {
    "subprocess.Popen": "starts a program",
    "os.system": "starts a program",
    "os.exec": "starts a program",
    "os.posix_spawn": "starts a program",
    "os.fork": "starts a process",
    "os.forkpty": "starts a process",
    "_thread.start_new_thread": "starts a thread",
    "socket.connect": "opens a connection",
    "socket.getaddrinfo": "asks the network",
    "os.kill": "ends a process",
}
"""Python's audit events -> what code that raises them does."""
ELSEWHERE = {
    "os.remove": "removes", "os.rename": "renames", "os.rmdir": "removes", "os.mkdir": "makes", "os.truncate": "cuts",
    "os.link": "links", "os.symlink": "links", "os.chmod": "changes", "shutil.rmtree": "removes",
}  # fmt: skip
"""The same, of what may be done in the folder for scratch alone: torch tries out a folder before it uses it."""


class NotAllowed(PermissionError):
    """Something that no exercise needs, and that was stopped."""


def limit(memory: int, seconds: float) -> None:
    """Set the system's limits: memory and processor seconds beyond what is used now, files, processes."""
    try:
        import resource
    except ImportError:  # Windows has none of them.
        return
    wanted = {
        "RLIMIT_CPU": math.ceil(time.process_time() + seconds),
        "RLIMIT_FSIZE": FILE_BYTES,
        "RLIMIT_CORE": 0,
        "RLIMIT_NPROC": 0,
        "RLIMIT_AS": _in_use() + memory if _in_use() else None,
    }
    for name, value in wanted.items():
        if value is None or not hasattr(resource, name):
            continue
        # A limit that the machine does not know, or that lies above the one it has, stays as it is.
        with contextlib.suppress(ValueError, OSError):
            # At the first of the two the process can still say where it is.
            resource.setrlimit(getattr(resource, name), (value, value + (name == "RLIMIT_CPU")))


@contextlib.contextmanager
def computing(seconds: float) -> Iterator[None]:
    """Ends the process where what stands below it computes for longer; time in which others compute does not count."""
    if not hasattr(signal, "setitimer"):
        yield
        return
    # Taken before: what runs below could put another in its place.
    timer = signal.setitimer
    timer(signal.ITIMER_PROF, seconds)
    try:
        yield
    finally:
        timer(signal.ITIMER_PROF, 0.0)


def _in_use() -> int:
    """The address space in use, in bytes; 0 where the machine does not say."""
    try:
        with open("/proc/self/statm") as file:  # noqa: PTH123 - no more imports than needed
            return int(file.read().split()[0]) * os.sysconf("SC_PAGE_SIZE")
    except (OSError, ValueError):
        return 0


def forbid(hidden: str, imports: tuple[str, ...], scratch: str) -> None:
    """Refuse, from now on: programs, processes, the network, writing elsewhere than in `scratch`, reading in `hidden`.

    imports: packages that may not be loaded.
    """
    hidden = os.path.join(os.path.realpath(hidden), "")  # noqa: PTH118
    scratch = os.path.join(os.path.realpath(scratch), "")  # noqa: PTH118
    real, join, fspath = os.path.realpath, os.path.join, os.fspath

    def audit(event: str, args: tuple[Any, ...]) -> None:
        if event in FORBIDDEN:
            raise NotAllowed(f"it {FORBIDDEN[event]}, which is not allowed here")
        if event == "import" and args[0].partition(".")[0] in imports:
            raise ImportError(f"{args[0]} may not be used here: this is what you build yourself")
        if event in ELSEWHERE:
            for path in args[:2]:
                if isinstance(path, str | bytes | os.PathLike):
                    name = os.fsdecode(fspath(path))
                    if not join(real(name), "").startswith(scratch):
                        raise NotAllowed(f"it {ELSEWHERE[event]} {name}, which is not allowed here")
        if event == "open" and isinstance(args[0], str | bytes | os.PathLike):
            name = os.fsdecode(fspath(args[0]))
            path = join(real(name), "")
            writes = isinstance(args[1], str) and any(c in args[1] for c in "wax+")
            flags = args[2] if isinstance(args[2], int) else 0
            if path.startswith(hidden):
                raise NotAllowed("it reads oneblock's own files, which is not allowed here")
            if (writes or flags & (os.O_WRONLY | os.O_RDWR | os.O_CREAT)) and not path.startswith(
                (scratch, "/dev/null/")
            ):
                raise NotAllowed(f"it writes the file {name}, which is not allowed here")

    sys.addaudithook(audit)
