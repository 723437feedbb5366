"""X1, F1: questions that need a second thing to look at, and are asked by options of their own."""

from __future__ import annotations

from oneblock.doctor.checks.check import skip
from oneblock.doctor.finding import Finding
from oneblock.doctor.patient import Patient


def reference(patient: Patient) -> Finding:
    """X1: only where a reference is given."""
    return skip("no reference was given: --against REF")


def log(patient: Patient) -> Finding:
    """F1: only where a log is given."""
    return skip("no log was given: --log FILE")
