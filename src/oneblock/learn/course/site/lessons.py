"""The pages of a lesson: its story with questions and cards, and its one-page reference."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from html import escape

from markupsafe import Markup

from oneblock.learn.course.lesson import NAMES, TIERS
from oneblock.learn.course.markup import headings
from oneblock.learn.course.page import Filled
from oneblock.learn.course.site import address, names, play
from oneblock.learn.course.site.markdown import Writer
from oneblock.learn.course.site.questions import PARTS, Asked, asked
from oneblock.learn.course.site.render import Page, fragment, page

LARGE = 650
"""Pixels; a wider figure scrolls on a narrow page, for its letters would get too small."""


def story(filled: Filled, there: frozenset[str]) -> Page:
    """The lesson's page."""
    lesson = filled.lesson
    path = address.lesson(lesson.name)
    questions = [asked(question, path, path) for question in filled.questions]
    body = Writer(path, piece=_pieces(filled, path, {q.anchor: q for q in questions})).html(filled.body)
    parts = [
        {"kind": kind, "anchor": anchor, "title": title, "words": words, "questions": chosen}
        for kind, anchor, title, words in PARTS
        if (chosen := [question for question in questions if question.kind == kind])
    ]
    after = [("lab", "In the lab", lesson.exercises), ("measured", "Measured", lesson.experiments),
             ("doctor", "What the doctor asks", lesson.checks), ("read", "What to read next", lesson.next)]  # fmt: skip
    rail = [{"title": h.words, "link": f"#{h.slug}"} for h in headings(filled.body) if h.level == 2]
    work = [{"title": part["title"], "link": f"#{part['anchor']}"} for part in parts]
    work += [{"title": title, "link": f"#{anchor}"} for anchor, title, entries in after if entries]
    tier = TIERS[lesson.tier]
    before, following = names.neighbours(lesson.name)
    return page(
        path,
        "lesson.html",
        title=lesson.title,
        description=lesson.goal,
        there=there,
        rail_name="In this lesson",
        rail=rail,
        rail_more=[("To do and to keep", work)] if work else [],
        lesson=lesson,
        time=names.lasting(lesson.minutes),
        tier={"title": names.TITLES[lesson.tier], "link": address.seen_from(path, address.tier(lesson.tier))},
        place=tier.index(lesson.name) + 1,
        of=len(tier),
        needs=[names.station(name, path) for name in lesson.needs],
        reference=address.seen_from(path, address.reference(lesson.name)),
        body=Markup(body),
        asked=parts,
        exercises=[names.exercise(name, path) for name in lesson.exercises],
        experiments=[names.experiment(name, path) for name in lesson.experiments],
        checks=[names.check(name, path) for name in lesson.checks],
        following=[_source(name, Markup(Writer(path).words(why)), path) for name, why in lesson.next],
        before=before and names.station(before, path),
        after=following and names.station(following, path),
        graded=any(question.graded for question in questions),
        plays=[piece.name for piece in filled.pieces.values() if piece.kind == "interactive"],
    )


def reference(filled: Filled, there: frozenset[str]) -> Page:
    """What one prints."""
    lesson = filled.lesson
    path, own = address.reference(lesson.name), address.lesson(lesson.name)
    order = [name for tier in TIERS.values() for name in tier if name in NAMES]
    at = order.index(lesson.name)
    before, after = order[at - 1] if at else "", order[at + 1] if at + 1 < len(order) else ""

    def other(name: str) -> names.Station:
        return names.Station(
            title=names.read(name).title, here=True, link=address.seen_from(path, address.reference(name))
        )

    return page(
        path,
        "reference.html",
        title=f"{lesson.title}: reference",
        there=there,
        rail_name="On this page",
        rail=[{"title": h.words, "link": f"#{h.slug}"} for h in headings(filled.reference) if h.level == 2],
        rail_more=[],
        lesson=lesson,
        story=address.seen_from(path, own),
        body=Markup(Writer(path, own, piece=_pieces(filled, path, {})).html(filled.reference)),
        before=other(before) if before else None,
        after=other(after) if after else None,
    )


def _pieces(filled: Filled, path: str, questions: dict[str, Asked]) -> Callable[[str], str]:
    """How figures, predictions and pictures to play with are shown on a page."""

    def piece(key: str) -> str:
        one = filled.pieces[key]
        if one.kind == "figure":
            return figure(one.svg, Writer(path, address.lesson(filled.lesson.name)).words(one.caption))
        if one.kind == "predict":
            return fragment("question.html", q=questions[f"q-{one.name}"])
        return interactive(one.name)

    return piece


def figure(svg: str, caption: str) -> str:
    """A drawing with its words; on a narrow page it scrolls before it gets too small to read."""
    if (width := re.match(r'<svg[^>]*? width="(\d+)', svg)) and int(width[1]) > LARGE:
        svg = svg.replace("<svg", '<svg class="large"', 1)
    drawing = f'<div class="scroll" data-name="picture, scrolls sideways">{svg}</div>'
    return f"<figure>{drawing}<figcaption>{caption}</figcaption></figure>\n"


def interactive(name: str) -> str:
    """A picture to play with, and the numbers it works on."""
    data = json.dumps(play.DATA[name](), ensure_ascii=False, separators=(",", ":")).replace("<", "\\u003c")
    box = fragment(f"interactives/{escape(name)}.html")
    return f'{box}<script type="application/json" id="data-{name}">{data}</script>\n'


def _source(name: str, why: Markup, path: str) -> dict[str, object]:
    """A source that a lesson sends its reader to: the catalogue's entry has the address itself."""
    from oneblock.learn.course.sources import source

    known = source(name)
    by = f"{known.author}, {known.year}"
    return {
        "title": known.title,
        "by": by,
        "why": why,
        "link": address.seen_from(path, address.address(f"source:{name}")),
    }
