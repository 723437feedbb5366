"""What all figures are drawn with: elements, colours, words, numbers, axes. Units are pixels of a small page."""

from __future__ import annotations

import math
from html import escape

INK, SOFT, RULE, STRONG = (
    "var(--ink,#23252a)",
    "var(--soft,#5f6167)",
    "var(--rule,#e2ded4)",
    "var(--rule-strong,#b9b4a8)",
)
PAPER, SUNK, BAD = "var(--raised,#ffffff)", "var(--sunk,#f4f1ea)", "var(--bad,#a33419)"
COLOURS = (
    "var(--c1,#0b655c)", "var(--c2,#b4591a)", "var(--c3,#3565a8)", "var(--c4,#8b3f86)", "var(--c5,#8f6d0e)",
    "var(--c6,#6b6f76)",
)  # fmt: skip
"""Of series, in their order; a page may set --c1 … --c6, and does for the night."""
FONT = "var(--sans,system-ui,'Segoe UI',Roboto,'Helvetica Neue',Arial,'DejaVu Sans',sans-serif)"
SIZE, CHAR = 12.5, 7.2
"""Of letters: their height, and how wide one is taken to be."""
ENLARGED = 1.35
"""Pixels to a unit where there is room; a narrow page makes it less."""
DASHES = ("", "6 3", "2 3", "8 3 2 3", "4 2", "1 2")
"""With a colour each series has its dash, for who sees no colours."""


def number(value: float, digits: int = 3) -> str:
    """A number in a figure: at most that many decimals, a real minus."""
    if not math.isfinite(value):
        return "?" if math.isnan(value) else "∞" if value > 0 else "−∞"
    words = f"{value:,.{digits}f}"
    return words.replace("-", "−") if any(digit in words for digit in "123456789") else words.lstrip("-")


def short(value: float) -> str:
    """A number in four digits at most, as an axis or a description has it."""
    if value == 0 or not math.isfinite(value):
        return number(value, 0)
    if not 1e-4 <= abs(value) < 1e6:
        exponent = math.floor(math.log10(abs(value)))
        raised = str(exponent).translate(str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹"))
        factor = f"{value / 10.0**exponent:.3g}".replace("-", "−")
        return f"10{raised}" if factor == "1" else f"{factor}·10{raised}"
    return (f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.4g}").replace("-", "−")


def tag(name: str, /, *children: str, **attributes: object) -> str:
    """`<name …>children</name>`. `_` in an attribute is `-`, a last one is dropped; None leaves it out."""
    given = "".join(
        f' {key.rstrip("_").replace("_", "-")}="{_plain(value)}"'
        for key, value in attributes.items()
        if value is not None and value != ""
    )
    return f"<{name}{given}>{''.join(children)}</{name}>" if children else f"<{name}{given}/>"


def words(x: float, y: float, text: str, *, at: str = "middle", size: float = SIZE, **more: object) -> str:
    """Words with their middle line at y; at: start, middle or end. Nothing where there are none."""
    if not text:
        return ""
    given = {"fill": INK, **more}
    return tag("text", escape(text), x=x, y=y, dy=".35em", text_anchor=at, font_size=size, **given)


def ringed(x: float, y: float, text: str, **more: object) -> str:
    """Words that stay readable where a line runs through them."""
    return words(x, y, text, stroke="var(--paper,#fcfbf8)", stroke_width=4, paint_order="stroke", **more)  # type: ignore[arg-type]


def line(points: list[tuple[float, float]], colour: str = INK, width: float = 1.5, **more: object) -> str:
    """A line through points."""
    path = " ".join(f"{_plain(x)},{_plain(y)}" for x, y in points)
    return tag("polyline", points=path, fill="none", stroke=colour, stroke_width=width, stroke_linejoin="round", **more)


def arrow(points: list[tuple[float, float]], colour: str = INK, width: float = 1.5, **more: object) -> str:
    """A line with a head at its end."""
    (x0, y0), (x, y) = points[-2], points[-1]
    length = math.hypot(x - x0, y - y0) or 1.0
    along, up = (x - x0) / length, (y - y0) / length
    back = (x - 7 * along, y - 7 * up)
    wings = ((back[0] - 3.6 * up, back[1] + 3.6 * along), (back[0] + 3.6 * up, back[1] - 3.6 * along))
    corners = " ".join(f"{_plain(a)},{_plain(b)}" for a, b in ((x, y), *wings))
    return line([*points[:-1], back], colour, width, **more) + tag("polygon", points=corners, fill=colour)


def box(x: float, y: float, w: float, h: float, *, fill: str = PAPER, stroke: str = STRONG, **more: object) -> str:
    """A rectangle with round corners."""
    return tag("rect", **{"x": x, "y": y, "width": w, "height": h, "rx": 5, "fill": fill, "stroke": stroke, **more})


def tinted(x: float, y: float, w: float, h: float, colour: str, *, share: float = 0.14, **more: object) -> str:
    """A rectangle in a light shade of a colour, by day and by night."""
    return box(x, y, w, h, fill=colour, fill_opacity=share, stroke=colour, **more)


def bar(x: float, y: float, w: float, h: float, colour: str) -> str:
    """A bar of a chart; of nothing a line is left."""
    return box(x, y, w, max(h, 0.8), fill=colour, fill_opacity=0.8, stroke=colour, rx=1.5)


def svg(title: str, told: str, width: float, height: float, *parts: str) -> str:
    """The figure with its words."""
    return tag(
        "svg",
        tag("title", escape(title)),
        tag("desc", escape(told)),
        *parts,
        xmlns="http://www.w3.org/2000/svg",
        viewBox=f"0 0 {_plain(width)} {_plain(height)}",
        width=round(width * ENLARGED),
        height=round(height * ENLARGED),
        role="img",
        font_family=FONT,
        style="max-width:100%;height:auto",
    )


def key(entries: list[tuple[str, str]], x: float, y: float) -> tuple[str, float]:
    """What names the series, in rows from y on: (swatch, words) each; and the height that it takes."""
    parts, left, top = [], x, y
    for swatch, text in entries:
        wide = 26 + CHAR * len(text) + 22
        if left > x and left + wide > WIDTH:
            left, top = x, top + 18
        parts.append(tag("g", swatch, transform=f"translate({_plain(left)} {_plain(top)})"))
        parts.append(words(left + 26, top, text, at="start"))
        left += wide
    return "".join(parts), top - y + 20


WIDTH = 430.0
"""Of a figure, unless what it shows makes another of it."""


def ticks(low: float, high: float, most: int = 6) -> list[float]:
    """At most so many multiples of 1, 2 or 5 times a power of ten in a range."""
    first = math.floor(math.log10((high - low) / most)) - 1
    for step in (digit * 10.0 ** (first + power) for power in range(4) for digit in (1, 2, 5)):
        start, end = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
        if end - start + 1 <= most:
            return [float(f"{n * step:.6g}") for n in range(start, end + 1)]
    return [low, high]


def log_ticks(low: float, high: float, most: int = 7) -> list[float]:
    """Powers of ten in a range, with multiples where they are few."""
    powers = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    for digits in ((1, 2, 5), (1, 3), (1,)):
        found = [float(f"{d * 10.0**n:.6g}") for n in powers for d in digits]
        found = [value for value in found if low * 0.999 <= value <= high * 1.001]
        if len(found) <= most:
            return found
    return found[:: math.ceil(len(found) / most)]


def _plain(value: object) -> str:
    return f"{value:.1f}".removesuffix(".0") if isinstance(value, float) else escape(str(value))
