"""`Check`: a question with an id; and what turns a difference into a verdict."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from oneblock.doctor.finding import Finding
from oneblock.doctor.patient import Patient

GOOD, BAD = 1e-5, 1e-4
EQUALITY = "max|Δ|/max|ref|: up to 1e-5 is rounding, above max(1e-4, 100 × a repeated call) is none"


@dataclass(frozen=True, kw_only=True)
class Check:
    """One question, and the small function that asks it. gradients: whether it needs them."""

    question: str
    run: Callable[[Patient], Finding]
    gradients: bool = False


def said(status: str, message: str, **more: object) -> Finding:
    """A finding whose id the registry fills in."""
    return Finding(id="", status=status, message=message, **more)  # type: ignore[arg-type]


def skip(message: str) -> Finding:
    """A question that cannot be asked of this model."""
    return said("SKIP", message)


def judged(value: float, well: str, wrong: str, *, repeat: float = 0.0, where: str = "", repair: str = "") -> Finding:
    """PASS, WARN or FAIL of a relative difference that should be nothing but rounding."""
    threshold = max(BAD, 100 * repeat)
    more = {"value": value, "threshold": threshold, "source": EQUALITY}
    if value <= GOOD:
        return said("PASS", f"{well} (difference {value:.1e})", **more)
    # `not (value <= threshold)`: NaN must never pass.
    status = "WARN" if value <= threshold else "FAIL"
    return said(status, f"{wrong} (difference {value:.1e})", where=where, repair=repair, **more)
