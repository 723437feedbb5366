"""Shortcuts seen beneath Python: which of torch's operators ran, whatever was switched off above them."""

from __future__ import annotations

import functools
import sys
import traceback
from collections.abc import Callable, Iterable
from typing import Any

import torch
import torch.nn.functional as F
from torch.autograd import profiler

WHOLE = "torch.nn.functional.multi_head_attention_forward"
"""Attention that torch has written in Python, of operators that everybody may use."""


class Operators:
    """Notes operators whose name is in `names`, by torch's own profiler: also those of a script, or unwatched above.

    Every event is kept until the end, so this is for a call that has been seen to end. disturbed: somebody else has
    used the profiler meanwhile. Where a torch has no such profiler nothing is noted.
    """

    def __init__(self, names: Iterable[str]) -> None:
        self.names = frozenset(names)
        self.seen: list[dict[str, Any]] = []
        self.disturbed = False
        state: Any = torch._C._autograd
        self.start: Callable[..., Any] | None = getattr(state, "_enable_profiler_legacy", None)
        self.stop: Callable[..., Any] | None = getattr(state, "_disable_profiler_legacy", None)

    def __enter__(self) -> Operators:
        if self.start is None or self.stop is None:
            return self
        # What is recorded: no shapes, no memory, no stack, no counts of operations or modules.
        config = profiler.ProfilerConfig(
            profiler.ProfilerState.CPU, False, False, False, False, False, profiler._ExperimentalConfig()
        )
        try:
            self.start(config)
        except RuntimeError:
            self.disturbed, self.stop = True, None
        return self

    def __exit__(self, *error: object) -> None:
        if self.start is None or self.stop is None:
            return
        try:
            events = {event.name() for thread in self.stop() for event in thread}
        except RuntimeError:
            self.disturbed = True
            return
        found = {name.removeprefix("aten::") for name in events if name.startswith("aten::")}
        self.seen = [
            {"name": f"torch.ops.aten.{name}", "line": 0}
            for name in sorted(found & self.names, key=lambda name: (name[:1] == "_", name))
        ]


def watch_whole() -> list[list[tuple[str, int]]]:
    """From now on each call of torch's own multi-head attention is noted: files and lines above it, innermost first.

    For a process that is the learner's, before anything is kept of how torch was.
    """
    real, noted = F.multi_head_attention_forward, []

    @functools.wraps(real)
    def whole(*args: Any, **kwargs: Any) -> Any:
        noted.append([(frame.f_code.co_filename, line) for frame, line in traceback.walk_stack(sys._getframe(1))])
        return real(*args, **kwargs)

    F.multi_head_attention_forward = whole
    return noted
