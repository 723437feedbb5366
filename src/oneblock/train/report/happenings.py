"""What happened to a run besides steps: starts, stops, skips, rollbacks, resumes, as a small log."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from oneblock.train.report.figures import counted, duration
from oneblock.train.report.history import Event, History
from oneblock.train.report.markup import Markup, element
from oneblock.train.report.pieces import section, table

MOST = 60
QUIET = ("end",)


def happenings(history: History) -> Markup:
    """The log as a section; of a long one the beginning and the end."""
    shown = [event for event in history.happenings if event["event"] not in QUIET]
    rows: list[Sequence[object]] = [_row(event) for event in shown]
    if len(rows) > MOST:
        left_out = len(rows) - MOST
        rows[MOST // 2 : -MOST // 2] = [("…", "", f"{counted(left_out, 'more entry').replace('entrys', 'entries')}")]
    skips = sum(event["event"] == "skip" for event in history.happenings)
    rollbacks = sum(event["event"] == "rollback" for event in history.happenings)
    words = f"{counted(skips, 'step')} skipped, {counted(rollbacks, 'rollback')}."
    return section(
        "What happened",
        element("p", words),
        element("div", table(("step", "time", "what"), rows, numbers=2), class_="wide") if rows else None,
    )


def _row(event: Event) -> tuple[str, str, str]:
    return f"{event['step']:,}", duration(event.get("seconds")), _words(event)


def _words(event: Event) -> str:
    given: dict[str, Any] = dict(event)
    match event["event"]:
        case "start":
            return "started" if event["step"] == 0 else f"started again at step {event['step']:,}"
        case "compiling":
            return str(given.get("words") or "compiling")
        case "horizon":
            milliseconds = 1e3 * given.get("step_seconds", 0.0)
            return f"{milliseconds:.0f} ms a step, so {given.get('steps', 0):,} steps in the time given"
        case "resume":
            torn = given.get("skipped") or []
            words = f"resumed from step {given.get('from_step', event['step']):,}"
            return f"{words}; not whole, left out: {'; '.join(map(str, torn))}" if torn else words
        case "skip":
            return f"skipped: {given.get('reason', '')}"
        case "rollback":
            return f"went back to step {given.get('to_step', event['step']):,}: {given.get('reason', '')}"
        case "stopped":
            return "stopped on request, after saving"
        case kind:
            return str(kind)
