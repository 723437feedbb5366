"""Markdown to HTML: anchors, addresses from any depth, callouts, tables, code, pieces."""

import re

import pytest

from oneblock.learn.course.markup import headings
from oneblock.learn.course.site.address import seen_from
from oneblock.learn.course.site.markdown import Writer

TEXT = """
## Why 1/√d?

One [norm](lesson:norm#by-hand), [here](#why-1d), [E1](experiment:residuals), [C1](check:C1), [lab](exercise:block),
[card](card:glu), [paper](source:vaswani), [draw](drawing:block).

### Why 1/√d?

> **Trap.** Not the width.

> A plain quote.

| a | b |
|---|--:|
| 1 | <2 |
"""


def test_addresses_are_relative_to_the_page():
    made = Writer("lessons/attention.html").html(TEXT)
    hrefs = re.findall(r'href="([^"]+)"', made)
    assert hrefs == [
        "#why-1d", "norm.html#by-hand", "#why-1d", "../experiments.html#residuals", "../checks.html#C1",
        "../exercises.html#block", "../cards.html#glu", "../sources.html#vaswani", "../drawings.html#block", "#why-1d-1",
    ]  # fmt: skip
    # On another page `#slug` means the lesson it came from.
    other = Writer("recall.html", "lessons/attention.html").html("[here](#why-1d) and [norm](lesson:norm)")
    assert re.findall(r'href="([^"]+)"', other) == ["lessons/attention.html#why-1d", "lessons/norm.html"]


@pytest.mark.parametrize(
    "page, to, made",
    [
        ("index.html", "lessons/norm.html#a", "lessons/norm.html#a"),
        ("lessons/mask.html", "lessons/norm.html", "norm.html"),
        ("lessons/mask.html", "lessons/mask.html#a", "#a"),
        ("reference/mask.html", "lessons/mask.html#a", "../lessons/mask.html#a"),
        ("lessons/mask.html", "https://example.org/a#b", "https://example.org/a#b"),
    ],
)
def test_seen_from(page, to, made):
    assert seen_from(page, to) == made


def test_anchors_are_those_that_lessons_are_checked_by():
    made = Writer("lessons/attention.html").html(TEXT)
    assert re.findall(r'<h\d id="([^"]+)"', made) == [heading.slug for heading in headings(TEXT)]
    assert [f"h{heading.level}" for heading in headings(TEXT)] == re.findall(r"<(h\d) ", made)


def test_callouts_tables_and_text_that_is_no_html():
    made = Writer("a.html").html(TEXT)
    assert made.count('class="callout trap"') == 1 and made.count("<blockquote") == 2
    assert '<div class="scroll"' in made and '<th scope="col">a</th>' in made and "&lt;2" in made
    assert '<th scope="col" style="text-align:right">b</th>' in made


def test_a_head_of_empty_cells_is_left_out_and_a_table_of_sentences_is_wide():
    assert "thead" not in Writer("a.html").html("| | |\n|--|--|\n| 1 | 2 |\n")
    cells = " | ".join(["a sentence that is longer than sixty letters, as those of prose are"] * 4)
    assert 'class="scroll wide"' in Writer("a.html").html(f"| a | b | c | d |\n|--|--|--|--|\n| {cells} |\n")


def test_code_maths_and_pieces():
    made = Writer("a.html", piece=lambda key: f"<figure>{key}</figure>").html(
        "```python\ndef f(x):  # <b>\n    return 1\n```\n\n```gives\n1\n```\n\n```sh\nls # a\n```\n\n"
        "```piece\nfigure:grow\n```\n\n$x$ and\n\n$$\ny\n$$\n"
    )
    assert '<span class="k">def</span>' in made and '<span class="c"># &lt;b&gt;</span>' in made
    assert '<span class="c"># a</span>' in made and "code result" in made and "<figure>figure:grow</figure>" in made
    assert made.count("<math") == 2 and '<div class="formula"' in made


def test_words_are_without_a_paragraph():
    assert Writer("a.html").words("*a* $x$").startswith("<em>a</em> <math")
    assert Writer("a.html").words("a\n\nb").count("<p>") == 2


def test_code_in_a_table_is_parted_at_its_joints_and_no_number():
    text = Writer("lessons/norm.html").html(
        "| a | b |\n|---|---|\n| `block.num_heads=G` | `1e-5, 0.25` |\n\n`block.norm=rms`"
    )
    assert "<code>block.<wbr>num_<wbr>heads=<wbr>G</code>" in text and "<code>1e-5, 0.25</code>" in text
    assert "<code>block.norm=rms</code>" in text
