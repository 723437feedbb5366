"""The whole site: nothing from elsewhere, everything leads somewhere, every page is whole."""

import json
import re
from html.parser import HTMLParser
from xml.etree import ElementTree

import pytest

from oneblock.learn.course import cards, failures, links, sources
from oneblock.learn.course.lesson import NAMES, TIERS, lesson
from oneblock.learn.course.page import filled
from oneblock.learn.course.site import build
from oneblock.learn.course.site import lessons as lesson_pages
from oneblock.learn.course.site.check import faults, seen
from oneblock.learn.errors import LearnError
from oneblock.learn.exercises import NAMES as EXERCISES

VOID = {
    "meta",
    "link",
    "input",
    "br",
    "wbr",
    "hr",
    "img",
    "path",
    "rect",
    "circle",
    "line",
    "polyline",
    "polygon",
    "mspace",
    "use",
}
ADDRESS = re.compile(
    r"""(?:src|href|action|poster|data)\s*=\s*["']?\s*(?:\w+:)?//|url\(|@import|\bimport\s*[("']|\bfetch\(|XMLHttp"""
)


@pytest.fixture(scope="session")
def pages(site):
    return {str(path.relative_to(site)): path.read_text(encoding="utf-8") for path in sorted(site.rglob("*.html"))}


class Tree(HTMLParser):
    """Whether what is opened is closed, in order."""

    def __init__(self):
        super().__init__()
        self.open, self.wrong = [], []

    def handle_starttag(self, tag, attrs):
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        pass

    def handle_endtag(self, tag):
        if tag in VOID:
            return
        if not self.open or self.open.pop() != tag:
            self.wrong.append((tag, self.getpos()))


def test_every_lesson_and_every_list_has_its_page(pages):
    assert {f"lessons/{name}.html" for name in NAMES} | {f"reference/{name}.html" for name in NAMES} <= set(pages)
    assert {f"tiers/{name}.html" for name in TIERS} <= set(pages)
    assert {"index.html", "cards.html", "sources.html", "failures.html", "glossary.html", "recall.html", "drawings.html",
            "experiments.html", "exercises.html", "checks.html", "references.html"} <= set(pages)  # fmt: skip


def test_nothing_is_loaded_from_elsewhere(site):
    for path in site.rglob("*"):
        if path.suffix in {".html", ".css", ".js", ".svg"}:
            text = path.read_text(encoding="utf-8")
            # A link that a person may follow is no load; in a page only <a href> may name another host.
            text = re.sub(r'<a href="https?://[^"]+" rel="external noreferrer">', "", text)
            assert not (found := ADDRESS.search(text)), f"{path.name}: {text[found.start() - 60 : found.end() + 60]}"


def test_links_anchors_headings(site, pages):
    files = [str(path.relative_to(site)) for path in site.rglob("*") if path.is_file()]
    assert faults(pages, files) == []
    # The check can fail: without its anchors a page is a fault for others.
    broken = {**pages, "cards.html": pages["cards.html"].replace(' id="glu"', "")}
    assert any("#glu" in fault for fault in faults(broken, files))


def test_every_page_is_whole(pages):
    for path, text in pages.items():
        assert text.startswith('<!doctype html>\n<html lang="en">'), path
        assert re.search(r"<title>[^<{]+ · oneblock’s course</title>", text), path
        assert seen(text).levels.count(1) == 1 and seen(text).levels[0] == 1, path
        for landmark in ("<header", '<main id="main"', "<footer", 'class="skip" href="#main"'):
            assert text.count(landmark) == 1, (path, landmark)
        assert "{{" not in text and "{%" not in text and "Undefined" not in text and "```" not in text, path
        tree = Tree()
        tree.feed(text)
        assert not tree.wrong and not tree.open, (path, tree.wrong[:1], tree.open[-1:])


def test_every_picture_and_formula_has_words_and_is_well_formed(pages):
    for path, text in pages.items():
        for svg in re.findall(r"<svg.*?</svg>", text, re.DOTALL):
            head = svg[: svg.index(">")]
            hidden = 'aria-hidden="true"' in head or 'stroke="var(--ink)"' in svg or 'stroke="var(--accent)"' in svg
            assert hidden or ('role="img"' in head and re.search(r"<title[^>]*>[^<]{6,}", svg)), (path, svg[:200])
            ElementTree.fromstring(svg)
        for formula in re.findall(r"<math.*?</math>", text, re.DOTALL):
            ElementTree.fromstring(formula)


def test_buttons_fields_and_tables_have_names(pages):
    for path, text in pages.items():
        for field in re.findall(r"<input[^>]*>", text):
            name = re.search(r' id="([^"]+)"', field)
            labelled = "aria-label" in field or (name and f'for="{name[1]}"' in text)
            # Radios and switches stand inside their label.
            inside = re.search(r"<label[^>]*>\s*" + re.escape(field), text)
            assert labelled or inside, (path, field)
        assert len(re.findall(r"<th\b", text)) == len(re.findall(r"<th[^>]*scope=", text)), path


@pytest.mark.parametrize("name", NAMES)
def test_a_lesson_shows_all_that_it_has(pages, name):
    known, text = lesson(name), pages[f"lessons/{name}.html"]
    for question in known.questions:
        if question.kind != "predict" or f'"predict:{question.id}"' in repr(filled(known).pieces):
            assert f'id="q-{question.id}"' in text, question.id
    assert text.count('<details class="answer">') >= sum(q.kind != "predict" for q in known.questions)
    for exercise in known.exercises:
        assert f"oneblock check {exercise}<" in text
    for experiment in known.experiments:
        assert f"oneblock compare {experiment}<" in text and f"experiments.html#{experiment}" in text
    for check in known.checks:
        assert f'checks.html#{check}"' in text
    for source, _ in known.next:
        assert f'sources.html#{source}"' in text
    for key in filled(known).pieces:
        kind, _, piece = key.partition(":")
        assert kind != "interactive" or (f'id="play-{piece}"' in text and f'id="data-{piece}"' in text)
    assert f"lessons/{name}.html#" in pages[f"reference/{name}.html"]


def test_lists_are_complete(pages):
    for name in cards.cards():
        assert f'id="{name}"' in pages["cards.html"]
    for source in sources.catalogue().sources:
        assert (
            f'id="{source.id}"' in pages["sources.html"]
            and source.address.replace("&", "&amp;") in pages["sources.html"]
        )
    for row in failures.rows():
        assert f'id="{row.id}"' in pages["failures.html"]
    for path, names in (("experiments", links.experiments()), ("checks", links.checks()), ("exercises", EXERCISES)):
        for name in names:
            assert f'id="{name}"' in pages[f"{path}.html"]
    for name in NAMES:
        for question in lesson(name).questions:
            assert question.kind != "retrieval" or f'id="{name}-{question.id}"' in pages["recall.html"]


def test_the_index_of_the_search_leads_somewhere(site, pages):
    text = (site / "assets/index.js").read_text(encoding="utf-8")
    entries = json.loads(text.removeprefix("window.ONEBLOCK_INDEX = ").removesuffix(";\n"))
    assert len(entries) > 10 * len(NAMES)
    for words, _, address in entries:
        path, _, anchor = address.partition("#")
        assert words and (not anchor or f'id="{anchor}"' in pages[path]), address


def test_one_lesson_only(tmp_path):
    name = NAMES[-1]
    found = build(tmp_path / "site", only=name)
    assert found["lessons"] == [name] and found["first"].endswith(f"lessons/{name}.html")
    assert {path.stem for path in (tmp_path / "site" / "lessons").iterdir()} == {name}
    with pytest.raises(LearnError, match="is not a lesson; try"):
        build(tmp_path / "other", only="nonsense")
    assert not (tmp_path / "other").exists()


def test_a_dead_link_stops_the_build_and_changes_nothing(tmp_path, monkeypatch):
    plain = lesson_pages.figure
    monkeypatch.setattr(lesson_pages, "figure", lambda svg, words: plain(svg, words + '<a href="#nowhere">x</a>'))
    name = next(name for name in NAMES if any(key.startswith("figure:") for key in filled(lesson(name)).pieces))
    with pytest.raises(LearnError, match=r"nothing was written:\n.*#nowhere leads to no anchor"):
        build(tmp_path / "site", only=name)
    assert not (tmp_path / "site").exists()
