"""The frame every page stands in: head, style and header, and a policy that lets nothing be loaded."""

from __future__ import annotations

from collections.abc import Iterable

from oneblock.train.report.charts import shape_definitions
from oneblock.train.report.markup import Markup, element
from oneblock.train.report.style import STYLE

# The page loads nothing, and the browser is told so, should text from outside ever get past the escaping.
POLICY = "default-src 'none'; style-src 'unsafe-inline'"


def framed(title: str, lead: object, *parts: object, style: str = "") -> str:
    """A whole page as HTML: its title, what stands under it, and its parts. style: rules of its own, of this package.

    A `lead` that is plain words becomes a paragraph.
    """
    under = lead if isinstance(lead, Markup) else element("p", lead)
    body = element(
        "body",
        shape_definitions(),
        element("header", element("h1", title), under),
        element("main", *parts),
    )
    head = element(
        "head",
        element("meta", charset="utf-8"),
        element("meta", http_equiv="Content-Security-Policy", content=POLICY),
        element("meta", name="viewport", content="width=device-width, initial-scale=1"),
        element("meta", name="color-scheme", content="light dark"),
        element("title", f"{title} – oneblock"),
        element("style", Markup(STYLE + style)),
    )
    return "<!doctype html>\n" + element("html", head, body, lang="en") + "\n"


def tiles(entries: Iterable[tuple[str, str, str]]) -> Markup:
    """Headline figures: a name, its value, and what must be known to read it ("" for nothing)."""
    made = [
        element("div", element("dt", name), element("dd", value), element("dd", remark) if remark else None)
        for name, value, remark in entries
    ]
    return element("dl", *made, class_="tiles")
