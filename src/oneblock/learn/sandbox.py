"""How far the learner's process is shut in: by bubblewrap where the system has it, else by limits alone."""

from __future__ import annotations

import functools
import shutil
import subprocess
import sys
from pathlib import Path

CHILD = Path(__file__).parent / "child"
HIDDEN = Path(__file__).parents[1]
"""Where the right answers lie: exercises, and blocks that would be one."""
NO_SANDBOX = (
    "no sandbox here (it needs bubblewrap, bwrap): your file runs with limits on time, memory and files, so grade only "
    "what you would run yourself"
)


@functools.cache
def bubblewrap() -> str | None:
    """The path of a bubblewrap that works here."""
    path = shutil.which("bwrap")
    if path is None:
        return None
    try:
        done = subprocess.run(wrapped(path, "/tmp", ["true"]), capture_output=True, timeout=10)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return path if done.returncode == 0 else None


def wrapped(path: str, scratch: str, command: list[str]) -> list[str]:
    """A command inside bubblewrap: everything to be read but the right answers, one folder to write, no network."""
    return [
        path, "--ro-bind", "/", "/", "--dev", "/dev", "--proc", "/proc", "--bind", scratch, scratch,
        "--tmpfs", str(HIDDEN), "--ro-bind", str(CHILD), str(CHILD),
        "--unshare-net", "--unshare-ipc", "--unshare-pid", "--die-with-parent", "--", *command,
    ]  # fmt: skip


def command(scratch: str, pipes: tuple[int, ...], preload: str = "") -> tuple[list[str], bool]:
    """What starts the learner's process, and whether that is a sandbox.

    pipes: for orders, answers, traces; preload: a module that is imported before anything is asked.
    """
    program = str(CHILD / "__main__.py")
    # Isolated: neither PYTHONPATH nor the working directory is searched for modules.
    plain = [sys.executable, "-I", program, *map(str, pipes), preload]
    path = bubblewrap()
    return (wrapped(path, scratch, plain), True) if path else (plain, False)
