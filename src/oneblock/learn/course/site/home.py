"""The first page, the tiers' pages, and the lists that go over all lessons."""

from __future__ import annotations

from collections.abc import Iterable

from markupsafe import Markup

from oneblock.learn.course.figures import belt
from oneblock.learn.course.lesson import NAMES, TIERS
from oneblock.learn.course.page import Filled
from oneblock.learn.course.site import address, names
from oneblock.learn.course.site.questions import asked
from oneblock.learn.course.site.render import Page, page

CAPTION = (
    "The picture that lasts through the course. A parcel rides on a belt: the token’s vector. At a station, which is a "
    "block, a copy is lifted off, an inspector (the norm) brings it to a standard size, and a worker writes a slip "
    "that is added to the parcel. At the first bench, attention, the worker may read the parcels that came before; at "
    "the second, the feed-forward, only this one. The parcel itself never leaves the belt: that is the residual stream."
)


def home(there: frozenset[str]) -> Page:
    """What the course is, and the path."""
    path = "index.html"
    start = next((name for names_ in (TIERS["foundation"], NAMES) for name in names_ if name in NAMES), None)
    picture = belt(
        "One block as a station on a belt", stations=("attention", "feed-forward"), before=3, frame="one block"
    )
    return page(
        path,
        "home.html",
        title="The transformer, from failure to fix",
        there=there,
        broad=True,
        kind="home",
        lessons=sum(len(tier) for tier in TIERS.values()),
        start=start and names.station(start, path),
        picture=Markup(picture),
        caption=CAPTION,
        tiers=[_tier(name, path) for name in TIERS],
    )


def tier(name: str, there: frozenset[str]) -> Page:
    """A tier's lessons with their goals."""
    path, order = address.tier(name), list(TIERS)
    at = order.index(name)
    known = _tier(name, path)
    return page(
        path,
        "tier.html",
        title=names.TITLES[name],
        there=there,
        goals=True,
        name=name,
        tier=known,
        time=known["time"],
        lessons=known["lessons"],
        projects=names.PROJECTS.get(name, ()),
        place=at + 1,
        of=len(order),
        before=_tier(order[at - 1], path) if at else None,
        after=_tier(order[at + 1], path) if at + 1 < len(order) else None,
    )


def references(there: frozenset[str]) -> Page:
    """All one-page references."""
    path = "references.html"
    groups = [
        {
            "title": names.TITLES[tier],
            "anchor": tier,
            "entries": [
                {
                    "name": name,
                    "title": names.read(name).title,
                    "link": address.seen_from(path, address.reference(name)),
                }
                for name in members
                if name in NAMES
            ],
        }
        for tier, members in TIERS.items()
    ]
    return page(path, "references.html", title="One-page references", there=there, groups=groups)


def recall(filled: Iterable[Filled], there: frozenset[str]) -> Page:
    """Every prompt of every lesson, its answer hidden."""
    path = "recall.html"
    groups: dict[str, list[dict[str, object]]] = {}
    count, graded = 0, False
    for one in filled:
        lesson = one.lesson
        questions = [
            asked(question, path, address.lesson(lesson.name), anchor=f"{lesson.name}-{question.id}")
            for question in one.questions
            if question.kind == "retrieval"
        ]
        count += len(questions)
        graded = graded or any(question.graded for question in questions)
        if questions:
            link = address.seen_from(path, address.lesson(lesson.name))
            groups.setdefault(lesson.tier, []).append(
                {"title": lesson.title, "anchor": f"of-{lesson.name}", "link": link, "questions": questions}
            )
    made = [{"title": names.TITLES[tier], "anchor": tier, "lessons": groups[tier]} for tier in TIERS if tier in groups]
    rail = [{"title": group["title"], "link": f"#{group['anchor']}"} for group in made]
    return page(path, "recall.html", title="From memory", there=there, groups=made, count=count, graded=graded,
                rail_name="Tiers", rail=rail, rail_more=[])  # fmt: skip


def _tier(name: str, path: str) -> dict[str, object]:
    """A tier as lists name it."""
    lessons = [names.station(one, path) for one in TIERS[name]]
    minutes = sum(names.read(one).minutes for one in TIERS[name] if one in NAMES)
    time = f"{len(lessons)} lessons" + (f", about {names.lasting(minutes)}" if minutes else "")
    link = address.seen_from(path, address.tier(name))
    return {"title": names.TITLES[name], "what": names.WHAT[name], "time": time, "lessons": lessons, "link": link}
