"""`path/to/file.py:factory`: tried in a process of its own, which may hang, eat memory or die; then run here."""

from __future__ import annotations

import contextlib
import importlib.util
import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from torch import nn

from oneblock.doctor import trial
from oneblock.doctor.errors import DoctorError

SECONDS, SHARE = 120.0, 0.5
"""What a factory may take: of time, and of the memory that is free."""


class TookTooLong(BaseException):
    """A limit of time is over; no `except Exception` on the way takes it for an error of its own."""


def tried(path: Path, name: str, seconds: float = SECONDS, most_bytes: int | None = None) -> str:
    """Run the factory in a process of its own; what it printed. DoctorError where it fails, hangs, dies or grows."""
    limit = most_bytes or int(free_bytes() * SHARE)
    command = [sys.executable, trial.__file__, str(path), name]
    with tempfile.TemporaryFile() as words, tempfile.TemporaryFile() as answer:
        child = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=answer, stderr=words)
        end, wrong = time.monotonic() + seconds, ""
        try:
            while child.poll() is None and not wrong:
                if time.monotonic() > end:
                    wrong = f"did not come back within {seconds:g} seconds: it hangs, or builds something very large"
                elif resident_bytes(child.pid) > limit:
                    wrong = f"took more than {limit / 2**30:.1f} GB of memory, half of what is free here"
                else:
                    time.sleep(0.02)
        finally:
            if child.poll() is None:
                child.kill()
                child.wait()
        words.seek(0)
        answer.seek(0)
        printed, said = words.read().decode(errors="replace"), answer.read().decode(errors="replace")
    if wrong:
        raise DoctorError(f"{path}:{name} {wrong}")
    last = next((line for line in reversed(said.splitlines()) if line.startswith(trial.MARK)), None)
    if last is None:
        how = f"signal {-child.returncode}" if child.returncode < 0 else f"exit status {child.returncode}"
        raise DoctorError(f"{path}:{name} ended its process ({how}) instead of giving a model")
    result = json.loads(last.removeprefix(trial.MARK))
    if result:
        place = f" ({result['line']})" if result["line"] else ""
        raise DoctorError(f"{path}:{name} {result['error']}{place}")
    return printed


def made(path: Path, name: str) -> tuple[Any, Any]:
    """(what the factory gives here, the factory itself or None where the name is no function)."""
    if not path.is_file():
        raise DoctorError(f"{path} is not there; give path/to/file.py:factory")
    tried(path, name)
    spec = importlib.util.spec_from_file_location(f"_doctor_{path.stem}", path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    thing: Any = None
    factory: Any = None
    try:
        with torch.random.fork_rng(devices=[]), contextlib.redirect_stdout(sys.stderr), beside(path):
            # Pickling, dataclasses and copies look a class up by its module's name.
            sys.modules[spec.name] = module
            spec.loader.exec_module(module)
            factory = getattr(module, name, None)
            is_factory = callable(factory) and not isinstance(factory, nn.Module)
            thing = factory() if is_factory else factory
    except (Exception, SystemExit) as error:
        raise DoctorError(
            f"{path}:{name} raised {type(error).__name__}: {error} ({trial.own_line(error, path)})"
        ) from error
    if thing is None:
        mine = [n for n, v in vars(module).items() if callable(v) and getattr(v, "__module__", "") == spec.name]
        offered = ", ".join(n for n in mine if not n.startswith("_"))
        what = f"{name}() gives None" if is_factory else f"has no {name}"
        raise DoctorError(f"{path}: {what}; it has {offered or 'no function of its own'}")
    return thing, factory if is_factory else None


@contextlib.contextmanager
def beside(path: Path) -> Iterator[None]:
    """The file's folder among those that imports are looked for in, as if it were run."""
    folder = str(path.resolve().parent)
    sys.path.insert(0, folder)
    try:
        yield
    finally:
        if folder in sys.path:
            sys.path.remove(folder)


@contextlib.contextmanager
def within(seconds: float) -> Iterator[None]:
    """TookTooLong where what runs inside takes longer; only in the main thread, where signals arrive, and on Unix."""
    if not hasattr(signal, "setitimer") or threading.current_thread() is not threading.main_thread():
        yield
        return

    def over(*_: object) -> None:
        raise TookTooLong(f"it took more than {seconds:g} seconds")

    before, (left, _) = signal.signal(signal.SIGALRM, over), signal.getitimer(signal.ITIMER_REAL)
    begun = time.monotonic()
    signal.setitimer(signal.ITIMER_REAL, min(seconds, left) if left else seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
        if left:
            # Somebody else's alarm goes on where it was.
            signal.setitimer(signal.ITIMER_REAL, max(0.01, left - (time.monotonic() - begun)))


def free_bytes() -> int:
    """Memory that is free on this machine, and in this process's group where that has less."""
    free = 4 * 2**30
    with contextlib.suppress(OSError, ValueError, IndexError):
        lines = Path("/proc/meminfo").read_text().splitlines()
        free = next(int(line.split()[1]) * 1024 for line in lines if line.startswith("MemAvailable"))
    with contextlib.suppress(OSError, ValueError):
        most = int(Path("/sys/fs/cgroup/memory.max").read_text())
        free = min(free, most - int(Path("/sys/fs/cgroup/memory.current").read_text()))
    return max(free, 2**28)


def resident_bytes(pid: int) -> int:
    """What a process holds in memory; 0 where that cannot be read."""
    with contextlib.suppress(OSError, ValueError, IndexError):
        return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    if sys.platform == "darwin":
        asked = subprocess.run(["ps", "-o", "rss=", "-p", str(pid)], capture_output=True, text=True, check=False)
        return int(asked.stdout.strip() or 0) * 1024
    return 0
