"""Whether a process does anything: one that sleeps will not answer, one that waits for the processor will."""

from __future__ import annotations

import os
import time
from pathlib import Path


class Pulse:
    """Watches one process, or the innermost that it has started (bubblewrap starts ours). Needs Linux's /proc.

    idle: seconds that it may sleep; busy: seconds that it may compute (it ends itself before, unless it is kept from).
    """

    def __init__(self, process: int, *, idle: float, busy: float) -> None:
        self.process, self.idle, self.busy = process, idle, busy
        self.inner, self.first, self.used, self.since = 0, -1, -1, 0.0

    def wrong(self) -> str:
        """Why there is nothing to wait for, in words for the learner; "" where there is, or where that is unknown."""
        self.inner = self.inner or innermost(self.process)
        found = state(self.inner)
        if found is None:
            return ""
        letter, used = found
        now = time.monotonic()
        self.first = used if self.first < 0 else self.first
        if letter != "S" or used != self.used:
            self.used, self.since = used, now
        if now - self.since > self.idle:
            return f"your code waits for something that never comes: it has done nothing for {self.idle:g} s"
        if (used - self.first) / os.sysconf("SC_CLK_TCK") > self.busy:
            return f"no answer after {self.busy:g} s of computing: a loop that does not end?"
        return ""


def state(process: int) -> tuple[str, int] | None:
    """Its state as a letter, and the processor time it has used, in ticks."""
    try:
        # The name before it, in brackets, may hold anything.
        words = Path(f"/proc/{process}/stat").read_text(encoding="ascii", errors="replace").rpartition(")")[2].split()
        return words[0], int(words[11]) + int(words[12])
    except (OSError, ValueError, IndexError):
        return None


def innermost(process: int) -> int:
    """The last of the line of first children."""
    while True:
        try:
            children = Path(f"/proc/{process}/task/{process}/children").read_text(encoding="ascii").split()
        except OSError:
            return process
        if not children:
            return process
        process = int(children[0])
