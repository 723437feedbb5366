"""From measurements to a verdict: each comparison tested, corrected for their number, and never inside the noise."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from oneblock.compare.experiment import INSIDE, REFUTED, SUPPORTED, UNTESTABLE, Above, Alike, Comparison, Lower
from oneblock.compare.statistics import Differences, holm, noise_floor, paired

LEVEL = 0.01
Values = Mapping[str, Mapping[str, Sequence[float]]]
"""Measure -> variant -> one number for each seed, seeds in the same order."""


@dataclass(frozen=True, kw_only=True)
class Finding:
    """One comparison judged. `difference`: a − b, or a − bound; `p` is corrected for the number of comparisons."""

    comparison: Comparison
    verdict: str
    difference: float
    interval: tuple[float, float]
    p: float
    floor: float
    detectable: float
    seeds: int

    @property
    def words(self) -> str:
        """What was compared, in a few words."""
        return worded(self.comparison)


def worded(rule: Comparison) -> str:
    """What a comparison says, in a few words."""
    if isinstance(rule, Lower):
        return f"{rule.measure}: {rule.a} lower than {rule.b}"
    if isinstance(rule, Alike):
        return f"{rule.measure}: {rule.a} and {rule.b} within {rule.within:g}"
    return f"{rule.measure}: {rule.a} {'above' if isinstance(rule, Above) else 'below'} {rule.bound:g}"


def judge(rule: Sequence[Comparison], values: Values, level: float = LEVEL) -> list[Finding]:
    """Every comparison's finding. Over all of them together, a wrong decision at most in a share `level` of cases.

    For each: p = 2 · the smaller of the one-sided p for and against it; Holm over all; then a decision needs
    p ≤ level, and a difference larger than the noise floor of what is compared. ValueError for one seed.
    """
    tested = [_tested(comparison, values) for comparison in rule]
    corrected = holm([min(1.0, 2 * min(found[1:])) for found in tested])
    findings = []
    for comparison, (differences, for_it, against), p in zip(rule, tested, corrected, strict=True):
        floor = noise_floor(*compared(comparison, values))
        detectable = findable(comparison, differences, floor, level / len(rule))
        shown = REFUTED if against < for_it else SUPPORTED
        outside = abs(differences.mean) > floor or (isinstance(comparison, Alike) and shown == SUPPORTED)
        missed = comparison.expects is not None and detectable > comparison.expects
        findings.append(
            Finding(
                comparison=comparison,
                verdict=shown if p <= level and outside else UNTESTABLE if missed else INSIDE,
                difference=differences.mean,
                interval=differences.interval(level),
                p=p,
                floor=floor,
                detectable=detectable,
                seeds=differences.count,
            )
        )
    return findings


def overall(findings: Sequence[Finding]) -> str:
    """The experiment's verdict: supported when all are, refuted when one is, else what keeps it from either."""
    verdicts = {finding.verdict for finding in findings}
    if verdicts == {SUPPORTED}:
        return SUPPORTED
    return next(verdict for verdict in (REFUTED, UNTESTABLE, INSIDE) if verdict in verdicts)


def deciding(findings: Sequence[Finding]) -> Finding:
    """The first finding that has the experiment's verdict."""
    verdict = overall(findings)
    return next(finding for finding in findings if finding.verdict == verdict)


def findable(comparison: Comparison, differences: Differences, floor: float, level: float) -> float:
    """The size that is shown four times in five: of a difference above the floor, or of a margin around none.

    Where the truth lies in the middle of a margin, either end may be missed: each must be met nine times in ten.
    """
    if isinstance(comparison, Alike):
        return differences.detectable(level, power=0.9)
    return differences.detectable(level, floor=floor)


def compared(comparison: Comparison, values: Values) -> list[Sequence[float]]:
    """What was measured of the variant that a comparison is about, or of both."""
    names = (comparison.a, comparison.b) if isinstance(comparison, Lower | Alike) else (comparison.a,)
    return [values[comparison.measure][name] for name in names]


def differences_of(comparison: Comparison, values: Values) -> Differences:
    """The paired differences that a comparison is about: a − b, or a − bound."""
    measured = values[comparison.measure]
    second = measured[comparison.b] if isinstance(comparison, Lower | Alike) else comparison.bound
    return paired(measured[comparison.a], second)


def _tested(comparison: Comparison, values: Values) -> tuple[Differences, float, float]:
    """The differences, and the one-sided p of the comparison's being shown, and of its contrary."""
    found = differences_of(comparison, values)
    if not math.isfinite(found.mean):
        # What a run that diverged has not got (how far its stream grew) decides nothing.
        return found, 1.0, 1.0
    if isinstance(comparison, Lower):
        return found, found.below(0.0), found.beyond(0.0)
    if isinstance(comparison, Alike):
        within = comparison.within
        alike = max(found.below(within), found.beyond(-within))
        return found, alike, min(1.0, 2 * min(found.beyond(within), found.below(-within)))
    tests = (found.beyond(0.0), found.below(0.0))
    return found, *(tests if isinstance(comparison, Above) else tests[::-1])
