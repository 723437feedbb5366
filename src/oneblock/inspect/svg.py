"""A model drawn as an SVG that stands alone: no scripts, no style sheets, no fonts from elsewhere."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

from oneblock.config.config import Config, Model
from oneblock.inspect.dataflow import dataflow
from oneblock.inspect.facts import Facts, facts
from oneblock.inspect.joined import lay_out_all
from oneblock.inspect.layout import Frame, Label, Line, Metrics, Picture, Rect

PIXELS = Metrics(char=8, line=18, pad_x=14, pad_y=9, gap=22, row=22, beside=22, head=52, cell=0)
MARGIN, RADIUS, HEADER = 28.0, 9.0, 46.0

_FILLS = {
    "norm": ("#e3f2f6", "#2a7f96"),
    "attention": ("#fdf0d5", "#b7791f"),
    "cross_attention": ("#fdf0d5", "#b7791f"),
    "feed_forward": ("#e5f3e3", "#3f8a3a"),
    "scale": ("#f6e6f4", "#9b4a91"),
    "dropout": ("#f1f1f1", "#8a8a8a"),
    "position": ("#f6e6f4", "#9b4a91"),
    "embedding": ("#e6eaf8", "#4a5fb0"),
    "head": ("#e6eaf8", "#4a5fb0"),
    "modulation": ("#fbe6e4", "#b3463b"),
}
_INK, _FAINT, _LINE, _STREAM, _PAPER, _CARD = "#1d2430", "#5b6573", "#5b6573", "#1d2430", "#ffffff", "#f7f8fa"
_SANS = "system-ui, 'Segoe UI', Roboto, 'Helvetica Neue', Arial, 'DejaVu Sans', sans-serif"
_MONO = "ui-monospace, Menlo, Consolas, 'DejaVu Sans Mono', monospace"


def svg(config: Config | Model, context: int | None = None) -> str:
    """The model as one `<svg>`: its dataflow, and beside it formula, parameters, FLOPs and cache bytes."""
    picture, known = lay_out_all(dataflow(config), PIXELS), facts(config, context)
    card, card_width, card_height = _card(known)
    width = MARGIN + picture.width + MARGIN + card_width + MARGIN
    height = HEADER + MARGIN / 2 + max(picture.height, card_height) + MARGIN
    words = f"{known.title}: {known.total:,} parameters, {known.layers}"
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:.0f} {height:.0f}" '
            f'width="{width:.0f}" height="{height:.0f}" role="img" '
            f'font-family="{_SANS}" font-size="13" fill="{_INK}" '
            f'style="max-width:100%;height:auto">',
            f"<title>{escape(words)}</title>",
            f'<rect class="paper" width="{width:.0f}" height="{height:.0f}" rx="8" fill="{_PAPER}"/>',
            f'<text x="{MARGIN:.1f}" y="38">'
            f'<tspan font-size="19" font-weight="600">{escape(known.title)}</tspan>'
            f'<tspan dx="14" fill="{_FAINT}">{known.total:,} parameters · {known.layers}</tspan></text>',
            f'<g transform="translate({MARGIN:.1f} {HEADER + MARGIN / 2:.1f})">',
            *_drawing(picture),
            "</g>",
            f'<g transform="translate({2 * MARGIN + picture.width:.1f} {HEADER + MARGIN / 2:.1f})">',
            *card,
            "</g>",
            "</svg>",
        ]
    )


def picture_svg(picture: Picture, words: str, over: Sequence[str] = ()) -> str:
    """A picture in `PIXELS` alone as one `<svg>`, told in `words`; `over`: SVG in its coordinates, drawn on top."""
    width, height = picture.width + 2 * MARGIN, picture.height + 2 * MARGIN
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:.0f} {height:.0f}" '
            f'width="{width:.0f}" height="{height:.0f}" role="img" '
            f'font-family="{_SANS}" font-size="13" fill="{_INK}" '
            f'style="max-width:100%;height:auto">',
            f"<title>{escape(words)}</title>",
            f'<rect class="paper" width="{width:.0f}" height="{height:.0f}" rx="8" fill="{_PAPER}"/>',
            f'<g transform="translate({MARGIN:.1f} {MARGIN:.1f})">',
            *_drawing(picture),
            *over,
            "</g>",
            "</svg>",
        ]
    )


def _drawing(picture: Picture) -> list[str]:
    return [
        *map(_frame, picture.frames),
        *(_line(line, picture.joins) for line in picture.lines),
        *map(_join, picture.joins),
        *map(_stop, picture.stops),
        *map(_box, picture.rects),
        *(_title(frame) for frame in picture.frames),
        *map(_label, picture.labels),
    ]


def _frame(frame: Frame) -> str:
    return (
        f'<rect class="block" x="{frame.x:.1f}" y="{frame.y:.1f}" width="{frame.w:.1f}" '
        f'height="{frame.h:.1f}" rx="10" fill="{_CARD}" stroke="#b9c0ca"/>'
    )


def _title(frame: Frame) -> str:
    return _text(frame.main + 14, frame.y + 20, frame.title, weight="600")


def _box(rect: Rect) -> str:
    middle = rect.x + rect.w / 2
    if rect.box.kind == "end":
        return _text(middle, rect.y + 13, rect.lines[0], weight="600", anchor="middle")
    fill, stroke = _FILLS[rect.box.kind]
    top = rect.y + PIXELS.pad_y + 13
    return "\n".join(
        [
            f'<rect class="box" x="{rect.x:.1f}" y="{rect.y:.1f}" width="{rect.w:.1f}" '
            f'height="{rect.h:.1f}" rx="6" fill="{fill}" stroke="{stroke}"/>',
            *(
                _text(
                    middle,
                    top + index * PIXELS.line,
                    text,
                    weight="600" if index == 0 else "",
                    anchor="middle",
                )
                for index, text in enumerate(rect.lines)
            ),
        ]
    )


def _line(line: Line, joins: list[tuple[float, float]]) -> str:
    points = list(line.points)
    # A line stops at the edge of the ⊕ it runs into or comes from.
    points[-1] = _short_of(points[-2], points[-1]) if points[-1] in joins else points[-1]
    points[0] = _short_of(points[1], points[0]) if points[0] in joins else points[0]
    colour, thick = (_STREAM, 2.2) if line.stream else (_LINE, 1.4)
    path = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
    looks = f'fill="none" stroke="{colour}" stroke-width="{thick}" stroke-linejoin="round"'
    drawn = f'<polyline points="{path}" {looks}/>'
    return drawn + (_head(points[-2], points[-1], colour) if line.arrow else "")


def _short_of(start: tuple[float, float], end: tuple[float, float]) -> tuple[float, float]:
    (x0, y0), (x1, y1) = start, end
    length = max(abs(x1 - x0) + abs(y1 - y0), 1e-9)
    return x1 - RADIUS * (x1 - x0) / length, y1 - RADIUS * (y1 - y0) / length


def _head(start: tuple[float, float], end: tuple[float, float], colour: str) -> str:
    (x0, y0), (x, y) = start, end
    along_x, along_y = (x > x0) - (x < x0), (y > y0) - (y < y0)
    back_x, back_y = x - 7 * along_x, y - 7 * along_y
    wing_x, wing_y = 4 * along_y, 4 * along_x
    corners = ((x, y), (back_x + wing_x, back_y + wing_y), (back_x - wing_x, back_y - wing_y))
    return f'<polygon points="{" ".join(f"{a:.1f},{b:.1f}" for a, b in corners)}" fill="{colour}"/>'


def _join(centre: tuple[float, float]) -> str:
    x, y = centre
    return (
        f'<g class="join" stroke="{_STREAM}" stroke-width="1.6">'
        f'<circle cx="{x:.1f}" cy="{y:.1f}" r="{RADIUS}" fill="{_PAPER}"/>'
        f'<path d="M{x - 5:.1f} {y:.1f}h10M{x:.1f} {y - 5:.1f}v10"/></g>'
    )


def _stop(centre: tuple[float, float]) -> str:
    x, y = centre
    cross = f"M{x - 6:.1f} {y - 6:.1f}l12 12m0 -12l-12 12"
    return f'<path class="stop" d="{cross}" stroke="#b3261e" stroke-width="2.2"/>'


def _label(label: Label) -> str:
    if label.across:
        return _text(label.x, label.y - 6, label.text, size=11, fill=_FAINT, anchor="middle")
    return _text(label.x - 4, label.y + 4, label.text, size=11, fill=_FAINT)


def _card(known: Facts) -> tuple[list[str], float, float]:
    """The facts as text at the side, its width and its height."""
    formula_width = max(len(line) for line in known.formula) * 7.9
    width, y = 350.0, 13.0
    drawn: list[str] = []
    drawn.append(_text(0, y, "Formula", weight="600"))
    for line in known.formula:
        y += 20
        drawn.append(_text(0, y, line, mono=True))
    for heading, rows in known.tables:
        y += 36
        drawn.append(_text(0, y, heading, weight="600"))
        drawn.append(f'<path d="M0 {y + 8:.0f}H{width:.0f}" stroke="#b9c0ca"/>')
        y += 8
        for row in rows:
            y += 21
            bold = "600" if row[0] == "total" else ""
            drawn.append(_text(0, y, row[0], weight=bold))
            drawn.append(_text(width - 70, y, row[1], weight=bold, anchor="end"))
            drawn.append(_text(width, y, row[2], anchor="end", fill=_FAINT))
    return drawn, max(width, formula_width), y + 8


def _text(
    x: float,
    y: float,
    text: str,
    *,
    size: float = 0,
    weight: str = "",
    anchor: str = "",
    fill: str = "",
    mono: bool = False,
) -> str:
    given = {
        "font-size": f"{size:g}" if size else "",
        "font-weight": weight,
        "text-anchor": anchor,
        "fill": fill,
        "font-family": _MONO if mono else "",
        "xml:space": "preserve" if mono else "",
    }
    words = "".join(f' {name}="{value}"' for name, value in given.items() if value)
    return f'<text x="{x:.1f}" y="{y:.1f}"{words}>{escape(text)}</text>'
