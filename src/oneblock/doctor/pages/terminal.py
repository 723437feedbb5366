"""A report in a terminal: a table, worst first, the evidence of each fault under it, folded to the window's width."""

from __future__ import annotations

import math
import shutil
import sys
import textwrap
from collections.abc import Iterator, Sequence

from oneblock.doctor.deep_answers import answers
from oneblock.doctor.depth import DepthReport
from oneblock.doctor.finding import STATUSES, Finding, Report

COLORS = {"FAIL": "1;31", "WARN": "1;33", "INFO": "36", "PASS": "32", "SKIP": "2"}
EVIDENCE, MARGIN = 6, 11
NARROWEST, WIDEST = 50, 120
"""Columns: lines longer than the widest are hard to read."""


def as_text(report: Report, *, width: int | None = None, color: bool | None = None) -> str:
    """The whole report. width: of the terminal, where it is not given; color: whether stdout is one."""
    width = max(NARROWEST, min(width or shutil.get_terminal_size((100, 24)).columns, WIDEST))
    color = sys.stdout.isatty() if color is None else color
    ordered = sorted(report.checks, key=lambda each: STATUSES.index(each.status))
    lines = [*_fold(f"{report.target}: {_verdict(report)}", width), *_fold(f"called as {report.called}", width), ""]
    before = ""
    for each in (each for each in ordered if each.status != "SKIP"):
        if before and (each.status in ("FAIL", "WARN") or each.status != before):
            lines.append("")
        lines += _finding(each, width, color)
        before = each.status
    return "\n".join([*lines, *_skipped(ordered, width, color)])


def deep_text(report: DepthReport, *, width: int | None = None, color: bool | None = None) -> str:
    """The depth report: a column for each depth, then the five answers."""
    width = max(NARROWEST, min(width or shutil.get_terminal_size((100, 24)).columns, WIDEST))
    color = sys.stdout.isatty() if color is None else color
    if report.refused:
        return "\n".join(_fold(f"no depth report: {report.refused}", width))
    depths = report.depths
    rows = [
        ("layers", [str(each.layers) for each in depths]),
        ("parameters", [f"{each.parameters:,}" for each in depths]),
        ("stream, first block", [f"{each.stream[1]:.3g}" for each in depths]),
        ("stream, last block", [f"{each.stream[-1]:.3g}" for each in depths]),
        ("largest std·√inputs", [f"{max(each.spread.values(), default=math.nan):.3g}" for each in depths]),
        ("largest logit", [f"{max(each.logits, default=math.nan):.3g}" for each in depths]),
        ("gradient, first block", [f"{each.gradients[0]:.3g}" for each in depths]),
        ("gradient, last block", [f"{each.gradients[-1]:.3g}" for each in depths]),
        ("first loss", [f"{each.loss:.3f}" for each in depths]),
    ]
    wide = max(len(cell) for _, cells in rows for cell in cells) + 2
    lines = [f"{name:24}" + "".join(cell.rjust(wide) for cell in cells) for name, cells in rows]
    lines.append("")
    for each in answers(report):
        first, *more = _hang(f"{each.status}  {each.question}", width, EVIDENCE)
        lines += [first.replace(each.status, _painted(each.status, color), 1), *more]
        lines += _hang(each.message, width, EVIDENCE, EVIDENCE)
    return "\n".join(lines)


def _verdict(report: Report) -> str:
    faults, warned = len(report.failed), sum(each.status == "WARN" for each in report.checks)
    said = "healthy" if report.healthy else f"{faults} fault{'' if faults == 1 else 's'}"
    return f"{said}{f', {warned} unusual' if warned else ''} ({report.kind})"


def _skipped(findings: Sequence[Finding], width: int, color: bool) -> list[str]:
    """What could not be asked, by reason."""
    reasons: dict[str, list[str]] = {}
    for each in findings:
        if each.status == "SKIP":
            reasons.setdefault(each.message, []).append(each.id)
    lines = [line for why, ids in reasons.items() for line in _head("SKIP", f"{' '.join(ids)}: {why}", width, color)]
    return ["", *lines] if lines else []


def _head(status: str, text: str, width: int, color: bool) -> list[str]:
    """A status and its words; it is painted after folding, for colours take no room."""
    first, *more = _hang(f"{status}  {text}", width, MARGIN)
    return [first.replace(status, _painted(status, color), 1), *more]


def _finding(each: Finding, width: int, color: bool) -> Iterator[str]:
    yield from _head(each.status, f"{each.id:4} {each.message}", width, color)
    if each.status not in ("FAIL", "WARN"):
        return
    measured = _number(each.value)
    if measured and each.threshold is not None:
        measured += f", held against {_number(each.threshold)}" + (f" ({each.source})" if each.source else "")
    pairs = {"where": each.where, "repair": each.repair, "measured": measured, "ask again": each.reproduce}
    for name, text in pairs.items():
        if text:
            yield from _hang(f"{name}: {text}", width, MARGIN + 2, MARGIN, whole=name == "ask again")


def _painted(status: str, color: bool) -> str:
    return f"\x1b[{COLORS[status]}m{status}\x1b[0m" if color else status


def _hang(text: str, width: int, hang: int, first: int = 0, *, whole: bool = False) -> list[str]:
    """Folded, with `hang` spaces before all lines but the first; `whole`: a command, which is not broken."""
    if whole:
        return [" " * first + text]
    return textwrap.wrap(
        text,
        width,
        initial_indent=" " * first,
        subsequent_indent=" " * hang,
        break_long_words=False,
        break_on_hyphens=False,
    )


def _fold(text: str, width: int) -> list[str]:
    return _hang(text, width, 2)


def _number(value: float | str | None) -> str:
    return f"{value:.3g}" if isinstance(value, int | float) else value or ""
