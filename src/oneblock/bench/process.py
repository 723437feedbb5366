"""The parent's side of a worker process: orders out, answers in, and what it said last if it dies."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from types import TracebackType
from typing import IO, Any

COMMAND = [sys.executable, "-m", "oneblock.bench.worker"]

TAIL_LINES = 12


class DeadWorkerError(Exception):
    """A worker ended before it answered; the message has its exit status and the end of its stderr."""


class OrderError(Exception):
    """A worker could not carry out an order, and lives; `refused`: because of what it was asked."""

    def __init__(self, message: str, refused: bool) -> None:
        super().__init__(message)
        self.refused = refused


class Process:
    """One worker. `ask` is one order and its answer; nothing else runs in between."""

    def __init__(self, threads: int | None = None, cores: int | None = None) -> None:
        environment = dict(os.environ)
        # The package may be run from where it lies.
        source = str(Path(__file__).resolve().parents[2])
        known = environment.get("PYTHONPATH")
        environment["PYTHONPATH"] = os.pathsep.join(filter(None, [source, known]))
        if threads:
            environment["OMP_NUM_THREADS"] = str(threads)
        self.stderr: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115 - closed in close()
        self.process = subprocess.Popen(
            COMMAND,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self.stderr,
            env=environment,
        )
        if cores and hasattr(os, "sched_setaffinity"):
            os.sched_setaffinity(self.process.pid, sorted(os.sched_getaffinity(0))[:cores])

    def ask(self, do: str, **order: Any) -> dict[str, Any]:
        """The answer to an order. OrderError where it cannot be done, DeadWorkerError where none comes."""
        assert self.process.stdin is not None and self.process.stdout is not None
        try:
            self.process.stdin.write(json.dumps({"do": do, **order}).encode() + b"\n")
            self.process.stdin.flush()
        except BrokenPipeError:
            raise self._died() from None
        line = self.process.stdout.readline()
        if not line:
            raise self._died()
        answer: dict[str, Any] = json.loads(line)
        if "error" in answer:
            raise OrderError(answer["error"], answer["refused"])
        return answer

    def _died(self) -> DeadWorkerError:
        status = self.process.wait()
        self.stderr.seek(0)
        lines = self.stderr.read().decode(errors="replace").strip().splitlines()[-TAIL_LINES:]
        said = "\n".join(f"    {line}" for line in lines) or "    (it said nothing)"
        how = f"signal {-status}" if status < 0 else f"exit status {status}"
        return DeadWorkerError(f"its process ended ({how}); the end of what it said:\n{said}")

    def close(self) -> None:
        """End it."""
        assert self.process.stdin is not None and self.process.stdout is not None
        try:
            self.process.stdin.close()
            self.process.wait(timeout=5)
        except (OSError, subprocess.TimeoutExpired):
            self.process.kill()
            self.process.wait()
        self.process.stdout.close()
        self.stderr.close()

    def __enter__(self) -> Process:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
