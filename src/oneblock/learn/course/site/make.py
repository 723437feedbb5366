"""`build(folder)`: every page of the course, checked, and written whole or not at all."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from oneblock.learn.course.fields import near
from oneblock.learn.course.lesson import ALL, NAMES, TIERS
from oneblock.learn.course.page import Filled, filled
from oneblock.learn.course.site import address, catalogue, glossary, home, lessons, lists, names
from oneblock.learn.course.site.check import faults, headed
from oneblock.learn.course.site.render import Page
from oneblock.learn.course.site.write import refuse, write
from oneblock.learn.errors import LearnError

ASSETS = Path(__file__).parent / "assets"
SHOWN = 20
"""How many faults are told at once."""


def build(folder: Path, only: str | None = None) -> dict[str, Any]:
    """The course as a site in `folder`; only: no other lesson's pages, to look at one while it is written.

    Gives folder, first page, lessons, how many pages and bytes. LearnError for a lesson that is wrong, for a link that
    leads nowhere, and for a folder that is not ours or cannot be written; then nothing is changed.
    """
    if only is not None and only not in NAMES:
        raise LearnError(f"{only} is not a lesson; try {', '.join(near(only, NAMES))}")
    refuse(folder)
    names.read.cache_clear()
    chosen = NAMES if only is None else (only,)
    pages = {page.path: page for page in _pages(chosen)}
    assets = {f"assets/{path.name}": path.read_bytes() for path in sorted(ASSETS.iterdir()) if path.is_file()}
    assets["assets/index.js"] = _index(pages.values()).encode()
    html = {path: page.html for path, page in pages.items()}
    # With `only`, and for lessons that are still to be written, pages may be linked that are not made.
    unmade = {make(name) for name in ALL if name not in chosen for make in (address.lesson, address.reference)}
    if found := faults(html, assets, unmade if only else ()):
        more = f"\nand {len(found) - SHOWN} more" if len(found) > SHOWN else ""
        raise LearnError("the pages are not right, so nothing was written:\n" + "\n".join(found[:SHOWN]) + more)
    files = {path: text.encode() for path, text in html.items()} | assets
    write(folder, files)
    return {
        "folder": str(folder),
        "first": str(folder / (address.lesson(only) if only else "index.html")),
        "lessons": list(chosen),
        "pages": len(pages),
        "bytes": sum(map(len, files.values())),
    }


def _pages(chosen: tuple[str, ...]) -> Iterator[Page]:
    """Every page. What the menu names is known before the first is made."""
    plain: dict[str, Callable[[frozenset[str]], Page]] = {
        "index.html": home.home,
        "references.html": home.references,
        "experiments.html": lists.experiments,
        "exercises.html": lists.exercises,
        "checks.html": lists.checks,
        "sources.html": catalogue.sources,
        "glossary.html": glossary.glossary,
        "cards.html": catalogue.cards,
        "failures.html": glossary.failures,
        "drawings.html": lists.drawings,
    }
    there = frozenset({*plain, "recall.html", *map(address.tier, TIERS)})
    done: list[Filled] = []
    for name in chosen:
        done.append(filled(names.read(name)))
        yield lessons.story(done[-1], there)
        yield lessons.reference(done[-1], there)
    yield home.recall(done, there)
    for tier in TIERS:
        yield home.tier(tier, there)
    for make in plain.values():
        yield make(there)


def _index(pages: Any) -> str:
    """Titles and headings for the search, as a script: a page opened from a file may read no other file."""
    entries = []
    for page in pages:
        entries.append([page.title, page.title, page.path])
        entries += [[words, page.title, f"{page.path}#{anchor}"] for words, anchor in headed(page.html)]
    return f"window.ONEBLOCK_INDEX = {json.dumps(entries, ensure_ascii=False, separators=(',', ':'))};\n"
