"""What the course must carry, item by item (items/*.toml), held against the pages as they are filled."""

import functools
import re
import tomllib
from pathlib import Path
from xml.etree import ElementTree

import pytest

from oneblock.learn.course.lesson import ALL, NAMES, lesson
from oneblock.learn.course.page import filled

FOLDER = Path(__file__).parent / "items"
FIELDS = {"what", "page", "has"}


def words_of_lesson(name: str) -> str:
    page = filled(lesson(name))
    given = page.lesson
    parts = [
        given.title,
        given.goal,
        f"{given.minutes} minutes",
        *(why for _, why in given.next),
        page.body,
        page.reference,
    ]
    for question in page.questions:
        parts += [question.prompt, question.answer, *question.choices]
    for piece in page.pieces.values():
        if piece.kind == "figure":
            said = [element.text or "" for element in ElementTree.fromstring(piece.svg) if element.text]
            parts += [piece.caption, *said]
    return "\n".join(parts)


def words_of_cards() -> str:
    from oneblock.learn.course.cards import cards, markdown

    return "\n".join(markdown(name) for name in cards())


def words_of_sources() -> str:
    from oneblock.learn.course.sources import lines

    return "\n".join(lines())


def words_of_failures() -> str:
    from oneblock.learn.course.failures import markdown

    return markdown()


OTHERS = {"cards": words_of_cards, "sources": words_of_sources, "failures": words_of_failures}
"""Pages that are no lessons."""


def plain(text: str) -> str:
    """One kind of minus, of gap; where lines were broken does not matter."""
    return re.sub(r"\s+", " ", text.replace("−", "-").replace("\u00a0", " "))


@functools.cache
def words_of(page: str) -> str:
    return plain(OTHERS[page]() if page in OTHERS else words_of_lesson(page))


def missing(page: str, has: list[str]) -> list[str]:
    """Which of the strings a page lacks. A number is there only where it stands alone: 0.5 is not in 10.51."""
    text = words_of(page)
    absent = []
    for wanted in map(plain, has):
        left = r"(?<![\d.])" if wanted[:1].isdigit() else ""
        right = r"(?!\d)" if wanted[-1:].isdigit() else ""
        if not re.search(left + re.escape(wanted) + right, text):
            absent.append(wanted)
    return absent


def entries(path: Path) -> list[dict]:
    given = tomllib.loads(path.read_text(encoding="utf-8"))
    assert set(given) == {"item"}, f"{path.name}: a file holds [[item]] only"
    return given["item"]


@pytest.mark.parametrize("name", [path.stem for path in sorted(FOLDER.glob("*.toml"))])
def test_every_item_is_on_its_page(name):
    wrong = []
    for item in entries(FOLDER / f"{name}.toml"):
        assert set(item) == FIELDS and item["has"] and all(item["has"]), f"{name}: {item}"
        assert item["page"] in ALL or item["page"] in OTHERS, f"{name}: {item['page']} is no page"
        if absent := missing(item["page"], item["has"]):
            wrong.append(f"{item['page']}: {item['what']}: {absent}")
    assert not wrong, "\n".join(wrong)


def test_every_lesson_has_its_list():
    assert {path.stem for path in FOLDER.glob("*.toml")} >= set(NAMES)


def test_what_is_not_there_is_noticed():
    first = NAMES[0]
    assert missing(first, ["a sentence that no lesson would ever say"]) and not missing(first, [lesson(first).title])
