"""What an examination looks like: one page, and words for a terminal."""

from __future__ import annotations

from pathlib import Path

from oneblock.doctor.depth import DepthReport
from oneblock.doctor.finding import Report
from oneblock.doctor.pages.deep import deep_section
from oneblock.doctor.pages.page import page, write_page
from oneblock.doctor.pages.terminal import as_text, deep_text
from oneblock.doctor.pages.views import Views, view
from oneblock.doctor.patient import Patient

__all__ = ["Views", "as_text", "deep_text", "page", "view", "write_report"]


def write_report(path: Path, report: Report, patient: Patient, deep: DepthReport | None = None) -> None:
    """Write the page of an examination, with its pictures; the patient is left as it was."""
    sections = [deep_section(deep)] if deep else []
    command = f"oneblock doctor {report.target} --html {path}" + (" --depth-report" if deep else "")
    write_page(path, page(report, view(patient, report), *sections, command=command))
