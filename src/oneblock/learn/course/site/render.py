"""One page from its template: the menu, the footer, and addresses as the page sees them."""

from __future__ import annotations

import functools
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from oneblock.learn.course.site.address import seen_from

HERE = Path(__file__).parent
MENU = (
    ("The path", "index.html"), ("Lab", "exercises.html"), ("From memory", "recall.html"),
    ("Formula cards", "cards.html"), ("Failures", "failures.html"), ("Shapes", "glossary.html"),
    ("Sources", "sources.html"),
)  # fmt: skip
BELOW = (
    ("Experiments", "experiments.html"), ("Doctor’s checks", "checks.html"), ("Drawings", "drawings.html"),
    ("One-page references", "references.html"),
)  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Page:
    """A finished page: its address from the root, its title, and its HTML."""

    path: str
    title: str
    html: str


@functools.cache
def _templates() -> Environment:
    return Environment(
        loader=FileSystemLoader(HERE / "templates"), autoescape=True, undefined=StrictUndefined, trim_blocks=True,
        lstrip_blocks=True,
    )  # fmt: skip


def page(path: str, template: str, *, title: str, there: frozenset[str], **values: Any) -> Page:
    """A page of a template. there: the pages that this site has; the menu names no other."""

    def to(where: str) -> str:
        return seen_from(path, where)

    given = {
        "path": path, "title": title, "to": to, "root": "../" * path.count("/"), "goals": False, "broad": False,
        "kind": "", "description": "", "graded": False, "plays": (), "lead": "",
        "menu": [entry for entry in MENU if entry[1] in there],
        "below": [entry for entry in BELOW if entry[1] in there],
    }  # fmt: skip
    html = _templates().get_template(template).render({**given, **values})
    return Page(path=path, title=title, html=html)


def fragment(template: str, **values: Any) -> Markup:
    """A part of a page."""
    return Markup(_templates().get_template(template).render(**values))
