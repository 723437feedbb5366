"""`--html`: an examination on one page: the verdict, findings worst first, the patient with its faults, heat maps."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import torch

import oneblock
from oneblock.doctor.checks import CHECKS
from oneblock.doctor.errors import DoctorError
from oneblock.doctor.finding import STATUSES, Finding, Report
from oneblock.doctor.pages.maps import draw_inside, draw_sees
from oneblock.doctor.pages.marks import draw_patient
from oneblock.doctor.pages.style import RULES
from oneblock.doctor.pages.views import Views
from oneblock.train.report.frame import framed, tiles
from oneblock.train.report.markup import Markup, element, join
from oneblock.train.report.pieces import section
from oneblock.train.report.ticks import label

WORDS = {
    "FAIL": "a fault",
    "WARN": "unusual",
    "INFO": "a choice",
    "PASS": "as it should be",
    "SKIP": "could not be asked",
}
ILL = ("FAIL", "WARN")
CELLS = ("badges", "id", "what")


def page(report: Report, views: Views, *more: Markup, command: str = "") -> str:
    """The whole page as HTML. more: sections that stand behind the pictures."""
    ordered = sorted(report.checks, key=lambda each: STATUSES.index(each.status))
    ill = [each for each in ordered if each.status in ILL]
    rest = [each for each in ordered if each.status not in (*ILL, "SKIP")]
    return framed(
        report.target,
        _lead(report),
        tiles(_figures(report, views)),
        section("What is wrong" if report.failed else "What is unusual", _table(ill)) if ill else None,
        _patient(report, ill, views),
        section("Inside, layer by layer", *maps) if (maps := draw_inside(views)) else None,
        *more,
        section("What is well or a choice", _table(rest), _skipped(ordered)),
        _origin(report, command),
        style=RULES,
    )


def write_page(path: Path, text: str) -> None:
    """Write a page. DoctorError where it cannot be written."""
    try:
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise DoctorError(f"the page cannot be written: {error}") from error


def _lead(report: Report) -> Markup:
    """The verdict in words."""
    failed = report.failed
    if report.healthy:
        warned = sum(each.status == "WARN" for each in report.checks)
        unusual = f" {_many(warned, 'thing is', 'things are')} unusual, and may be meant." if warned else ""
        words = [element("p", element("b", "Healthy."), f" No check found a fault.{unusual}")]
    elif not failed:
        words = [element("p", element("b", "Not examined."), " None of the checks could be asked.")]
    else:
        words = [element("p", element("b", f"{_many(len(failed), 'fault', 'faults')}."))]
        words += [element("p", f"{each.id}: {each.message}.") for each in failed[:3]]
        words += [element("p", f"And {len(failed) - 3} more, below.")] if len(failed) > 3 else []
    return element("div", *words, class_="verdict" if report.healthy else "verdict sick")


def _figures(report: Report, views: Views) -> list[tuple[str, str, str]]:
    counts = Counter(each.status for each in report.checks)
    sees = {True: "yes", False: "no"}[report.leaks] if any(each.id == "C1" for each in report.checks) else "not asked"
    size = [("parameters", f"{views.parameters:,}", "each once")] if views.parameters else []
    return [
        ("verdict", "healthy" if report.healthy else "sick", "healthy: no FAIL"),
        ("faults", str(counts["FAIL"]), f"and {counts['WARN']} unusual"),
        ("passed", str(counts["PASS"]), f"{counts['INFO']} choices told, {counts['SKIP']} not asked"),
        ("sees the future", sees, f"examined as: {report.kind}"),
        *size,
    ]


def _table(findings: Sequence[Finding]) -> Markup:
    names = ("verdict", "check", "what was found")
    head = element("tr", *(element("th", name, scope="col") for name in names))
    return element("table", element("thead", head), element("tbody", *map(_row, findings)), class_="findings")


def _row(each: Finding) -> Markup:
    badge = element("span", each.status, class_=f"badge {each.status}", title=WORDS[each.status])
    question = CHECKS[each.id].question if each.id in CHECKS else ""
    evidence = _evidence(each)
    if each.status not in ILL and evidence:
        evidence = element("details", element("summary", each.message), evidence)
    said = element("p", each.message, class_="said") if each.status in ILL or not evidence else None
    cells = (
        badge,
        element("b", each.id),
        join(element("p", question, class_="soft") if question else None, said, evidence),
    )
    return element(
        "tr", *(element("td", cell, class_=kind) for cell, kind in zip(cells, CELLS, strict=True)), class_=each.status
    )


def _evidence(each: Finding) -> Markup | None:
    measured = _number(each.value)
    if measured and each.threshold is not None:
        measured += f", held against {_number(each.threshold)}"
    pairs = {
        "where": each.where,
        "repair": each.repair,
        "measured": measured,
        "threshold from": each.source,
        "ask again": element("code", each.reproduce) if each.reproduce else "",
    }
    parts = [part for name, value in pairs.items() if value for part in (element("dt", name), element("dd", value))]
    return element("dl", *parts) if parts else None


def _skipped(findings: Sequence[Finding]) -> Markup | None:
    skipped = [each for each in findings if each.status == "SKIP"]
    if not skipped:
        return None
    words = f"{_many(len(skipped), 'check', 'checks')} could not be asked of this model, and why"
    return element("details", element("summary", words), _table(skipped))


def _patient(report: Report, ill: Sequence[Finding], views: Views) -> Markup | None:
    drawing = None
    if views.flow is not None:
        drawing = element(
            "div",
            draw_patient(views.flow, ill, report.target),
            class_="wide model",
            tabindex=0,
            role="group",
            aria_label="The model drawn",
        )
    marked = [
        element("li", element("span", each.id, class_=f"badge {each.status}"), element("span", each.message))
        for each in ill
    ]
    legend = element("ul", *marked, class_="legend") if marked and drawing else None
    sees = draw_sees(views)
    if drawing is None and not sees:
        return None
    return section("The patient", element("div", drawing, element("div", legend, *sees), class_="patient"))


def _origin(report: Report, command: str) -> Markup:
    lines = [
        f"Called as {report.called}.",
        "Every check works on copies; weights, gradients, modes and hooks were compared before and after, and are "
        "as they were.",
        f"oneblock {oneblock.__version__}, torch {torch.__version__}.",
    ]
    return section(
        "How it was examined",
        element("pre", command) if command else None,
        *(element("p", line) for line in lines),
    )


def _number(value: float | str | None) -> str:
    if value is None or isinstance(value, str):
        return value or ""
    return f"{value:.2e}" if value and math.isfinite(value) and abs(value) < 1e-4 else label(value)


def _many(count: int, one: str, more: str) -> str:
    return f"{count} {one if count == 1 else more}"
