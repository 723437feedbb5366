"""What stands before all comparisons: whether a model in eval mode answers the same call in the same way."""

from __future__ import annotations

import torch

from oneblock.doctor.checks.check import GOOD
from oneblock.doctor.finding import Finding
from oneblock.doctor.look import narrowed
from oneblock.doctor.patient import Patient, difference

COMPARE = (
    *("C1", "C2", "C3", "C4", "C5", "K1", "K2", "K3", "P1", "B1", "R0", "R1", "R2", "R3", "N1", "A1", "A5"),
    *("W1", "W2", "L1", "L2", "E2"),
)
"""Checks that hold two answers against each other."""
ROUNDED = 3e-2
"""Differences that rounding to 16 bits inside explains: 2⁻⁸ in bfloat16, a few times over."""


def unsteady(patient: Patient) -> bool:
    """Whether the same call, asked twice, is answered twice."""
    model = patient.stirred
    try:
        with torch.no_grad():
            x = model.sample(2, min(9, model.max_len), patient.seed)
            first = model(x)
            torch.manual_seed(patient.seed + 1)
            return difference(model(x), first) > GOOD
    except Exception:
        return False


def blurred(patient: Patient, found: Finding) -> bool:
    """Whether a fault is no larger than the rounding of what is computed in 16 bits inside."""
    # A norm in 16 bits overflows where N1 makes the stream large.
    over = found.id == "N1" and "without a norm" in found.message
    small = found.value <= ROUNDED if isinstance(found.value, float) else over
    return found.status == "FAIL" and found.id in COMPARE and small and bool(narrowed_at(patient))


def narrowed_at(patient: Patient) -> str:
    """Where a copy in float32 computes in 16 bits; "" where it does not."""
    try:
        with torch.no_grad():
            return narrowed(patient.copy(torch.float32), patient.seed)
    except Exception:
        return ""
