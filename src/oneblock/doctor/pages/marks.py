"""Where in the drawing of a model a fault stands, and the marks drawn there."""

from __future__ import annotations

import re
from collections.abc import Sequence

from oneblock.doctor.finding import Finding
from oneblock.inspect.dataflow import Dataflow
from oneblock.inspect.joined import lay_out_all
from oneblock.inspect.layout import Picture
from oneblock.inspect.svg import PIXELS, picture_svg
from oneblock.train.report.markup import Markup, element

COLORS = {"FAIL": "#c62828", "WARN": "#b4650a"}
WHERE = (
    (r"norm|\bln|_ln", "norm"),
    (r"attn|attention|qkv|cache|mask|heads? \d|softmax", "attention"),
    (r"mlp|ffn|feed|expert|router|moe", "feed_forward"),
    (r"position|wpe|rope|alibi", "position"),
    (r"head|labels|logits", "head"),
    (r"embed|wte|table", "embedding"),
)
"""Words of a finding's `where` -> kind of box."""
USUAL = {
    "C": "attention",
    "K": "attention",
    "P": "attention",
    "A": "attention",
    "G": "attention",
    "R": "position",
    "N": "norm",
    "H": "join",
    "L": "head",
    "M": "feed_forward",
}
"""First letter of a check -> kind of box, where `where` says nothing; all else is marked on the block."""
BLOCK, JOIN = "block", "join"


def place_of(finding: Finding) -> str:
    """The kind of box that a finding is about, `join` for a residual, `block` for the whole."""
    if finding.id == "N1" and "residual" in finding.message:
        return JOIN
    if finding.id in ("K3", "R0", "R1", "R3", "D1"):
        return "position"
    if finding.id == "I2":
        return "head"
    usual = USUAL.get(finding.id[0])
    if usual and finding.id[0] in "CKPAGRHLM":
        return usual
    where = re.sub(r"\([^)]*\)|\S+\.py:\d+", "", finding.where).lower()  # files and lines may hold any word
    for words, kind in WHERE:
        if re.search(words, where):
            return kind
    return usual or BLOCK


def draw_patient(flow: Dataflow, findings: Sequence[Finding], name: str) -> Markup:
    """The patient as SVG, its faults (FAIL red, WARN brown) marked on what they are about, under their ids."""
    picture = lay_out_all(flow, PIXELS)
    marked: dict[str, list[Finding]] = {}
    for each in findings:
        if each.status in COLORS:
            marked.setdefault(_drawn(picture, place_of(each)), []).append(each)
    over = [mark for kind, found in marked.items() for mark in _marks(picture, kind, found)]
    said = ", ".join(each.id for found in marked.values() for each in found)
    return Markup(picture_svg(picture, f"{name}{f'; marked: {said}' if said else ''}", over))


def _drawn(picture: Picture, kind: str) -> str:
    """The kind, or the nearest that is there: a model whose positions are no box has them in its attention."""
    kinds = {rect.box.kind for rect in picture.rects} | ({JOIN} if picture.joins or picture.stops else set())
    for each in (kind, "attention" if kind == "position" else BLOCK):
        if each in kinds:
            return each
    return BLOCK


def _marks(picture: Picture, kind: str, found: Sequence[Finding]) -> list[Markup]:
    color = COLORS["FAIL" if any(each.status == "FAIL" for each in found) else "WARN"]
    title = element("title", "\n".join(f"{each.id}: {each.message}" for each in found))
    ids = " ".join(each.id for each in found)
    line = {"fill": "none", "stroke": color, "stroke_width": 3}
    if kind == JOIN:
        places = [*picture.joins, *picture.stops]
        rings = [element("circle", cx=f"{x:.1f}", cy=f"{y:.1f}", r=14, **line) for x, y in places]
        return [
            element("g", title, ring, _badge(x - 18, y, ids, color), class_="mark")
            for ring, (x, y) in zip(rings, places, strict=True)
        ]
    boxes = [(r.x, r.y, r.w, r.h) for r in picture.rects if r.box.kind == kind]
    if kind == BLOCK:
        boxes = [(f.x, f.y, f.w, f.h) for f in picture.frames]
    return [
        element(
            "g",
            title,
            element(
                "rect", x=f"{x - 4:.1f}", y=f"{y - 4:.1f}", width=f"{w + 8:.1f}", height=f"{h + 8:.1f}", rx=9, **line
            ),
            _badge(x + w + 6, y - 2, ids, color),
            class_="mark",
        )
        for x, y, w, h in boxes
    ]


def _badge(x: float, y: float, words: str, color: str) -> Markup:
    """A filled label whose right end is at x, its middle at y."""
    width = 7.6 * len(words) + 14
    left = x - width
    return element(
        "g",
        element("rect", x=f"{left:.1f}", y=f"{y - 10:.1f}", width=f"{width:.1f}", height=20, rx=10, fill=color),
        element(
            "text",
            words,
            x=f"{left + width / 2:.1f}",
            y=f"{y + 4.5:.1f}",
            text_anchor="middle",
            fill="#fff",
            font_size=12,
            font_weight=700,
        ),
    )
