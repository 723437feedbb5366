"""What every finished page must hold: no address from elsewhere, links that lead somewhere, headings in order."""

from __future__ import annotations

import posixpath
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from html.parser import HTMLParser
from urllib.parse import unquote


@dataclass(kw_only=True)
class Seen:
    """What a page has. links: href -> the words of the link; loads: what it would fetch; levels: of its
    headings; heads: their words and anchors."""

    ids: list[str] = field(default_factory=list)
    links: list[str] = field(default_factory=list)
    loads: list[str] = field(default_factory=list)
    levels: list[int] = field(default_factory=list)
    heads: list[tuple[str, str]] = field(default_factory=list)


class _Reader(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.seen = Seen()
        self.head: tuple[str, list[str]] | None = None

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {key: value or "" for key, value in attrs}
        if "id" in given:
            self.seen.ids.append(given["id"])
        if tag == "a" and "href" in given:
            self.seen.links.append(given["href"])
        self.seen.loads += [given["src"]] if "src" in given else []
        self.seen.loads += [given["href"]] if tag in ("link", "use", "image") and "href" in given else []
        if len(tag) == 2 and tag[0] == "h" and tag[1].isdigit():
            self.seen.levels.append(int(tag[1]))
            self.head = (given.get("id", ""), [])

    def handle_data(self, data: str) -> None:
        if self.head is not None:
            self.head[1].append(data)

    def handle_endtag(self, tag: str) -> None:
        if self.head is not None and len(tag) == 2 and tag[0] == "h" and tag[1].isdigit():
            anchor, words = self.head
            self.seen.heads.append((" ".join("".join(words).removesuffix("#").split()), anchor))
            self.head = None


def seen(html: str) -> Seen:
    """What a page has."""
    reader = _Reader()
    reader.feed(html)
    return reader.seen


def headed(html: str) -> list[tuple[str, str]]:
    """The headings below the title that have an anchor: their words, the anchor."""
    return [(words, anchor) for words, anchor in seen(html).heads if anchor]


def faults(pages: Mapping[str, str], files: Iterable[str] = (), unmade: Iterable[str] = ()) -> list[str]:
    """Everything that is wrong, a sentence each. pages: path -> HTML; files: what else is there.

    unmade: paths that a link may name though they are not made in this build.
    """
    found: list[str] = []
    known = {path: seen(html) for path, html in pages.items()}
    others = {*files}
    for path, page in known.items():
        if twice := sorted({name for name in page.ids if page.ids.count(name) > 1}):
            found.append(f"{path}: the anchor {', '.join(twice)} is there twice")
        found += [f"{path}: a heading of level {b} follows one of level {a}"
                  for a, b in zip([0, *page.levels], page.levels, strict=False) if b > a + 1]  # fmt: skip
        if page.levels.count(1) != 1:
            found.append(f"{path}: has {page.levels.count(1)} headings of level 1")
        for load in page.loads:
            if "://" in load or load.startswith("//"):
                found.append(f"{path}: would load {load} from elsewhere")
            elif _joined(path, load)[0] not in others:
                found.append(f"{path}: loads {load}, which is not there")
        for link in page.links:
            if "://" in link or link.startswith("mailto:"):
                continue
            there, anchor = _joined(path, link)
            if there in known:
                if anchor and anchor not in known[there].ids:
                    found.append(f"{path}: the link {link} leads to no anchor of {there}")
            elif there not in others and there not in unmade:
                found.append(f"{path}: the link {link} leads to no page")
    return found


def _joined(path: str, link: str) -> tuple[str, str]:
    """A link's page from the root, and its anchor."""
    to, _, anchor = link.partition("#")
    return (posixpath.normpath(posixpath.join(posixpath.dirname(path), to)) if to else path), unquote(anchor)
