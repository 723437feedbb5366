"""Where things are in the site, and how one page's address looks from another. Opens from a file: all are relative."""

from __future__ import annotations

import posixpath

PAGES = {
    "experiment": "experiments.html", "check": "checks.html", "exercise": "exercises.html", "card": "cards.html",
    "source": "sources.html", "drawing": "drawings.html",
}  # fmt: skip
"""Kind of link -> the page on which its names are anchors."""


def address(to: str, own: str = "") -> str:
    """The address, from the site's root, of a link as lessons write it. own: the page that `#slug` means.

    `lesson:norm#slug` -> lessons/norm.html#slug; `card:glu` -> cards.html#glu; `#slug` -> own#slug.
    """
    kind, colon, rest = to.partition(":")
    if not colon or "#" in kind:
        return own + to
    name, hash_, anchor = rest.partition("#")
    if kind == "lesson":
        return lesson(name) + hash_ + anchor
    return f"{PAGES[kind]}#{name}" if kind in PAGES else to


def lesson(name: str) -> str:
    """A lesson's page."""
    return f"lessons/{name}.html"


def reference(name: str) -> str:
    """Its one-page reference."""
    return f"reference/{name}.html"


def tier(name: str) -> str:
    """A tier's page."""
    return f"tiers/{name}.html"


def seen_from(page: str, to: str) -> str:
    """An address of the site as page writes it; others are left alone."""
    if "://" in to or to.startswith("mailto:"):
        return to
    path, hash_, anchor = to.partition("#")
    if path in ("", page):
        return hash_ + anchor if hash_ else posixpath.basename(page)
    return posixpath.relpath(path, posixpath.dirname(page) or ".") + hash_ + anchor
