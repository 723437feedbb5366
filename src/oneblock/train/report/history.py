"""What a run's metrics tell, in order: the path that stands, what was undone, what happened."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

Event = Mapping[str, Any]

HAPPENINGS = ("start", "compiling", "horizon", "resume", "skip", "rollback", "stopped", "end")


@dataclass
class History:
    """The events of a run, each kind with steps in rising order.

    `steps`, `skips`, `evaluations`, `samples` hold what led to the present weights; `undone` holds the steps
    a rollback took back, one list a time; `happenings` holds everything else as it came.
    """

    steps: list[Event] = field(default_factory=list)
    skips: list[Event] = field(default_factory=list)
    evaluations: list[Event] = field(default_factory=list)
    samples: list[Event] = field(default_factory=list)
    undone: list[list[Event]] = field(default_factory=list)
    happenings: list[Event] = field(default_factory=list)
    step: int = 0

    @property
    def start(self) -> Event:
        """The newest start of the run; empty where there is none."""
        return next((event for event in reversed(self.happenings) if event["event"] == "start"), {})

    @property
    def commands(self) -> list[str]:
        """The commands that began the run and went on with it, each once, in order."""
        starts = (event for event in self.happenings if event["event"] == "start")
        return list(dict.fromkeys(str(event["command"]) for event in starts if event.get("command")))

    @property
    def kept(self) -> Event | None:
        """The evaluation whose weights are kept, as far as the metrics tell."""
        return next((event for event in reversed(self.evaluations) if event.get("kept")), None)


def read_history(events: Iterable[Event]) -> History:
    """The history of a run from the lines of its metrics.

    Where the step count goes back (a rollback, or a log that was not cut at a resume), what came after that
    step no longer stands.
    """
    history = History()
    lists = {
        "step": history.steps,
        "skip": history.skips,
        "evaluate": history.evaluations,
        "sample": history.samples,
    }
    for event in events:
        kind, step = event.get("event"), event.get("step")
        if not isinstance(kind, str) or not isinstance(step, int):
            continue
        # A step or a skip reaches its count anew; everything else speaks of the count it finds.
        stands = step - 1 if kind in ("step", "skip") else step
        if history.step > stands:
            _undo(history, lists.values(), stands)
        history.step = step
        if kind in lists:
            lists[kind].append(event)
        if kind in HAPPENINGS:
            history.happenings.append(event)
    return history


def _undo(history: History, lists: Iterable[list[Event]], stands: int) -> None:
    for events in lists:
        first = len(events)
        while first and events[first - 1]["step"] > stands:
            first -= 1
        if events is history.steps and first < len(events):
            history.undone.append(events[first:])
        del events[first:]
