"""What the operating system tells of this machine: its processor, its cores, its memory."""

from __future__ import annotations

import os
import platform
import subprocess
from pathlib import Path


def processor() -> str:
    """The processor's model name; the architecture ("aarch64") where the system does not tell the model."""
    if platform.system() == "Darwin":
        name = _output("sysctl", "-n", "machdep.cpu.brand_string")
    elif platform.system() == "Linux":
        lines = _text("/proc/cpuinfo").splitlines()
        name = next((line.partition(":")[2] for line in lines if line.startswith("model name")), "")
    else:
        name = platform.processor()
    return name.strip() or platform.machine() or "unknown"


def usable_cores() -> int:
    """Logical cores this process may use: those it is allowed to run on, within its container's share."""
    if hasattr(os, "sched_getaffinity"):
        cores = len(os.sched_getaffinity(0))
    else:
        cores = os.cpu_count() or 1
    quota, _, period = _text("/sys/fs/cgroup/cpu.max").strip().partition(" ")
    if quota.isdigit() and period.isdigit():
        # Half a core still runs one thread.
        cores = min(cores, max(1, round(int(quota) / int(period))))
    return cores


def memory() -> int | None:
    """Bytes of memory this process may use, within its container's limit; None where it cannot be told."""
    try:
        whole = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, ValueError, OSError):
        return None
    limit = _text("/sys/fs/cgroup/memory.max").strip()
    return min(whole, int(limit)) if limit.isdigit() else whole


def free_memory() -> int | None:
    """Bytes that can be allocated now without swapping; None where it cannot be told."""
    free = None
    for line in _text("/proc/meminfo").splitlines():
        if line.startswith("MemAvailable:"):
            free = int(line.split()[1]) * 1024
    limit, used = (_text(f"/sys/fs/cgroup/memory.{name}").strip() for name in ("max", "current"))
    if limit.isdigit() and used.isdigit():
        left = max(0, int(limit) - int(used))
        free = left if free is None else min(free, left)
    return free


def _text(path: str) -> str:
    try:
        return Path(path).read_text()
    except OSError:
        return ""


def _output(*command: str) -> str:
    try:
        return subprocess.run(command, capture_output=True, text=True, timeout=5, check=True).stdout
    except (OSError, subprocess.SubprocessError):
        return ""
