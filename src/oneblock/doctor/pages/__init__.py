"""What an examination looks like: one page, and words for a terminal."""

from __future__ import annotations

from pathlib import Path

from oneblock.doctor.depth import DepthReport
from oneblock.doctor.finding import Report
from oneblock.doctor.logs.report import LogReport
from oneblock.doctor.pages.apart import flow_seen, parity_page
from oneblock.doctor.pages.deep import deep_section
from oneblock.doctor.pages.happened import log_page
from oneblock.doctor.pages.page import page, write_page
from oneblock.doctor.pages.terminal import as_text, deep_text
from oneblock.doctor.pages.views import Views, view
from oneblock.doctor.parity import Parity
from oneblock.doctor.patient import Patient

__all__ = ["Views", "as_text", "deep_text", "page", "view", "write_log", "write_parity", "write_report"]


def write_report(path: Path, report: Report, patient: Patient, deep: DepthReport | None = None) -> None:
    """Write the page of an examination, with its pictures; the patient is left as it was."""
    sections = [deep_section(deep)] if deep else []
    command = f"oneblock doctor {report.target} --html {path}" + (" --depth-report" if deep else "")
    write_page(path, page(report, view(patient, report), *sections, command=command))


def write_parity(path: Path, found: Parity, reference: Patient) -> None:
    """Write the page of a comparison; the block that is drawn is the reference's."""
    command = f"oneblock doctor {found.target} --against {found.reference} --html {path}"
    write_page(path, parity_page(found, None if found.agree else flow_seen(reference), command=command))


def write_log(path: Path, report: LogReport, run: str | None = None) -> None:
    """Write the page of a training's log. run: the TARGET whose steps were taken once more."""
    target = f"{run} " if run else ""
    write_page(path, log_page(report, command=f"oneblock doctor {target}--log {report.name} --html {path}"))
