"""`examine_log(path)`: what happened in a training."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from oneblock.doctor.errors import DoctorError
from oneblock.doctor.logs.evidence import gather
from oneblock.doctor.logs.log import Log
from oneblock.doctor.logs.reading import read_log
from oneblock.doctor.logs.report import LogReport, report_of

FEWEST = 8


def examine_log(
    log: Path | str | Log, *, run: Path | str | None = None, tell: Callable[[str], None] = lambda text: None
) -> LogReport:
    """Read a log and say what begins when, and which causes that is consistent with.

    run: the folder it is of; its steps around the onset are then taken once more. DoctorError where there is no log,
    no loss, or fewer than 8 losses: less has no median to leave.
    """
    found = log if isinstance(log, Log) else read_log(log)
    points = len(found.series["loss"])
    if points < FEWEST:
        raise DoctorError(f"{found.name} has {points} losses; at least {FEWEST} are needed to say what is usual")
    report = report_of(gather(found))
    if run is None or report.onset_step is None:
        return report
    from oneblock.doctor.logs.replay import replay

    return replace(report, replay=replay(run, found, report.onset_step, tell))
