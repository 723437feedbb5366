"""What lessons link to, as small cards: experiments, exercises, checks, sources; and a lesson's neighbours."""

from __future__ import annotations

import ast
import functools
from dataclasses import dataclass

from oneblock.learn.course import links
from oneblock.learn.course.lesson import NAMES, TIERS, Lesson, lesson
from oneblock.learn.course.site import address
from oneblock.learn.exercises import text_of, title_of

TITLES = {
    "foundation": "Foundation", "architecture": "Architecture", "training": "Training", "modern": "Modern parts",
}  # fmt: skip
WHAT = {
    "foundation": "The parts: attention, the norm, positions, the feed-forward, each computed by hand first.",
    "architecture": "How the parts become a deep model: the residual, the block, stacks, masks and the cache.",
    "training": "What makes a model learn: data, optimisers, evaluation, debugging, several machines, a first model.",
    "modern": "What changed since: the swaps from a GPT to a Llama, experts, efficient attention, and diffusion.",
}
PROJECTS = {
    "architecture": (
        "A decoder of 8 layers and width 512 from nothing, in the exercise tiny_gpt.",
        "A model of 4 layers and width 256, trained on Shakespeare’s plays in about half an hour on a laptop.",
    ),
    "modern": ("A GPT made into a Llama in four swaps of 10 to 30 lines each, in the exercise llama.",),
}


@dataclass(frozen=True, kw_only=True)
class Card:
    """Something with a name, a title, words, and where it leads."""

    name: str
    title: str
    words: str = ""
    writes: tuple[str, ...] = ()
    claim: str = ""
    verdict: str = ""
    sentence: str = ""
    budget: str = ""
    command: str = ""
    link: str = ""
    by: str = ""
    why: str = ""
    lessons: tuple[Card, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Station:
    """A lesson in a list. here: whether it is written."""

    title: str
    here: bool
    link: str = ""
    time: str = ""
    goal: str = ""
    current: bool = False


def lasting(minutes: int) -> str:
    """45 -> 45 min; 90 -> 1 h 30 min."""
    hours, rest = divmod(minutes, 60)
    return " ".join([*([f"{hours} h"] if hours else []), *([f"{rest} min"] if rest or not hours else [])])


@functools.cache
def read(name: str) -> Lesson:
    """A lesson's text, read once in a build."""
    return lesson(name)


def station(name: str, page: str) -> Station:
    """A lesson as a list on a page names it."""
    if name not in NAMES:
        return Station(title=name.replace("_", " ").capitalize(), here=False)
    known = read(name)
    to = address.seen_from(page, address.lesson(name))
    return Station(title=known.title, here=True, link=to, time=lasting(known.minutes), goal=known.goal)


def neighbours(name: str) -> tuple[str | None, str | None]:
    """The lessons before and after, of those that are here, over all tiers."""
    order = [other for names in TIERS.values() for other in names if other in NAMES or other == name]
    at = order.index(name)
    return (order[at - 1] if at else None), (order[at + 1] if at + 1 < len(order) else None)


def experiment(name: str, page: str) -> Card:
    """An experiment with its claim and what came of it."""
    known = links.experiments()[name]
    to = address.seen_from(page, address.address(f"experiment:{name}"))
    return Card(name=name, title=name.replace("-", " ").capitalize(), claim=known.claim, verdict=known.verdict,
                sentence=known.sentence, budget=known.budget, link=to)  # fmt: skip


def exercise(name: str, page: str) -> Card:
    """An exercise, and the names that one writes in it."""
    title = title_of(name)
    to = address.seen_from(page, address.address(f"exercise:{name}"))
    return Card(name=name, title=title[:1].upper() + title[1:], writes=_written(name), link=to)


def check(name: str, page: str) -> Card:
    """A check of the doctor's."""
    to = address.seen_from(page, address.address(f"check:{name}"))
    return Card(name=name, title=links.checks()[name], link=to)


@functools.cache
def _written(name: str) -> tuple[str, ...]:
    """The names that an exercise's stub leaves to the learner."""
    found = [
        node.name for node in ast.parse(text_of(name, "stub")).body if isinstance(node, ast.FunctionDef | ast.ClassDef)
    ]
    return tuple(one for one in found if not one.startswith("_") and one != "mapping")


def using(kind: str, name: str, page: str) -> tuple[Card, ...]:
    """The lessons that name an experiment, an exercise, a check in their first lines."""
    found = [read(other) for other in NAMES if name in getattr(read(other), f"{kind}s")]
    return tuple(
        Card(name=one.name, title=one.title, link=address.seen_from(page, address.lesson(one.name))) for one in found
    )
