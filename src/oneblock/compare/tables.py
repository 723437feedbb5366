"""The tables of a comparison, as a page and a text both show them: names of columns, and rows of words."""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from oneblock.compare.catalogue import MEASURES
from oneblock.compare.engine import Outcome
from oneblock.compare.experiment import Above, Alike, Below, Comparison, Lower
from oneblock.compare.lines import Plot, curves, over_seeds, toys
from oneblock.compare.power import FEW, MOST
from oneblock.compare.statistics import deviation
from oneblock.compare.verdict import Finding
from oneblock.compare.words import finite, number, probability
from oneblock.config.serial import diff
from oneblock.train.report.pieces import even

MOST_COLUMNS = 6
"""Variants that stand side by side; more of them stand below one another."""
MOST_POINTS = 13


class Table(NamedTuple):
    """`names` of the columns; the first cell of a line names it."""

    names: list[str]
    lines: list[list[str]]


def results(outcome: Outcome) -> Table:
    """Mean ± standard deviation over seeds, of every measure and variant."""
    values, labels, wanted = outcome.values, outcome.plan.labels, outcome.plan.experiment.wanted
    if len(labels) > MOST_COLUMNS:
        lines = [[label, *(about(values[name][label]) for name in wanted)] for label in labels]
        return Table(["variant", *map(what, wanted)], lines)
    lines = [[what(name), *(about(values[name][label]) for label in labels)] for name in wanted]
    return Table(["measure", *labels], lines)


def what(measure: str) -> str:
    """A measure's words and its unit."""
    found = MEASURES[measure]
    return f"{found.words}, {found.unit}" if found.unit and found.unit not in found.words else found.words


def about(values: Sequence[float]) -> str:
    """mean ± standard deviation, the deviation with two digits and the mean with as many decimals.

    Where a run that diverged has no number, of the others, and how many they are.
    """
    there, only = finite(values)
    if len(there) < 2:
        return "–"
    mean, apart = statistics.fmean(there), deviation(there)
    if not apart:
        return number(mean) + only
    decimals = 1 - math.floor(math.log10(apart))
    if not 0 <= decimals <= 6 or abs(mean) >= 1e6:
        return f"{number(mean)} ± {apart:.2g}{only}".replace("-", "−")
    return f"{mean:.{decimals}f} ± {apart:.{decimals}f}{only}".replace("-", "−")


def variants(outcome: Outcome) -> Table:
    """What each variant is: its settings, the lines of the configuration they change, sizes and learning rate."""
    reference = outcome.plan.variants[0].config
    alike = all(type(variant.config.model) is type(reference.model) for variant in outcome.plan.variants)
    lines = [
        [
            variant.label,
            " ".join(variant.settings) or "the base as it is",
            *([str(len(diff(reference, variant.config)) or "–")] if alike else []),
            *([variant.solved or "–"] if any(other.solved for other in outcome.plan.variants) else []),
            f"{variant.parameters:,}",
            f"{variant.flops:,}",
            f"×{outcome.rates[variant.label]:.3g}, {outcome.fair_rate(variant.label)}",
            f"{sum(bool(run['diverged']) for run in outcome.runs[variant.label])} of {len(outcome.plan.seeds)}",
        ]
        for variant in outcome.plan.variants
    ]
    solved = ["solved for"] if any(variant.solved for variant in outcome.plan.variants) else []
    between = ["lines changed"] * alike + solved
    names = ["variant", "differs by", *between, "parameters", "FLOPs a token", "learning rate", "diverged"]
    return Table(names, lines)


def findings(outcome: Outcome) -> Table:
    """Every comparison with its difference, interval, p, and what would have been found."""
    interval = "99 % interval, uncorrected"
    names = ["comparison", "verdict", "difference", interval, "corrected p", "noise floor", "would be found"]
    return Table(names, [[claimed(f.comparison), f.verdict, *judged(f)] for f in outcome.findings])


def claimed(rule: Comparison) -> str:
    """What was compared, in the words of the measure."""
    words = what(rule.measure)
    if isinstance(rule, Lower):
        return f"{rule.a} lower than {rule.b}: {words}"
    if isinstance(rule, Alike):
        return f"{rule.a} and {rule.b} within {number(rule.within)}: {words}"
    return f"{rule.a} {'above' if isinstance(rule, Above) else 'below'} {bound(rule)}: {words}"


def bound(rule: Above | Below) -> str:
    """A bound, and of a logarithm what it is the logarithm of."""
    meant = f" (×{number(math.exp(rule.bound))})" if MEASURES[rule.measure].unit == "ln" else ""
    return number(rule.bound) + meant


def judged(finding: Finding) -> list[str]:
    """Difference, interval, p, noise floor, and the size that so many seeds find four times in five."""
    low, high = (number(end, signed=True) for end in finding.interval)
    return [
        number(finding.difference, signed=True),
        f"{low} to {high}",
        probability(finding.p).removeprefix("= "),
        number(finding.floor),
        number(finding.detectable),
    ]


def power(outcome: Outcome) -> tuple[str, Table]:
    """What was said before the runs: which sizes would be found, and whether that is enough."""
    first = outcome.outlooks[0]
    known = min(outlook.known for outlook in outcome.outlooks)
    rough = ", which tells it roughly" if known < FEW else ""
    says = (
        f"Said before the runs, of {first.seeds} seeds, from the spread of {known} known{rough}: differences as large "
        "as these are found four times in five."
    )
    lines = [
        [
            claimed(outlook.comparison),
            number(outlook.smallest),
            "no size" if outlook.expects is None else number(outlook.expects),
            "–" if outlook.expects is None else str(outlook.enough or f"more than {MOST}"),
        ]
        for outlook in outcome.outlooks
    ]
    return says, Table(["comparison", "found four times in five", "claimed", "seeds that would do"], lines)


def points(outcome: Outcome, plot: Plot) -> Table | None:
    """A figure as numbers: the mean over seeds, and its lowest and highest, at a few places."""
    found = curves(outcome, plot, outcome.plan.labels)
    if not found:
        return None
    if plot.own_x:
        return _each_at_its_own(plot, found)
    lines: dict[float, dict[str, str]] = {}
    for label, (xs, values) in found.items():
        for at in even(range(len(xs)), MOST_POINTS):
            lines.setdefault(xs[at], {})[label] = _between([float(value) for value in values[:, at]])
    names = list(found)
    if plot.toys:
        xs, values = next(iter(found.values()))
        for label, ys in toys(plot, xs, over_seeds(np.mean, values)[0]).items():
            names.append(label)
            for at in even(range(len(xs)), MOST_POINTS):
                lines[xs[at]][label] = f"{ys[at]:.3g}".replace("-", "−")
    rows = [[f"{x:g}", *(of.get(label, "–") for label in names)] for x, of in sorted(lines.items())]
    return Table([plot.x, *names], rows)


def _each_at_its_own(plot: Plot, found: Mapping[str, tuple[list[float], np.ndarray]]) -> Table:
    lines = [
        [label, f"{xs[at]:.4g}".replace("-", "−"), _between([float(value) for value in values[:, at]])]
        for label, (xs, values) in found.items()
        for at in even(range(len(xs)), MOST_POINTS)
    ]
    return Table(["line", plot.x, "mean"], lines)


def _between(values: Sequence[float]) -> str:
    values = [value for value in values if not math.isnan(value)] or [math.nan]
    mean, low, high = (
        f"{value:.3g}".replace("-", "−") for value in (statistics.fmean(values), min(values), max(values))
    )
    return mean if low == high else f"{mean} ({low} to {high})"
