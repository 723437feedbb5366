"""A process of its own for one arm: `python -m oneblock.bench.worker`.

Orders come as JSON lines on stdin, answers go as JSON lines to what was stdout; it ends when stdin does.
Between two orders it waits in a read: no thread of it runs.
"""

from __future__ import annotations

import importlib
import json
import os
import shutil
import sys
import time
from collections.abc import Callable
from typing import Any

import torch

from oneblock.bench.contestant import Contestant
from oneblock.bench.job import OURS, Arm, Job, job_from_dict
from oneblock.bench.rivals import HF, NANOGPT, X_TRANSFORMERS
from oneblock.config.errors import OneblockError
from oneblock.machine.device import describe, pick_device, synchronize
from oneblock.machine.peak import matrix_peak, memory_bandwidth
from oneblock.machine.precision import pick_precision

PREPARE = {OURS: "ours", NANOGPT: "nanogpt", HF: "hugging_face", X_TRANSFORMERS: "x_transformers"}
"""Rival -> the file of this room that builds its arms; loaded only in its worker."""

MOST_STEPS = 10_000


class Worker:
    """Answers orders; each method is one."""

    def __init__(self) -> None:
        self.job: Job | None = None
        self.device = torch.device("cpu")
        self.contestant: Contestant | None = None
        self.step_seconds = 0.0

    def machine(self, job: dict[str, Any]) -> dict[str, Any]:
        """Where this is, and what it can do."""
        self._take(job)
        compilers = ("g++", "clang++", "c++") if self.device.type == "cpu" else ("cc", "gcc", "clang")
        return {
            "machine": describe(),
            "device": self.device.type,
            "precision": str(self._precision()).removeprefix("torch."),
            "compiler": bool(os.environ.get("CXX")) or any(map(shutil.which, compilers)),
        }

    def limits(self, seconds: float) -> dict[str, Any]:
        """The matrix peak (FLOP/s, in our compute precision) and the memory bandwidth (bytes/s), now."""
        peak = matrix_peak(self._precision(), self.device, seconds)
        return {"peak": peak} | self.bandwidth(seconds)

    def bandwidth(self, seconds: float) -> dict[str, float]:
        """The memory bandwidth alone (bytes/s), now."""
        return {"bandwidth": memory_bandwidth(self.device, seconds)}

    def prepare(self, job: dict[str, Any], arm: dict[str, Any]) -> dict[str, Any]:
        """Build, compile and prove one arm; run a step, and time the next."""
        self._take(job)
        assert self.job is not None
        # What is no rival's name is one of our own presets.
        room = importlib.import_module(f"oneblock.bench.{PREPARE.get(arm['rival'], PREPARE[OURS])}")
        contestant: Contestant = room.prepare(self.job, Arm(**arm), self.device)
        self.contestant = contestant
        for _ in range(2):
            contestant.step()
        self.step_seconds = self._timed(1)
        self._rest()
        measured = {"flops_per_token": contestant.flops_per_token, "step_seconds": self.step_seconds}
        return measured | contestant.facts

    def turn(self, seconds: float) -> dict[str, Any]:
        """One dropped step, then as many as fit into `seconds`, at least two.

        later_per_second: tokens/s without each text's first, where that was seen
        """
        assert self.contestant is not None and self.job is not None
        steps = min(MOST_STEPS, max(2, round(seconds / self.step_seconds)))
        self._timed(1)
        self.contestant.later.clear()
        took = self._timed(steps)
        self._rest()
        later, tokens = self.contestant.later, self.contestant.tokens
        after = len(later) * (tokens - self.job.batch) / sum(later) if later and self.job.new > 1 else None
        return {
            "steps": steps,
            "seconds": took,
            "tokens_per_second": steps * tokens / took,
            "later_per_second": after,
        }

    def _take(self, job: dict[str, Any]) -> None:
        self.job = job_from_dict(job)
        if self.job.threads:
            torch.set_num_threads(self.job.threads)
        self.device = pick_device(self.job.device)

    def _precision(self) -> torch.dtype:
        assert self.job is not None
        return pick_precision(self.job.config.recipe.precision, self.device)

    def _timed(self, steps: int) -> float:
        assert self.contestant is not None
        synchronize(self.device)
        began = time.perf_counter()
        for _ in range(steps):
            self.contestant.step()
        synchronize(self.device)
        return time.perf_counter() - began

    def _rest(self) -> None:
        """Arms on one GPU share its memory: what a step needs is given back before another's turn."""
        if self.device.type == "cuda":
            assert self.contestant is not None
            self.contestant.rest()
            torch.cuda.empty_cache()


def answer(worker: Worker, order: dict[str, Any]) -> dict[str, Any]:
    """The answer to one order; what goes wrong is an answer too."""
    do: Callable[..., dict[str, Any]] = getattr(worker, order.pop("do"))
    try:
        return do(**order)
    except OneblockError as error:
        return {"error": str(error), "refused": True}
    except Exception as error:
        import traceback

        traceback.print_exc()
        first = (str(error).strip() or type(error).__name__).splitlines()[0]
        return {"error": f"{type(error).__name__}: {first}"[:300], "refused": False}


def main() -> None:
    """Serve until stdin ends."""
    # What rivals print must not come between the answers: their stdout becomes stderr.
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    worker = Worker()
    for line in sys.stdin:
        answers.write(json.dumps(answer(worker, json.loads(line))) + "\n")
        answers.flush()


if __name__ == "__main__":
    main()
