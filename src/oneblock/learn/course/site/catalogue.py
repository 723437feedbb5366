"""The formula cards and the sources."""

from __future__ import annotations

import re

from markupsafe import Markup

from oneblock.learn.course import cards as all_cards
from oneblock.learn.course.cards import Card, Value
from oneblock.learn.course.lesson import NAMES
from oneblock.learn.course.site import address, names
from oneblock.learn.course.site.markdown import Writer
from oneblock.learn.course.site.maths import displayed, mathml
from oneblock.learn.course.site.render import Page, page
from oneblock.learn.course.sources import STANDINGS, Source, Topic, catalogue, source

TOPICS = {
    "residual": "The residual connection", "norm": "The norm", "attention": "Attention", "positions": "Positions",
    "feed_forward": "Feed-forwards", "loss": "The loss", "optimisers": "Optimisers", "rmsnorm": "RMSNorm",
    "peri_ln": "Places of the norm", "switch": "Switch: one expert for each token",
    "gshard": "GShard: two experts for each token", "diffusion": "Diffusion",
}  # fmt: skip
STANDING = {
    "strong": ("Well covered", "Two or more sources teach it."),
    "weak": ("Thinly covered", "One source, or papers only. The lesson named fills what is missing."),
    "gap": ("Gaps", "No source at the level one needs. The lesson named fills the gap."),
}


def cards(there: frozenset[str]) -> Page:
    """Formula cards, topic by topic."""
    path = "cards.html"
    topics = [(topic, TOPICS.get(topic, topic.replace("_", " "))) for topic in all_cards.TOPICS]
    groups = [
        {"anchor": f"topic-{topic}", "title": title, "cards": [_card(card, path) for card in all_cards.of(topic)]}
        for topic, title in topics
    ]
    rail = [{"title": group["title"], "link": f"#{group['anchor']}"} for group in groups]
    count = len(all_cards.of())
    return page(path, "cards.html", title="Formula cards", there=there, groups=groups, count=count, rail_name="Topics",
                rail=rail, rail_more=[])  # fmt: skip


def _card(card: Card, path: str) -> dict[str, object]:
    writer = Writer(path)
    return {
        "id": card.id,
        "title": Markup(writer.words(card.title)),
        "says": Markup(writer.words(card.says)),
        "formula": Markup(displayed(card.formula)),
        "symbols": [(Markup(mathml(letter)), Markup(writer.words(words))) for letter, words in card.symbols.items()],
        "trap": Markup(writer.words(card.trap)),
        "values": [_value(value, path) for value in card.values],
        "cited": _cited(card.source),
        "link": address.seen_from(path, address.address(f"source:{card.source}")),
        "where": card.where,
    }


def _value(value: Value, path: str) -> dict[str, str]:
    link = address.seen_from(path, address.address(f"source:{value.source}")) if value.source else ""
    notes = [value.note] if value.note else []
    notes += ["as transcribed by others"] if value.known == "transcribed" else []
    return {"what": value.what, "figure": value.figure, "note": "; ".join(notes), "link": link,
            "cited": _cited(value.source) if value.source else ""}  # fmt: skip


def _cited(name: str) -> str:
    known = source(name)
    return re.sub(r" \(.*\)$", "", known.author) + f" {known.year}"


def sources(there: frozenset[str]) -> Page:
    """The catalogue: what to read and why, which course uses which, and what nothing covers."""
    path = "sources.html"
    made = catalogue()
    groups = [
        {"anchor": f"topic-{topic.id}", "title": topic.title, "sources": found}
        for topic in made.topics
        if (found := [_source(each) for each in made.sources if each.topic == topic.id])
    ]
    placed = [each for each in made.sources if each.role]
    standings = [
        {"title": STANDING[standing][0], "words": STANDING[standing][1], "anchor": f"standing-{standing}",
         "topics": [_topic(topic, path) for topic in made.topics if topic.standing == standing]}
        for standing in STANDINGS
    ]  # fmt: skip
    rail = [{"title": group["title"], "link": f"#{group['anchor']}"} for group in groups]
    more: list[dict[str, object]] = [{"title": "Sources by course", "link": "#courses"}]
    more += [{"title": one["title"], "link": f"#{one['anchor']}"} for one in standings]
    return page(
        path, "sources.html", title="Sources", there=there, groups=groups, standings=standings, placed=placed,
        courses=made.courses, rail_name="Topics", rail=rail, rail_more=[("Coverage", more)],
    )  # fmt: skip


def _source(each: Source) -> dict[str, object]:
    notes = [note for note in each.notes.values() if note]
    return {"it": each, "address": each.address, "versions": each.versions, "notes": notes}


def _topic(topic: Topic, path: str) -> dict[str, object]:
    lesson = None
    if topic.lesson:
        lesson = names.station(topic.lesson, path) if topic.lesson in NAMES else {"title": topic.lesson, "link": ""}
    covering = [{"title": each.id, "link": f"#{each.id}"} for each in catalogue().covering(topic.id)]
    return {"title": topic.title, "missing": topic.missing, "lesson": lesson, "covering": covering}
