"""`--log --html`: what happened in a training on one page: the timeline, the curves, four columns, four questions."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from oneblock.doctor.logs.log import Series as Logged
from oneblock.doctor.logs.report import LogReport
from oneblock.doctor.pages.style import RULES
from oneblock.train.report.charts import Chart, Series, draw
from oneblock.train.report.frame import framed, tiles
from oneblock.train.report.markup import Markup, element
from oneblock.train.report.pieces import section, table
from oneblock.train.report.ticks import linear_ticks

USUAL = ("loss", "val_loss", "grad_norm", "learning_rate", "max_logit", "stream", "updates", "loss_scale")
"""Quantities that are drawn in this order, behind those in which something begins."""
HOW = (
    "Onsets by medians and median absolute deviations of the points before. A log cannot establish a mechanism: causes "
    "are in the order of how well they fit, and are no probabilities."
)
MOST_CURVES = 6
ROW, LEFT, RIGHT, WIDTH = 30, 150, 16, 900
SHAPES = {
    "not finite": "M-5-5L5 5M-5 5L5-5",
    "spike": "M0-6L5 5H-5Z",
    "rise": "M-5 5V-5L5 0Z",
    "climb": "M-5 5V-5L5 0Z",
    "growth": "M-5 5V-5L5 0Z",
}
OTHER = "M0-6L5 0L0 6L-5 0Z"


def log_page(report: LogReport, *, command: str = "") -> str:
    """The page as HTML."""
    return framed(
        report.name,
        _lead(report),
        tiles(_figures(report)),
        section("Timeline", _told(report), *_timeline(report), *_curves(report)),
        section("What the log shows", *_columns(report)),
        _questions(report),
        _replayed(report.replay),
        section(
            "How it was read",
            element("pre", command) if command else None,
            element("p", HOW),
        ),
        style=RULES,
    )


def _lead(report: LogReport) -> Markup:
    if report.healthy:
        return element("div", element("p", element("b", "Nothing begins that should not.")), class_="verdict")
    words = [element("p", element("b", f"Trouble begins at step {report.onset_step:,g}."))]
    words += [element("p", f"Most likely: {report.consistent_with[0]}.")] if report.consistent_with else []
    return element("div", *words, class_="verdict sick")


def _figures(report: LogReport) -> list[tuple[str, str, str]]:
    onset = "none" if report.onset_step is None else f"{report.onset_step:,g}"
    return [
        ("losses", f"{report.points:,}", f"steps {report.first:,g} to {report.last:,g}"),
        ("onset", onset, "the step at which trouble begins"),
        ("onsets in all", str(len(report.timeline)), "of every quantity that is logged"),
        ("causes left", str(len(report.causes)), f"{len(report.ruled_out)} ruled out"),
    ]


def _told(report: LogReport) -> Markup:
    if not report.timeline:
        return element("p", "No quantity leaves what it was.", class_="soft")
    return element(
        "p", "A row for each quantity, a mark where something begins; each says what at the pointer.", class_="soft"
    )


def _timeline(report: LogReport) -> list[Markup]:
    """One SVG: time to the right, a row for each quantity, its onsets marked, the main one as a line."""
    rows = list(dict.fromkeys(each["quantity"] for each in report.timeline))
    if not rows:
        return []
    span, high = max(report.last - report.first, 1e-9), ROW * len(rows)

    def x(step: float) -> float:
        return LEFT + (WIDTH - LEFT - RIGHT) * min(1.0, max(0.0, (step - report.first) / span))

    drawn: list[Markup] = []
    for n, quantity in enumerate(rows):
        y = ROW * n + ROW / 2
        drawn.append(element("line", x1=LEFT, x2=WIDTH - RIGHT, y1=y, y2=y, class_="bed"))
        drawn.append(element("text", quantity.replace("_", " "), x=LEFT - 12, y=y + 4, text_anchor="end"))
    for tick in linear_ticks(report.first, max(report.last, report.first + 1), whole=True):
        drawn.append(element("text", f"{tick:,.0f}", x=f"{x(tick):.1f}", y=high + 18, text_anchor="middle"))
        drawn.append(element("line", x1=f"{x(tick):.1f}", x2=f"{x(tick):.1f}", y1=high, y2=high + 5, class_="bed"))
    if report.onset_step is not None:
        place = f"{x(report.onset_step):.1f}"
        drawn.append(element("line", x1=place, x2=place, y1=0, y2=high, class_="onset"))
    for each in report.timeline:
        y = ROW * rows.index(each["quantity"]) + ROW / 2
        main = each["step"] == report.onset_step
        drawn.append(
            element(
                "path",
                element("title", f"step {each['step']:,g}: {each['words']}"),
                d=SHAPES.get(each["kind"], OTHER),
                transform=f"translate({x(each['step']):.1f} {y})",
                class_="mark bad" if main else "mark",
            )
        )
    said = "; ".join(f"{each['quantity']} at step {each['step']:g}" for each in report.timeline[:12])
    drawing = element(
        "svg",
        element("title", "What begins when", id="timeline-title"),
        element("desc", said, id="timeline-text"),
        *drawn,
        viewBox=f"0 0 {WIDTH} {high + 26}",
        class_="timeline",
        role="img",
        aria_labelledby="timeline-title timeline-text",
    )
    return [element("div", drawing, class_="wide")]


def _curves(report: LogReport) -> list[Markup]:
    """Curves of the quantities in which something begins, then the usual ones."""
    if report.log is None:
        return []
    series = report.log.series
    named = dict.fromkeys(["loss", *(each["quantity"] for each in report.timeline), *USUAL])
    drawn = [_curve(name, series[name], report) for name in named if name in series]
    return [chart for chart in drawn if chart is not None][:MOST_CURVES]


def _curve(quantity: str, logged: Logged, report: LogReport) -> Markup | None:
    seen = logged.values[np.isfinite(logged.values)]
    if len(seen) < 2:
        return None
    low, high = float(seen.min()), float(seen.max())
    log = low > 0 and high > 30 * low
    room = 0.06 * (high - low) or abs(high) * 0.1 or 1.0
    bounds = (low / 1.2, high * 1.2) if log else (low - room, high + room)
    title = f"{quantity.replace('_', ' ')}" + (f" ({logged.name})" if logged.name != quantity else "")
    onset = report.onset_step
    lost = len(logged) - len(seen)
    return draw(
        Chart(
            key=f"log-{quantity.replace('_', '-')}",
            title=title,
            description=f"{len(logged)} points between {low:.3g} and {high:.3g}, {lost} of them not finite.",
            series=[
                Series(
                    label=quantity.replace("_", " "), xs=logged.steps.tolist(), ys=logged.values.tolist(), color="c1"
                )
            ],
            x_range=(report.first, max(report.last, report.first + 1)),
            y_range=bounds,
            log=log,
            vertical=(float(onset), "onset") if onset is not None and math.isfinite(onset) else None,
        )
    )


def _columns(report: LogReport) -> list[Markup]:
    """The four columns side by side, and what is odd about the file."""
    columns = {
        "observed": report.observed,
        "consistent with, most likely first": report.consistent_with,
        "ruled out": report.ruled_out,
        "not logged": report.not_logged,
    }
    made = [_column(title, entries, title.startswith("consistent")) for title, entries in columns.items()]
    notes = [element("p", f"About the log: {'; '.join(report.notes)}.", class_="soft")] if report.notes else []
    return [element("div", *made, class_="columns"), *notes]


def _column(title: str, entries: Sequence[str], ranked: bool) -> Markup:
    items = [element("li", entry) for entry in entries] or [element("li", "nothing", class_="soft")]
    return element("div", element("h3", title), element("ol" if ranked and entries else "ul", *items))


def _questions(report: LogReport) -> Markup | None:
    if not report.questions:
        return None
    rows = [(f"{question}?", answer) for question, answer in report.questions.items()]
    return section("Four questions", table((), rows))


def _replayed(replay: Mapping[str, Any] | None) -> Markup | None:
    if replay is None:
        return None
    return section("Replay", element("ul", *(element("li", line) for line in replay["words"])))
