"""The learner's process, seen from here: started, asked, waited for, and ended; each way it can die has its words.

Loads no torch: the process can be started before this one loads its own.
"""

from __future__ import annotations

import contextlib
import os
import re
import select
import signal
import struct
import subprocess
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import IO, Any

from oneblock.learn import sandbox
from oneblock.learn.errors import LearnError
from oneblock.learn.pulse import Pulse

FOREIGN = ("oneblock", "transformers", "x_transformers", "flash_attn", "xformers")
"""Packages that would do the exercise for the learner."""
CLOSED = "your code has closed file descriptors that it has not opened, among them the channel for answers"
PRINTED = 2**20
"""How much of what the learner's code prints is kept, in bytes."""


@dataclass(frozen=True, kw_only=True)
class Limits:
    """seconds, total: of processor time, for one call and for all; memory: bytes beyond what Python and torch need.

    Time on the clock says little on a busy machine; start: in which Python and torch must be there; wall: in which an
    answer must come; idle: how long a call may do nothing at all.
    """

    seconds: float = 5.0
    total: float = 60.0
    memory: int = 2 * 2**30
    start: float = 180.0
    wall: float = 120.0
    idle: float = 4.0


class Ended(Exception):
    """The learner's process is gone, or had to be ended; the message says why, for the learner."""

    def __init__(self, message: str, line: int = 0) -> None:
        super().__init__(message)
        self.line = line


def _called(asked: Any) -> Any:
    """What a function that is lent gives to the learner's code."""
    from oneblock.learn.child.desk import lent
    from oneblock.learn.child.wire import LENT, WireError

    try:
        number, args, kwargs = asked
        known = number in LENT and isinstance(args, tuple) and isinstance(kwargs, dict)
    except (TypeError, ValueError):
        known = False
    if not known:
        raise WireError("a question about a function that nobody has lent")
    return lent(number, args, kwargs)


class Child:
    """One fresh process. `open` shows it the file, `ask` gives one order; after `Ended` there is nothing to ask."""

    def __init__(self, limits: Limits | None = None, preload: str = "") -> None:
        self.limits = limits or Limits()
        self.scratch = tempfile.TemporaryDirectory(prefix="oneblock-check-")
        self.said: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115 - closed in close()
        self.traces: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115
        orders_there, self.orders = os.pipe()
        self.answers, answers_there = os.pipe()
        there = (orders_there, answers_there, self.traces.fileno())
        command, self.shut_in = sandbox.command(self.scratch.name, there, preload)
        environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
        environment |= {
            "CUDA_VISIBLE_DEVICES": "", "PYTHONNOUSERSITE": "1", "TMPDIR": self.scratch.name,
            **{f"{name}_NUM_THREADS": "1" for name in ("OMP", "MKL", "OPENBLAS")},
        }  # fmt: skip
        self.process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=self.said,
            stderr=self.said,
            env=environment,
            pass_fds=there,
            # Ctrl-C is for us; and what it might start ends with it.
            start_new_session=True,
        )
        os.close(orders_there)
        os.close(answers_there)
        self.number, self.ready, self.path, self.ended = 0, False, Path(), ""

    def open(self, path: Path, watched: tuple[str, ...]) -> dict[str, Any]:
        """Run the learner's file there. Its answer's value is the names that the file has."""
        self.path = path
        self.wait()
        order = {
            "do": "open", "path": str(path), "watched": watched, "hidden": str(sandbox.HIDDEN), "imports": FOREIGN,
            "scratch": self.scratch.name, "memory": self.limits.memory, "seconds": self.limits.seconds,
            "total": self.limits.total,
        }  # fmt: skip
        return self.ask(order)

    def wait(self) -> None:
        """Until Python and torch are there; that is not the learner's time. LearnError where they do not come."""
        if self.ready:
            return
        try:
            self._message(time.monotonic() + self.limits.start, None)
        except (TimeoutError, OSError):
            end = self.printed().strip().splitlines()[-1:]
            self._kill()
            raise LearnError(
                f"the process for your code has not started within {self.limits.start:.0f} s"
                + (f": {end[0][:300]}" if end else "; is this machine very busy?")
            ) from None
        self.ready = True

    def ask(self, order: dict[str, Any]) -> dict[str, Any]:
        """The answer to an order. Ended where none comes, in words for the learner."""
        from oneblock.learn.child.wire import WireError, pack

        if self.ended:
            raise Ended(self.ended)
        self.number += 1
        deadline = time.monotonic() + self.limits.wall
        try:
            self._send(pack({"number": self.number} | order), deadline)
            pulse = Pulse(self.process.pid, idle=self.limits.idle, busy=2 * self.limits.seconds)
            answer = self._message(deadline, pulse)
            while isinstance(answer, dict) and "lent" in answer:
                self._send(pack({"lent": _called(answer["lent"])}), deadline)
                answer = self._message(deadline, pulse)
            if not (isinstance(answer, dict) and answer.get("number") == self.number and "after" in answer):
                raise WireError("not the answer to what was asked")
        except WireError as error:
            raise self._end(
                f"something that is no answer came through the channel for answers ({error}): "
                "does your code write to file descriptors that it has not opened?"
            ) from None
        except TimeoutError as error:
            raise self._hangs(str(error)) from None
        except OSError:
            raise self._died() from None
        return answer

    def printed(self) -> str:
        """What the learner's code has printed, to both streams."""
        self.said.seek(0)
        return self.said.read(PRINTED).decode(errors="replace")

    def _send(self, data: bytes, deadline: float) -> None:
        os.set_blocking(self.orders, False)
        view = memoryview(data)
        while view:
            if not select.select([], [self.orders], [], max(0.0, deadline - time.monotonic()))[1]:
                raise TimeoutError("takes no order")
            view = view[os.write(self.orders, view) :]

    def _message(self, deadline: float, pulse: Pulse | None) -> Any:
        from oneblock.learn.child.wire import LIMIT, WireError, unpack

        (length,) = struct.unpack("<Q", self._read(8, deadline, pulse))
        if length > LIMIT:
            raise WireError("too long")
        return unpack(self._read(length, deadline, pulse))

    def _read(self, count: int, deadline: float, pulse: Pulse | None) -> bytearray:
        data = bytearray()
        while len(data) < count:
            if not select.select([self.answers], [], [], 0.5)[0]:
                if pulse is not None and (wrong := pulse.wrong()):
                    raise TimeoutError(wrong)
                if time.monotonic() > deadline:
                    raise TimeoutError(f"no answer within {self.limits.wall:.0f} s")
                continue
            part = os.read(self.answers, min(count - len(data), 2**20))
            if not part:
                raise BrokenPipeError
            data += part
        return data

    def _hangs(self, what: str) -> Ended:
        with contextlib.suppress(OSError):
            # Inside bubblewrap the signal would reach bubblewrap alone.
            os.killpg(self.process.pid, signal.SIGUSR1) if not self.shut_in else None
            time.sleep(0.2)
        line = self._last_line()
        return self._end(f"{what}{f' (line {line})' if line else ''}", line)

    def _died(self) -> Ended:
        try:
            status = self.process.wait(timeout=5)
        except subprocess.TimeoutExpired:
            return self._end(CLOSED)
        # A shell's and bubblewrap's way of saying that a signal ended it.
        status = 128 - status if status > 128 else status
        line = self._last_line()
        where = f" (line {line})" if line else ""
        if status == -signal.SIGPROF:
            allowed = f"{self.limits.seconds:g} s of computing"
            return self._end(f"no answer after {allowed}: a loop that does not end?{where}", line)
        if status == -signal.SIGXCPU:
            return self._end(f"all calls together took more than {self.limits.total:g} s of computing{where}", line)
        if status == -signal.SIGKILL:
            return self._end(f"the system has ended your code: too much memory?{where}", line)
        if status == 93:
            return self._end(f"{CLOSED}{where}", line)
        if status < 0:
            with contextlib.suppress(ValueError):
                return self._end(f"your code crashed Python itself ({signal.Signals(-status).name}){where}", line)
        return self._end(f"your code ended its process (exit status {status}) instead of returning", line)

    def _last_line(self) -> int:
        self.traces.seek(0)
        said = self.traces.read(PRINTED).decode(errors="replace")
        # As faulthandler writes it, the innermost call first.
        found = re.search(rf'File "[^"]*{re.escape(self.path.name)}", line (\d+)', said) if self.path.name else None
        return int(found.group(1)) if found else 0

    def _end(self, message: str, line: int = 0) -> Ended:
        self.ended = message
        self._kill()
        return Ended(message, line)

    def _kill(self) -> None:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()

    def close(self) -> None:
        """End it, and remove what it wrote."""
        if self.orders < 0:
            return
        self._kill()
        for descriptor in (self.orders, self.answers):
            with contextlib.suppress(OSError):
                os.close(descriptor)
        self.orders = self.answers = -1
        self.said.close()
        self.traces.close()
        self.scratch.cleanup()

    def __enter__(self) -> Child:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
