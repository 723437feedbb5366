"""Formula cards: a formula, what its letters mean, one plain sentence, what people get wrong, and where it stands."""

from __future__ import annotations

import functools
import re
import textwrap
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from oneblock.learn.course import sources
from oneblock.learn.course.fields import near
from oneblock.learn.course.tables import entries, tables, unique
from oneblock.learn.errors import LearnError

FOLDER = Path(__file__).with_name("cards")
TOPICS = (
    "residual", "norm", "attention", "positions", "feed_forward", "loss", "optimisers", "rmsnorm", "peri_ln", "switch",
    "gshard", "diffusion",
)  # fmt: skip
"""In the order of the lessons; each is a file of `cards/`."""
KNOWN = ("paper", "transcribed")


@dataclass(frozen=True, kw_only=True)
class Value:
    """A published figure. to: the end of a range; source: where it is not the card's own.

    known: "paper", or "transcribed" where the paper itself was not at hand and others' transcriptions agree.
    """

    what: str
    number: float
    to: float | None = None
    unit: str = ""
    note: str = ""
    source: str = ""
    known: str = "paper"

    @property
    def figure(self) -> str:
        """The figure as a person reads it."""
        text = written(self.number) if self.to is None else f"{written(self.number)} to {written(self.to)}"
        return f"{text} {self.unit}".strip()


@dataclass(frozen=True, kw_only=True)
class Card:
    """One formula card. formula: LaTeX; symbols: letter (LaTeX) -> meaning with its shape; where: in the source.

    check: Python lines, the last an expression that is true when our own package agrees (`proof.holds`); "" where the
    package has no such part.
    """

    id: str
    topic: str
    title: str
    formula: str
    says: str
    trap: str
    source: str
    where: str
    symbols: dict[str, str] = field(default_factory=dict)
    values: tuple[Value, ...] = ()
    check: str = ""

    def to_dict(self) -> dict[str, Any]:
        """As JSON has it."""
        return {**vars(self), "values": [vars(value) for value in self.values]}


@functools.cache
def cards(folder: Path = FOLDER) -> dict[str, Card]:
    """Id -> card, topic by topic. LearnError where one is not right."""
    found: list[Card] = []
    for topic in TOPICS:
        path = folder / f"{topic}.toml"
        given = tables(path)
        if given.get("topic") != topic or set(given) - {"topic", "card"}:
            raise LearnError(f"{path.name} begins with topic = {topic!r} and has [[card]] below it, nothing else")
        found += entries(Card, path, given.get("card", []), "card", topic=topic)
    unique("cards", [card.id for card in found])
    known = [each.id for each in sources.catalogue().sources]
    for card in found:
        for name in (card.source, *(value.source for value in card.values if value.source)):
            if name not in known:
                raise LearnError(f"card {card.id}: source {name!r} is not there; try {', '.join(near(name, known))}")
        if wrong := [value.known for value in card.values if value.known not in KNOWN]:
            raise LearnError(f"card {card.id}: known = {wrong[0]!r}; there are {', '.join(KNOWN)}")
    return {card.id: card for card in found}


def of(word: str | None = None) -> tuple[Card, ...]:
    """The cards of a topic, or the card of that id; all where nothing is asked for."""
    made = cards()
    if word is None:
        return tuple(made.values())
    if word in made and word not in TOPICS:
        return (made[word],)
    if found := tuple(card for card in made.values() if card.topic == word):
        return found
    offered = ", ".join(near(word, dict.fromkeys([*TOPICS, *made])))
    raise LearnError(f"{word} is neither a topic nor a card; try {offered}")


def markdown(word: str) -> str:
    """The cards of a topic, or one, as Markdown."""
    return "\n\n".join(_markdown(card) for card in of(word))


def told(word: str | None = None) -> dict[str, Any]:
    """What `oneblock learn cards [TOPIC] --json` prints."""
    return {"topics": list(TOPICS), "cards": [card.to_dict() for card in of(word)]}


def lines(word: str | None = None, width: int = 100) -> list[str]:
    """The same for a terminal, formulas as LaTeX."""
    out: list[str] = []
    for card in of(word):
        out += ["", f"{card.title} ({card.id})", *_wrapped(card.formula, width, "    ")]
        out += _wrapped(card.says, width, "  ")
        for letter, meaning in card.symbols.items():
            out += _wrapped(f"{letter}: {meaning}", width, "    ")
        out += _wrapped(f"Trap: {card.trap}", width, "  ")
        for value in card.values:
            out += _wrapped(f"{value.what}: {_full(value)}", width, "    ")
        out += _wrapped(f"{_cited(card.source)}, {card.where}", width, "  ")
    return out[1:]


def written(number: float) -> str:
    """As it was published: no trailing zeros, whole thousands apart, powers of ten where it is very small."""
    if number and abs(number) < 1e-3:
        return f"{number:.0e}".replace("e-0", "e-").replace("-", "−")
    if number == int(number):
        return f"{int(number):,}" if abs(number) < 1e9 else f"{int(number / 1e9):,} billion"
    return f"{number:.10g}".replace("-", "−")


def _markdown(card: Card) -> str:
    parts = [f"**{card.title}.** {card.says}", f"$$\n{card.formula}\n$$"]
    if card.symbols:
        rows = [f"| ${letter}$ | {meaning} |" for letter, meaning in card.symbols.items()]
        parts.append("\n".join(["| letter | meaning |", "|---|---|", *rows]))
    if card.values:
        rows = [f"| {_cell(value)} | {_full(value)} |" for value in card.values]
        parts.append("\n".join(["| published | figure |", "|---|---|", *rows]))
    parts += [f"> **Trap.** {card.trap}", f"Source: [{_cited(card.source)}](source:{card.source}), {card.where}."]
    return "\n\n".join(parts)


def _cell(value: Value) -> str:
    return f"{value.what} ([{_cited(value.source)}](source:{value.source}))" if value.source else value.what


def _full(value: Value) -> str:
    more = [value.note] if value.note else []
    more += ["as transcribed by others"] if value.known == "transcribed" else []
    return value.figure + (f" ({'; '.join(more)})" if more else "")


def _cited(name: str) -> str:
    source = sources.source(name)
    return re.sub(r" \(.*\)$", "", source.author) + f" {source.year}"


def _wrapped(text: str, width: int, indent: str) -> list[str]:
    wrapper = textwrap.TextWrapper(
        width, initial_indent=indent, subsequent_indent=indent, break_on_hyphens=False, break_long_words=False
    )
    return wrapper.wrap(text)
