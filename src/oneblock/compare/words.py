"""A comparison in words: the sentence, the table of a terminal, and the JSON object."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from typing import Any

from oneblock.compare.catalogue import MEASURES
from oneblock.compare.engine import Outcome, timed_on
from oneblock.compare.experiment import NOT_SETTLED, NOT_SHOWN, Alike
from oneblock.compare.statistics import deviation
from oneblock.compare.verdict import Finding, deciding, worded
from oneblock.machine import device as machine

SOLVED = {
    "hidden": "the feed-forwards' inner width",
    "width": "the width",
    "shape": "the width and the feed-forwards' inner width",
}


def sentence(outcome: Outcome) -> str:
    """What a lesson may quote for this verdict."""
    finding = deciding(outcome.findings)
    low, high = finding.interval
    says, alike = outcome.plan.experiment.says.of(outcome.verdict), isinstance(finding.comparison, Alike)
    many = len(outcome.findings)
    return (NOT_SETTLED if alike and says == NOT_SHOWN else says).format(
        difference=number(finding.difference, signed=True),
        low=number(low, signed=True),
        high=number(high, signed=True),
        seeds=finding.seeds,
        floor=number(finding.floor),
        detectable=number(finding.detectable),
        a=finding.comparison.a,
        b=getattr(finding.comparison, "b", ""),
        within=number(getattr(finding.comparison, "within", math.nan)),
        p=probability(finding.p),
        comparisons=f"{many} comparison{'s' * (many > 1)}",
    )


def number(value: float, *, signed: bool = False) -> str:
    """Four digits, and a true minus."""
    if not math.isfinite(value):
        return "–"
    small = f"{value:+.4g}" if signed else f"{value:.4g}"
    return small.replace("-", "−")


def probability(p: float) -> str:
    """What stands behind "p"."""
    return "< 0.0001" if p < 1e-4 else f"= {p:.4f}"


def spread(values: Sequence[float]) -> str:
    """mean ± standard deviation over seeds; where a run that diverged has no number, over the others."""
    there, only = finite(values)
    return f"{number(statistics.fmean(there))} ± {number(deviation(there))}{only}" if len(there) > 1 else "–"


def finite(values: Sequence[float]) -> tuple[list[float], str]:
    """Those that are numbers, and in words how many of all they are, where not all are."""
    there = [value for value in values if math.isfinite(value)]
    return there, f" ({len(there)} of {len(values)})" if len(there) < len(values) else ""


def rows(outcome: Outcome) -> tuple[list[str], list[list[str]]]:
    """The table: a row for each variant, as names of columns and cells."""
    plan = outcome.plan
    names = ["variant", "solved", "parameters", "FLOPs/token", "rate", *plan.experiment.wanted, "diverged"]
    lines = []
    for variant in plan.variants:
        diverged = sum(bool(run["diverged"]) for run in outcome.runs[variant.label])
        lines.append(
            [
                variant.label,
                variant.solved or "–",
                f"{variant.parameters:,}",
                f"{variant.flops:,}",
                f"×{outcome.rates[variant.label]:.3g}",
                *(spread(outcome.values[name][variant.label]) for name in plan.experiment.wanted),
                f"{diverged}/{len(plan.seeds)}",
            ]
        )
    return names, lines


def describe(finding: Finding) -> str:
    """One comparison with its difference, interval and p."""
    low, high = (number(end, signed=True) for end in finding.interval)
    return (
        f"{finding.words}: {finding.verdict} (difference {number(finding.difference, signed=True)}, "
        f"99 % from {low} to {high}, corrected p {probability(finding.p)}, noise floor {number(finding.floor)}, "
        f"these seeds find {number(finding.detectable)} four times in five)"
    )


def as_text(outcome: Outcome) -> str:
    """What a terminal shows."""
    experiment = outcome.plan.experiment
    names, lines = rows(outcome)
    widths = [max(len(row[i]) for row in [names, *lines]) for i in range(len(names))]
    table = [
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in (names, *lines)
    ]
    rates = [f"  {label}: learning rate {outcome.fair_rate(label)}" for label in outcome.plan.labels]
    return "\n".join(
        [
            f"{experiment.row} {experiment.name}: {experiment.claim}".strip(),
            f"source: {experiment.source}",
            f"equal: {held(outcome)}; {len(outcome.plan.seeds)} seeds, paired; data: {outcome.plan.origin}",
            "",
            *table,
            *rates,
            "",
            *(describe(finding) for finding in outcome.findings),
            *(f"WARNING: {outlook.words}" for outlook in outcome.outlooks if outlook.too_few),
            "",
            f"verdict: {outcome.verdict}",
            sentence(outcome),
        ]
    )


def took(outcome: Outcome) -> dict[str, float]:
    """Seconds of training by variant, median over seeds: the steps times what the median one took."""
    return {
        variant.label: (variant.config.recipe.steps or 0)
        * statistics.median(float(run["measures"].get("step_seconds", math.nan)) for run in outcome.runs[variant.label])
        for variant in outcome.plan.variants
    }


def held(outcome: Outcome) -> str:
    """What is held equal, in words."""
    experiment = outcome.plan.experiment
    if experiment.equal == "time":
        seconds = took(outcome)
        first, *others = seconds
        shares = ", ".join(f"{label} ×{seconds[label] / seconds[first]:.2f}" for label in others)
        return (
            "training time, by steps solved for in a trial on this machine, and the order of the tokens as far as each "
            f"gets; in the runs themselves the time was, of that of {first}: {shares}"
        )
    if not experiment.trains:
        return "seeds and tokens"
    if experiment.equal == "tokens":
        return "tokens and their order"
    count = "FLOPs a token" if experiment.equal == "flops" else "parameters"
    return f"tokens, their order, and {count} (within {100 * experiment.tolerance:g}%, by {SOLVED[experiment.solve]})"


def origin(outcome: Outcome) -> list[str]:
    """Where the data is from, and with which seeds it was run."""
    plan = outcome.plan
    here = machine.describe()
    lines = [f"Data: {plan.origin}.", f"Seeds: {', '.join(map(str, plan.seeds))}."]
    lines.append(
        f"Judged on {here['processor']}, {here['cores']} cores, {here['accelerator'] or 'no GPU'}, torch "
        f"{here['torch']}; what was timed was timed where its run was made"
        + "".join(f": {name}" for name in timed_on(outcome.runs))
        + "."
    )
    if plan.data_sha256:
        lines.append(f"SHA-256 of the data: {plan.data_sha256}")
    return lines


def as_json(outcome: Outcome, report: str, command: str) -> dict[str, Any]:
    """The object of `--json` and of `results.json`."""
    plan = outcome.plan
    return {
        "experiment": plan.experiment.name,
        "row": plan.experiment.row,
        "claim": plan.experiment.claim,
        "source": plan.experiment.source,
        "verdict": outcome.verdict,
        "sentence": sentence(outcome),
        "noise_floor": outcome.noise_floor,
        "equal": plan.experiment.equal,
        "seeds": list(plan.seeds),
        "data_sha256": plan.data_sha256,
        "machine": machine.describe() | {"timed_on": timed_on(outcome.runs)},
        "variants": [
            {
                "name": variant.label,
                "settings": list(variant.settings),
                "solved": variant.solved,
                "parameters": variant.parameters,
                "flops_per_token": variant.flops,
                "cache_bytes_per_token": variant.cache_bytes,
                "rate": outcome.rates[variant.label],
                "rate_is": outcome.fair_rate(variant.label),
                "diverged": sum(bool(run["diverged"]) for run in outcome.runs[variant.label]),
                "measures": {name: outcome.values[name][variant.label] for name in plan.experiment.wanted},
            }
            for variant in plan.variants
        ],
        "comparisons": [
            {
                "words": finding.words,
                "verdict": finding.verdict,
                "difference": finding.difference,
                "interval": list(finding.interval),
                "p": finding.p,
                "noise_floor": finding.floor,
                "detectable": finding.detectable,
            }
            for finding in outcome.findings
        ],
        "power": [
            {
                "words": worded(outlook.comparison),
                "seeds": outlook.seeds,
                "known_from": outlook.known,
                "detectable": outlook.smallest,
                "expects": outlook.expects,
                "enough_seeds": outlook.enough,
                "too_few": outlook.too_few,
            }
            for outlook in outcome.outlooks
        ],
        "trial_step_seconds": dict(plan.trial),
        "measures": {
            name: {"unit": MEASURES[name].unit, "words": MEASURES[name].words} for name in plan.experiment.wanted
        },
        "command": command,
        "report": report,
    }
