"""`report.html` of a comparison: the claim, the sizes, the losses over seeds, the verdict with its interval."""

from __future__ import annotations

import math

from oneblock.compare.catalogue import MEASURES
from oneblock.compare.engine import Outcome
from oneblock.compare.experiment import Alike
from oneblock.compare.lines import figure, losses
from oneblock.compare.power import FEW, MOST
from oneblock.compare.verdict import Finding, worded
from oneblock.compare.words import describe, held, number, rows, sentence
from oneblock.train.report.frame import framed, tiles
from oneblock.train.report.markup import Markup, element
from oneblock.train.report.pieces import section, table

WIDE, HIGH = 600, 44


def page(outcome: Outcome, command: str) -> str:
    """The whole page as HTML; it loads nothing."""
    experiment = outcome.plan.experiment
    title = f"{experiment.row} {experiment.name}".strip()
    unit = MEASURES[experiment.rule[0].measure].unit
    return framed(
        title,
        experiment.claim,
        tiles(
            [
                ("verdict", outcome.verdict, experiment.source),
                ("seeds", str(len(outcome.plan.seeds)), "the same data order for every variant"),
                ("noise floor", number(outcome.noise_floor), unit),
            ]
        ),
        section("Verdict", element("p", sentence(outcome)), *map(_interval, outcome.findings)),
        section("What the seeds can tell", *_power(outcome)) if outcome.outlooks else None,
        section("Variants", *_variants(outcome)),
        section("Losses", *losses(outcome)) if experiment.trains else None,
        section("Figures", *(chart for of in experiment.figures for chart in figure(outcome, of)))
        if experiment.figures
        else None,
        section("How it was run", element("pre", command), *(element("p", line) for line in _origin(outcome))),
    )


def _variants(outcome: Outcome) -> list[Markup]:
    names, lines = rows(outcome)
    settings = [
        (variant.label, " ".join(variant.settings) or "the base as it is", outcome.fair_rate(variant.label))
        for variant in outcome.plan.variants
    ]
    measures = [(name, f"{MEASURES[name].words} ({MEASURES[name].unit})".replace(" ()", "")) for name in names[5:-1]]
    return [
        element("p", f"Held equal: {held(outcome)}. Mean ± standard deviation over seeds."),
        element("div", table(names, lines, numbers=len(names)), class_="wide"),
        table(("variant", "differs by", "learning rate"), settings),
        table(("measure", "what it is"), measures),
    ]


def _power(outcome: Outcome) -> list[Markup]:
    """What was said before the runs: which sizes would be found, and whether that is enough."""
    known = min(outlook.known for outlook in outcome.outlooks)
    names = ("comparison", "found four times in five", "claimed", "seeds that would do")
    lines = [
        (
            worded(outlook.comparison),
            number(outlook.smallest),
            "no size" if outlook.expects is None else number(outlook.expects),
            "–" if outlook.expects is None else str(outlook.enough or f"more than {MOST}"),
        )
        for outlook in outcome.outlooks
    ]
    rough = ", which tells it roughly" if known < FEW else ""
    says = f"Said before the runs, of {outcome.outlooks[0].seeds} seeds, from the spread of {known} known{rough}."
    return [element("p", says), table(names, lines)]


def _interval(finding: Finding) -> Markup:
    """A difference with its interval on a line of its own scale; the noise floor is the shaded part around 0."""
    low, high = finding.interval
    marks = [low, high, finding.difference, finding.floor]
    if isinstance(finding.comparison, Alike):
        marks.append(finding.comparison.within)
    reach = 1.1 * max((abs(mark) for mark in marks if math.isfinite(mark)), default=1.0) or 1.0

    def x(value: float) -> str:
        return f"{WIDE * (0.5 + 0.5 * max(-1.0, min(1.0, value / reach))):.1f}"

    middle = HIGH / 2
    width = f"{WIDE * min(finding.floor / reach, 1.0):.1f}"
    lines = [
        element("rect", x=x(-finding.floor), y=4, width=width, height=HIGH - 8, fill="currentColor", opacity=".12")
    ]
    lines.append(element("line", x1=x(0), x2=x(0), y1=0, y2=HIGH, stroke="currentColor", stroke_dasharray="4 3"))
    if isinstance(finding.comparison, Alike):
        for side in (-finding.comparison.within, finding.comparison.within):
            lines.append(element("line", x1=x(side), x2=x(side), y1=6, y2=HIGH - 6, stroke="currentColor"))
    if math.isfinite(finding.difference):
        lines.append(
            element("line", x1=x(low), x2=x(high), y1=middle, y2=middle, stroke="currentColor", stroke_width=2)
        )
        lines.append(element("circle", cx=x(finding.difference), cy=middle, r=5, fill="currentColor"))
    words = describe(finding)
    drawing = element("svg", element("title", words), *lines, viewBox=f"0 0 {WIDE} {HIGH}", width="100%", role="img")
    return element("figure", element("figcaption", words), element("div", drawing, class_="c1"))


def _origin(outcome: Outcome) -> list[str]:
    plan = outcome.plan
    lines = [f"Data: {plan.origin}.", f"Seeds: {', '.join(map(str, plan.seeds))}."]
    if plan.data_sha256:
        lines.append(f"SHA-256 of the data: {plan.data_sha256}")
    return lines
