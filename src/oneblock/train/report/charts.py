"""Line charts as inline SVG. Only the curves stretch with the page; the words keep their size."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from oneblock.train.report.markup import Markup, element, join
from oneblock.train.report.ticks import label, labels, linear_ticks, log_ticks

HEIGHT = 250
STRETCH = 1000
"""Curves are drawn in a square of this side, which is then stretched; one unit is about a pixel."""
MOST_POINTS, MOST_MARKS = 600, 60
SHAPES = {
    "circle": "M0-3.4A3.4 3.4 0 1 1-.01-3.4Z",
    "square": "M-3-3H3V3H-3Z",
    "diamond": "M0-4.6L4.6 0L0 4.6L-4.6 0Z",
    "cross": "M-4-4L4 4M-4 4L4-4",
}

Numbers = Sequence[float]


@dataclass(frozen=True, kw_only=True)
class Series:
    """Numbers over steps. `color` is a class of the page; `shape`, one of SHAPES, marks each point.

    One or two points, which hardly make a line, are marked in any case.
    """

    label: str
    xs: Numbers
    ys: Numbers
    color: str
    shape: str | None = None
    line: bool = True
    faint: bool = False
    most: int = MOST_POINTS

    @property
    def mark(self) -> str | None:
        """The shape points are marked with, if they are."""
        return self.shape or ("circle" if len(self.xs) < 3 else None)


@dataclass(frozen=True, kw_only=True)
class Chart:
    """Series over one pair of axes. `vertical`, `horizontal`: a dashed line at a value, with its words.

    x_name: what is told of a marked point before its x
    """

    title: str
    description: str
    series: Sequence[Series]
    x_range: tuple[float, float]
    y_range: tuple[float, float]
    log: bool = False
    vertical: tuple[float, str] | None = None
    horizontal: tuple[float, str] | None = None
    key: str = "chart"
    x_name: str = "step"


def shape_definitions() -> Markup:
    """The marks' shapes, once for a page."""
    paths = [element("path", id=f"mark-{name}", d=path) for name, path in SHAPES.items()]
    return element("svg", element("defs", *paths), width=0, height=0, class_="defs", aria_hidden="true")


def draw(chart: Chart) -> Markup:
    """The chart with its legend."""
    axes = _Axes(chart)
    title_id, text_id = f"{chart.key}-title", f"{chart.key}-text"
    drawing = element(
        "svg",
        element("title", chart.title, id=title_id),
        element("desc", chart.description, id=text_id),
        axes.grid(),
        element(
            "svg",
            *(axes.line(series) for series in chart.series if series.line),
            viewBox=f"0 0 {STRETCH} {HEIGHT}",
            preserveAspectRatio="none",
            width="100%",
            height="100%",
        ),
        axes.rules(),
        *(axes.marks(series) for series in chart.series if series.mark),
        class_="chart",
        height=HEIGHT,
        role="img",
        aria_labelledby=f"{title_id} {text_id}",
    )
    named = {series.label: series for series in reversed(chart.series)}
    legend = element("ul", *(_legend(series) for series in reversed(named.values())), class_="legend")
    return element("figure", element("figcaption", element("h3", chart.title), legend), drawing)


def thin(xs: Numbers, ys: Numbers, most: int = MOST_POINTS) -> tuple[list[float], list[float]]:
    """Up to `most` points: the first, the last, and the lowest and highest of each share between."""
    x, y = np.asarray(xs, dtype=float), np.asarray(ys, dtype=float)
    if len(x) <= most:
        return x.tolist(), y.tolist()
    chosen = [0]
    for part in np.array_split(np.arange(1, len(x) - 1), (most - 2) // 2):
        finite = part[np.isfinite(y[part])]
        if len(finite):
            chosen += sorted({int(finite[y[finite].argmin()]), int(finite[y[finite].argmax()])})
        else:
            chosen.append(int(part[0]))
    chosen.append(len(x) - 1)
    return x[chosen].tolist(), y[chosen].tolist()


class _Axes:
    """Where values lie in a chart's square, and what is drawn there."""

    def __init__(self, chart: Chart) -> None:
        self.chart = chart
        self.left, self.right = chart.x_range
        self.low, self.high = (math.log10(v) if chart.log else v for v in chart.y_range)

    def x(self, value: float) -> float:
        return (value - self.left) / (self.right - self.left)

    def y(self, value: float) -> float:
        """Pixels from the top; what lies outside the axes is put just inside them."""
        if self.chart.log:
            value = math.log10(value) if value > 0 else self.low
        share = (value - self.low) / (self.high - self.low)
        return HEIGHT * (1 - min(max(share, -0.01), 1.0))

    def grid(self) -> Markup:
        chart = self.chart
        lines = []
        ticks = (log_ticks if chart.log else linear_ticks)(*chart.y_range)
        for value, words in zip(ticks, map(label, ticks) if chart.log else labels(ticks), strict=True):
            y = f"{self.y(value):.1f}"
            lines.append(element("line", x1=0, x2="100%", y1=y, y2=y))
            lines.append(element("text", words, x=-8, y=y, dy=".35em", text_anchor="end"))
        for value in linear_ticks(*chart.x_range, whole=True):
            x = f"{self.x(value):.2%}"
            lines.append(element("line", x1=x, x2=x, y1=HEIGHT, y2=HEIGHT + 5))
            lines.append(element("text", f"{value:,.0f}", x=x, y=HEIGHT + 18, text_anchor="middle"))
        return element("g", *lines, class_="grid")

    def line(self, series: Series) -> Markup:
        """The line as a path; it breaks where a value is no number."""
        parts: list[str] = []
        pen = "M"
        for x, y in zip(*thin(*self._seen(series), series.most), strict=True):
            if not math.isfinite(y):
                pen = "M"
                continue
            # `h0` makes a point that stands alone a dot.
            parts.append(f"{pen}{STRETCH * self.x(x):.1f} {self.y(y):.1f}{'h0' if pen == 'M' else ''}")
            pen = "L"
        return element("path", d="".join(parts), class_=f"{series.color}{' faint' if series.faint else ''}")

    def _seen(self, series: Series) -> tuple[Numbers, Numbers]:
        """The points within the axes, and one more on either side."""
        x = np.asarray(series.xs, dtype=float)
        first, last = np.searchsorted(x, self.left), np.searchsorted(x, self.right, side="right")
        seen = slice(max(int(first) - 1, 0), int(last) + 1)
        return series.xs[seen], series.ys[seen]

    def marks(self, series: Series) -> Markup:
        """A mark at each point; at the top edge where a value is no number or lies above the axes."""
        inside = [(x, y) for x, y in zip(series.xs, series.ys, strict=True) if self.left <= x <= self.right]
        every = -(-len(inside) // MOST_MARKS)
        drawn = inside[::-1][:: max(every, 1)][::-1]
        uses = [
            element(
                "use",
                element("title", f"{series.label}, {self.chart.x_name} {_plain(x)}: {label(y)}"),
                href=f"#mark-{series.mark}",
                x=f"{self.x(x):.2%}",
                y=f"{self.y(y) if math.isfinite(y) else 0:.1f}",
            )
            for x, y in drawn
        ]
        return element("g", *uses, class_=f"marks {series.color} {series.mark}")

    def rules(self) -> Markup:
        lines = []
        if self.chart.horizontal:
            value, words = self.chart.horizontal
            y = self.y(value)
            lines.append(element("line", x1=0, x2="100%", y1=f"{y:.1f}", y2=f"{y:.1f}"))
            lines.append(element("text", words, x="100%", y=f"{y - 5:.1f}", text_anchor="end"))
        if self.chart.vertical:
            value, words = self.chart.vertical
            x = self.x(value)
            late = x > 0.5
            lines.append(element("line", x1=f"{x:.2%}", x2=f"{x:.2%}", y1=0, y2=HEIGHT))
            lines.append(
                element(
                    "text",
                    words,
                    x=f"{x:.2%}",
                    dx=-6 if late else 6,
                    y=20,
                    text_anchor="end" if late else "start",
                )
            )
        return element("g", *lines, class_="rules")


def _plain(value: float) -> str:
    return f"{value:,.2f}".rstrip("0").rstrip(".")


def _legend(series: Series) -> Markup:
    line = element("path", d="M1 6H23", class_="faint" if series.faint else None) if series.line else None
    mark = element("use", href=f"#mark-{series.mark}", x=12, y=6) if series.mark else None
    marks = element("g", mark, class_=f"marks {series.mark}") if mark else None
    swatch = element("svg", line, marks, width=24, height=12, class_=f"swatch {series.color}", aria_hidden="true")
    return element("li", swatch, join(" ", series.label))
