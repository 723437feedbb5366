"""`report.html` of a comparison: the verdict in a sentence, each difference with its interval, figures, variants."""

from __future__ import annotations

import math

from oneblock.compare import tables
from oneblock.compare.catalogue import MEASURES
from oneblock.compare.engine import Outcome
from oneblock.compare.experiment import REFUTED, SUPPORTED, Alike, Lower
from oneblock.compare.lines import charts, plots
from oneblock.compare.tables import Table
from oneblock.compare.verdict import Finding, deciding
from oneblock.compare.words import describe, held, origin, sentence
from oneblock.train.report.frame import framed, tiles
from oneblock.train.report.markup import Markup, element, join
from oneblock.train.report.pieces import section, table

WIDE, HIGH = 600, 30
INTERVALS = (
    "An interval is that of its one comparison; p is corrected for their number. A verdict needs p of 1 % and a "
    "difference larger than the noise floor, the shaded part."
)
SHADES = {SUPPORTED: "c3", REFUTED: "bad"}
STYLE = """
.lead { font-size: 1.15rem } .finding { padding-bottom: 14px } .finding svg { display: block; max-height: 44px }
.finding figcaption p { margin: 0 } .finding figcaption small { display: block; margin-bottom: 4px }
.sides { display: grid; grid-template-columns: 1fr auto 1fr; gap: 12px; font-size: .82rem; color: var(--soft) }
.sides :last-child { text-align: right }
.wide table { font-size: .87rem } .wide th, .wide td { padding-right: 14px }
.wide tbody th { min-width: 11rem; max-width: 22rem; position: sticky; left: 0; background: var(--paper) }
.wide th.number { white-space: normal; max-width: 9rem; vertical-align: bottom }
@media (max-width: 600px) { .wide tbody th { min-width: 8rem } .wide td { min-width: 6rem } }
"""


def page(outcome: Outcome, command: str) -> str:
    """The whole page as HTML; it loads nothing."""
    experiment = outcome.plan.experiment
    drawn = [chart for plot in plots(outcome) for chart in charts(outcome, plot)]
    return framed(
        f"{experiment.row} {experiment.name}".strip(),
        join(
            element("p", element("strong", f"{outcome.verdict.capitalize()}. "), sentence(outcome), class_="lead"),
            element("p", element("strong", "The claim: "), experiment.claim),
            element("p", f"Source: {experiment.source}", class_="soft"),
        ),
        _tiles(outcome),
        section("What was compared", element("p", INTERVALS, class_="soft"), *map(_finding, outcome.findings)),
        section(
            "Results",
            element("p", f"Held equal: {held(outcome)}. Mean ± standard deviation over seeds."),
            _wide(tables.results(outcome)),
        ),
        section("Figures", *drawn) if drawn else None,
        section("Variants", element("div", table(*tables.variants(outcome)), class_="wide")),
        section("What the seeds can tell", *_power(outcome)) if outcome.outlooks else None,
        section("How it was run", element("pre", command), *(element("p", line) for line in origin(outcome))),
        style=STYLE,
    )


def _tiles(outcome: Outcome) -> Markup:
    """The comparison that decides: its difference, and what must be known to read it."""
    finding = deciding(outcome.findings)
    unit = MEASURES[finding.comparison.measure].unit
    difference, interval, _, floor, _ = tables.judged(finding)
    shown = sum(of.verdict == SUPPORTED for of in outcome.findings)
    rule = finding.comparison
    second = rule.b if isinstance(rule, Lower | Alike) else f"the bound, {tables.bound(rule)}"
    return tiles(
        [
            ("verdict", outcome.verdict, f"comparisons supported: {shown} of {len(outcome.findings)}"),
            ("difference", difference, f"{unit}, {rule.a} less {second}; 99\u00a0%: {interval}".lstrip(", ")),
            ("noise floor", floor, "what other seeds alone change of what is compared, 19 times in 20"),
            ("seeds", str(len(outcome.plan.seeds)), "the same data order for every variant"),
        ]
    )


def _wide(shown: Table) -> Markup:
    return element("div", table(*shown, numbers=len(shown.names)), class_="wide")


def _power(outcome: Outcome) -> list[Markup]:
    says, shown = tables.power(outcome)
    return [element("p", says), element("div", table(*shown), class_="wide")]


def _finding(finding: Finding) -> Markup:
    """A difference with its interval on a line of its own scale; the noise floor is the shaded part around 0."""
    difference, interval, p, floor, found = tables.judged(finding)
    detail = (
        f"difference {difference} (99\u00a0%: {interval}); corrected p {p}; noise floor {floor}; {finding.seeds} seeds "
        f"find {found} four times in five"
    )
    caption = element(
        "figcaption",
        element(
            "p",
            element("strong", f"{finding.verdict}: ", class_=SHADES.get(finding.verdict)),
            tables.claimed(finding.comparison),
        ),
        element("small", detail),
    )
    return element(
        "figure",
        caption,
        element("div", _interval(finding), class_="c1"),
        element("div", *(element("span", words) for words in _sides(finding)), class_="sides"),
        class_="finding",
    )


def _sides(finding: Finding) -> tuple[str, str, str]:
    """What a place on the left, in the middle and on the right says."""
    rule = finding.comparison
    if isinstance(rule, Lower | Alike):
        return f"← {rule.a} lower", "no difference", f"{rule.b} lower →"
    return "← below", tables.bound(rule), "above →"


def _interval(finding: Finding) -> Markup:
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
            lines.append(element("line", x1=x(side), x2=x(side), y1=3, y2=HIGH - 3, stroke="currentColor"))
    if math.isfinite(finding.difference):
        lines.append(
            element("line", x1=x(low), x2=x(high), y1=middle, y2=middle, stroke="currentColor", stroke_width=2)
        )
        lines.append(element("circle", cx=x(finding.difference), cy=middle, r=4.5, fill="currentColor"))
    words = describe(finding)
    return element("svg", element("title", words), *lines, viewBox=f"0 0 {WIDE} {HIGH}", width="100%", role="img")
