"""The heat maps of a page: who sees whom, how large the stream is, how far heads spread their attention."""

from __future__ import annotations

import math

from oneblock.doctor.checks.check import GOOD
from oneblock.doctor.pages.heat import Cell, Heat, draw_heat
from oneblock.doctor.pages.views import PLAIN, Sees, Views
from oneblock.train.report.markup import Markup
from oneblock.train.report.ticks import label

DECADES = 5
"""From the share that counts as nothing to all: 1e-5 to 1."""
FEW = 9


def draw_sees(views: Views) -> list[Markup]:
    """Which token moves which answer, for each path that was looked at."""
    return [draw_heat(_sees(each, n)) for n, each in enumerate(views.sees)]


def draw_inside(views: Views) -> list[Markup]:
    """The stream and the attention, where there are numbers for them."""
    stream = [draw_heat(_stream(views))] if views.stream else []
    return stream + ([draw_heat(_entropy(views))] if views.entropy else [])


def _sees(seen: Sees, number: int) -> Heat:
    """Row t, column s: blue where an answer reads its own or an earlier token, red where it reads a later one."""

    def cell(t: int, s: int) -> Cell:
        value, (at, of) = seen.moves[t][s], (seen.places[t], seen.places[s])
        wrong = seen.forbidden and s > t
        strength = 0.0 if not value > GOOD else min(1.0, 0.3 + 0.7 * (1 + math.log10(min(value, 1.0)) / DECADES))
        words = f"token {of} changed: the answer at {at} moves by {value:.1e}"
        return Cell(strength=strength, words=words, color="bad" if wrong else "c1")

    many = len(seen.places)
    leaks = seen.forbidden and any(seen.moves[t][s] > GOOD for t in range(many) for s in range(t + 1, many))
    how = "" if seen.path == PLAIN else f", {seen.path}"
    told = "It does here." if leaks else "It does not here."
    legend = [("c1", 0.35, "moves a little"), ("c1", 1.0, "moves much")]
    return Heat(
        key=f"sees-{number}",
        title=f"Which token moves which answer{how}",
        description="Each token is changed in turn. Above the diagonal an answer would read a later token. " + told,
        cells=[[cell(t, s) for s in range(many)] for t in range(many)],
        row_names=[str(place) for place in seen.places],
        column_names=[str(place) for place in seen.places],
        across="token that is changed →",
        down="answer ↓",
        legend=[*legend, ("bad", 1.0, "reads what it must not")] if leaks else legend,
        square=True,
    )


def _stream(views: Views) -> Heat:
    finite = [value for _, row in views.stream for value in row if math.isfinite(value) and value > 0]
    low, high = math.log(min(finite, default=1.0)), math.log(max(finite, default=1.0))

    def strength(value: float) -> float:
        if not value > 0 or not math.isfinite(value):
            return 1.0
        # On a scale of at least a factor e: what hardly differs shall not look as if it did.
        return 0.12 + 0.88 * (math.log(value) - low) / max(high - low, 1.0)

    def mean(row: tuple[float, ...]) -> float:
        return math.sqrt(sum(value**2 for value in row) / len(row))

    first, last = mean(views.stream[0][1]), mean(views.stream[-1][1])
    grown = f"From {label(first)} to {label(last)} over {len(views.stream) - 1} blocks."
    return Heat(
        key="stream",
        title="How large the stream is after each block",
        description=f"Root mean square of each token's vector, weights as they are; stronger is larger. {grown}",
        cells=[
            [
                Cell(
                    strength=strength(value),
                    words=f"after block {name}, token {n}: {value:.4g}",
                    color="c3" if math.isfinite(value) else "bad",
                )
                for n, value in enumerate(row)
            ]
            for name, row in views.stream
        ],
        row_names=[f"{name} · {mean(row):.2g}" for name, row in views.stream],
        column_names=[str(n) for n in range(len(views.stream[0][1]))],
        across="token →",
        down="block · mean ↓",
    )


def _entropy(views: Views) -> Heat:
    wide = max(map(len, views.entropy))
    even = [row + (math.nan,) * (wide - len(row)) for row in views.entropy]
    finite = [value for row in views.entropy for value in row if math.isfinite(value)]
    said = f"From {min(finite):.0%} to {max(finite):.0%}." if finite else ""

    def cell(layer: int, head: int, value: float) -> Cell:
        if not math.isfinite(value):
            return Cell(strength=0.0, words=f"attention {layer}, head {head}: nothing to say")
        return Cell(
            strength=0.08 + 0.92 * value,
            words=f"attention {layer}, head {head}: {value:.1%} of uniform",
            color="bad" if value < 0.02 else "c4",
            text=f"{value:.0%}" if wide <= FEW else "",
        )

    return Heat(
        key="entropy",
        title="How far each head spreads its attention",
        description="Entropy of its weights as a share of uniform ones': 100 % looks at all alike, 0 % at one token. "
        + said,
        cells=[[cell(layer, head, value) for head, value in enumerate(row)] for layer, row in enumerate(even)],
        row_names=[str(n) for n in range(len(even))],
        column_names=[str(n) for n in range(wide)],
        across="head →",
        down="attention ↓",
    )
