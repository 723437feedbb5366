"""The depth report as a section of the page: five answers, and three charts over the blocks."""

from __future__ import annotations

import math
from collections.abc import Sequence

from oneblock.doctor.deep_answers import answers
from oneblock.doctor.depth import Depth, DepthReport
from oneblock.train.report.charts import Chart, Series, draw
from oneblock.train.report.markup import Markup, element, join
from oneblock.train.report.pieces import section, table

COLORS = ("c1", "c2", "c3", "c4")
TITLE = "At other depths"


def deep_section(report: DepthReport) -> Markup:
    """The section, or why there is none."""
    if report.refused:
        return section(TITLE, element("p", f"It could not be asked: {report.refused}."))
    depths = report.depths
    rows = [
        (
            element("span", each.status, class_=f"badge {each.status}"),
            join(element("p", each.question, class_="soft"), element("p", each.message, class_="said")),
        )
        for each in answers(report)
    ]
    head = element("tr", *(element("th", name, scope="col") for name in ("verdict", "what was found")))
    lines = [
        element("tr", element("td", badge, class_="badges"), element("td", said, class_="what")) for badge, said in rows
    ]
    counts = ", ".join(str(each.layers) for each in depths)
    return section(
        TITLE,
        element("p", f"The same model built with {counts} layers, fresh weights, random tokens.", class_="soft"),
        element("table", element("thead", head), element("tbody", *lines), class_="findings"),
        *(chart for chart in _charts(depths) if chart is not None),
        element("div", table(("layers", "parameters", "first loss"), _sizes(depths), numbers=3), class_="wide"),
    )


def _sizes(depths: Sequence[Depth]) -> list[tuple[str, str, str]]:
    return [(str(each.layers), f"{each.parameters:,}", f"{each.loss:.3f}") for each in depths]


def _charts(depths: Sequence[Depth]) -> list[Markup | None]:
    return [
        _chart(depths, "stream", "Root mean square of the stream, over the blocks", [each.stream for each in depths]),
        _chart(depths, "gradient", "Norm of each block's gradient", [each.gradients for each in depths], 1),
        _chart(depths, "logit", "Largest attention logit in sight", [each.logits for each in depths]),
    ]


def _chart(
    depths: Sequence[Depth], key: str, title: str, lines: Sequence[Sequence[float]], first: int = 0
) -> Markup | None:
    seen = [value for line in lines for value in line if math.isfinite(value) and value > 0]
    if not seen:
        return None
    series = [
        Series(
            label=f"{each.layers} layers",
            xs=[float(n + first) for n in range(len(line))],
            ys=list(line),
            color=COLORS[n % len(COLORS)],
        )
        for n, (each, line) in enumerate(zip(depths, lines, strict=True))
        if line
    ]
    low, high = min(seen), max(seen)
    return draw(
        Chart(
            key=f"depth-{key}",
            title=title,
            description=f"Between {low:.3g} and {high:.3g}.",
            series=series,
            x_range=(0.0, float(max(len(line) for line in lines))),
            y_range=(low / 1.3, high * 1.3),
            log=True,
        )
    )
