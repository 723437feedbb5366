"""The letters of shapes, and the failure–fix table on a page of its own."""

from __future__ import annotations

from markupsafe import Markup

from oneblock.learn.course.failures import Failure, rows
from oneblock.learn.course.lesson import NAMES
from oneblock.learn.course.site import names
from oneblock.learn.course.site.address import address, seen_from
from oneblock.learn.course.site.markdown import Writer
from oneblock.learn.course.site.render import Page, page

GROUPS = (
    ("Text and width", "width", (
        ("B", "batch: how many texts at once"),
        ("T", "query length: how many tokens ask"),
        ("S", "key length: how many tokens are looked at; equal to T without a cache"),
        ("D", "width: how many numbers one token’s vector has"),
        ("V", "vocabulary: how many different tokens there are"),
        ("L", "layers: how many blocks stand on one another"),
    )),
    ("Attention", "attention", (
        ("H", "query heads"),
        ("G", "key/value heads, which groups of query heads share; G = H is plain multi-head, G = 1 multi-query"),
        ("R", "query heads in a group, H / G"),
        ("K", "width of a head, D / H"),
    )),
    ("Feed-forward and experts", "experts", (
        ("F", "inner width of the feed-forward, often 4·D"),
        ("E", "experts"),
        ("C", "capacity: how many tokens an expert takes"),
        ("N", "tokens that are routed, B·T"),
    )),
)  # fmt: skip
TENSORS = (
    ("x_BTD", "the stream: one vector of width D for each token"),
    ("q_BHTK", "queries: what each token asks, head by head"),
    ("k_BGSK", "keys: what each token answers to"),
    ("v_BGSK", "values: what each token gives"),
    ("scores_BHTS", "q kᵀ/√K: how well each query fits each key"),
    ("weights_BHTS", "shares after the softmax; each row adds up to 1"),
    ("hidden_BTF", "inside the feed-forward"),
    ("logits_BTV", "a score for every token that may come next"),
    ("dispatch_GSEC", "in GShard’s algorithm only: G groups of S tokens, sent to places C of experts E"),
)


def glossary(there: frozenset[str]) -> Page:
    """The letters."""
    groups = [{"title": title, "anchor": anchor, "letters": letters} for title, anchor, letters in GROUPS]
    return page("glossary.html", "glossary.html", title="Shape letters", there=there, groups=groups, tensors=TENSORS)


def failures(there: frozenset[str]) -> Page:
    """What fails, what one sees, what mends it, and why."""
    path = "failures.html"
    groups = [
        {"title": title, "anchor": anchor, "rows": [_failure(row, path) for row in rows() if row.core is core]}
        for title, anchor, core in (
            ("The ones to know", "known", True),
            ("And what one meets beside these", "others", False),
        )
    ]
    return page(
        path, "failures.html", title="From failure to fix", there=there, broad=True, kind="failures", groups=groups
    )


def _failure(row: Failure, path: str) -> dict[str, object]:
    """One row, its texts as HTML and its links with what they are."""
    writer = Writer(path)
    links = [
        ("Experiment", "experiment", row.experiments),
        ("Check", "check", row.checks),
        ("Lab", "exercise", row.exercises),
    ]
    where = (
        [("Lesson", [(names.read(name).title, f"lesson:{row.lesson}")])]
        if (name := row.lesson.partition("#")[0]) in NAMES
        else []
    )
    where += [(word, [(one, f"{kind}:{one}") for one in found]) for word, kind, found in links if found]
    return {
        "id": row.id,
        "cells": [Markup(writer.words(text)) for text in (row.failure, row.see, row.fix, row.why)],
        "where": [(word, [(text, seen_from(path, address(to))) for text, to in found]) for word, found in where],
    }
