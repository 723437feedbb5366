"""Filling a page: what is computed, what is refused, and on which line."""

import re
import subprocess
import sys

import pytest
from course_writing import BODY, NUMBERS, QUESTIONS, REFERENCE, write

from oneblock.learn.course.lesson import read
from oneblock.learn.course.markup import headings, parser, slug
from oneblock.learn.course.page import filled
from oneblock.learn.errors import LearnError

FIRST = 12
"""The line on which the body of the small lesson begins."""


def made(tmp_path, name="small", **changes):
    return filled(read(write(tmp_path / name, **changes)))


def test_numbers_questions_and_pieces(tmp_path):
    page = made(tmp_path, body=BODY + '\n{{ figure("sums") }}\n{{ code("add", 1) }}\n{{ n.rows | grid(1) }}\n')
    assert "Two and three are 5.25." in page.body
    fences = [(token.info, token.content.strip()) for token in parser().parse(page.body) if token.type == "fence"]
    assert fences[:2] == [("piece", "predict:guess"), ("piece", "figure:sums")]
    assert fences[2][0] == "python" and fences[2][1].startswith("def add(") and fences[3] == ("gives", "[5.2, 2.0]")
    assert any(token.type == "table_open" for token in parser().parse(page.body))
    guess, choose = page.questions
    assert page.pieces["predict:guess"].question == guess
    assert guess.prompt == "What is 1.0 and four?" and guess.number == 5.0
    assert choose.choices == ("5.2", "two") and choose.answer == "The second, 5.25." and choose.number is None
    figure = page.pieces["figure:sums"]
    assert figure.caption == "Sums, the last is 5.25." and figure.svg.startswith("<svg")
    # source() shows, and calls nothing.
    shown = made(tmp_path, "other", body=BODY + '\n{{ source("add") }}\n')
    assert "```gives" not in shown.body and "def add(" in shown.body


def test_numbers_that_are_lists(tmp_path):
    page = made(tmp_path, questions=QUESTIONS.replace("n.total - 0.25", "[row[1] for row in n.rows]"))
    assert page.questions[0].number == (2.0, 4.5)


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("The mean is 1.225.", "1.225"),
        ("| a | b |\n|---|---|\n| 1 | 2.5 |", "2.5"),
        ("> **Trap.** It is 0.5.", "0.5"),
        ("- one\n- .5 of it", ".5"),
        ("**1.5**", "1.5"),
        ("### Of 1.5 things", "1.5"),
        ("[1.5](lesson:norm)", "1.5"),
        ("{{ n.total | num(2) }} is 5.25", "5.25"),
        ("{% if n.total %}5.25{% endif %}", "5.25"),
        ("x−1.5", "1.5"),
    ],
)
def test_a_typed_decimal_is_refused(tmp_path, text, found):
    with pytest.raises(LearnError, match=re.escape(f"{found} was typed; a decimal is computed")):
        made(tmp_path, body=f"{BODY}\n{text}\n")


@pytest.mark.parametrize(
    "text",
    [
        "`[0.5, 1.5]`", "```\n0.5\n```", "$0.5 x$", "$$\n0.5\n$$", "[section 3.2](source:vaswani)", "{{ 0.5 | num(1) }}",
        "{% set half = 0.5 %}{{ half | num(1) }}", "In 2017, 4 of 12. And 1,000.", "`v1.2`", "file.5 and C1. 5 of them",
    ],
)  # fmt: skip
def test_other_numbers_are_let_through(tmp_path, text):
    made(tmp_path, body=f"{BODY}\n{text}\n")


@pytest.mark.parametrize(
    ("changes", "where"),
    [
        ({"body": BODY + "\nIt is 0.5.\n"}, f"small/lesson.md, line {FIRST + 10}: 0.5 was typed"),
        ({"reference": REFERENCE + "\nIt is 0.5.\n"}, "small/reference.md, line 5: 0.5"),
        ({"questions": QUESTIONS.replace('"Which?"', '"Which of 0.5?"')}, "questions.toml: question choose: prompt"),
        ({"questions": QUESTIONS.replace("It is $5$", "It is 5.0")}, "questions.toml: question guess: answer"),
        ({"questions": QUESTIONS.replace('"two"', '"2.5"')}, "questions.toml: question choose: choice 1"),
        (
            {"numbers": NUMBERS.replace("Sums, the last", "Sums of 0.5, the last"), "body": '{{ figure("sums") }}'},
            "small/numbers.py: figure_sums",
        ),
    ],
)
def test_where_it_was_typed(tmp_path, changes, where):
    with pytest.raises(LearnError, match=re.escape(where)):
        made(tmp_path, **changes)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{{ n.totl }}", f"small/lesson.md, line {FIRST + 11}: UndefinedError"),
        ("{{ totl }}", "UndefinedError: 'totl' is undefined"),
        ("{{ n.total | nmu }}", "No filter named 'nmu'"),
        ("{{ n.total", f"small/lesson.md, line {FIRST + 11}: unexpected end of template"),
        ('{{ code("ad") }}', f"line {FIRST + 11}: ad is not a function of numbers.py; try add"),
        ('{{ figure("sum") }}', "figure_sum is not a function of numbers.py; try figure_sums"),
        ('{{ predict("choose") }}', "predict('choose'): no question of kind predict; try guess"),
        ('{{ predict("guess") }}', "predict('guess') stands twice"),
        ('{{ interactive("mask") }}', "interactive('mask') does not belong here; there are mask in mask, scale in"),
        ("{{ 1 // 0 }}", "ZeroDivisionError"),
        ("# A title", "'A title': sections are ##, sub-sections ###"),
        ("#### Deep", "'Deep': sections are ##"),
        ("## Of {{ n.total }}", "a heading is an anchor, and must not be computed"),
        ("[x](lesson:nrom)", "[x](lesson:nrom) is not there; try norm"),
        ("[x](experiment:residual)", "[x](experiment:residual) is not there; try residuals"),
        ("[x](check:C9)", "[x](check:C9) is not there; try C"),
        ("[x](exercise:atention)", "is not there; try attention"),
        ("[x](source:vaswanni)", "is not there; try vaswani"),
        ("[x](card:swigluu)", "is not there; try swiglu"),
        ("[x](check:C1#a)", "has a # that means nothing for a check"),
        ("[x](#nowhere)", "[x](#nowhere) has no such heading; try the-first-part"),
        ("[x](https://example.org)", "leaves the course; link to a source"),
        ("[x](norm.md)", "is no address here; try #slug, or one of lesson:"),
        ("![x](a.png)", "is no address here"),
    ],
)
def test_what_stops_a_page(tmp_path, text, message):
    with pytest.raises(LearnError, match=re.escape(message)):
        made(tmp_path, body=f"{BODY}\n\n{text}\n")


@pytest.mark.parametrize(
    "text", ["[x](lesson:norm)", "[x](experiment:residuals)", "[x](check:C1)", "[x](exercise:block)",
             "[x](source:vaswani)", "[x](card:swiglu)", "[x](#limits)", "[x](#the-first-part-1)\n\n## The first part"],
)  # fmt: skip
def test_links_that_lead_somewhere(tmp_path, text):
    made(tmp_path, body=f"{BODY}\n{text}\n")


def test_an_anchor_of_another_lesson_is_checked(tmp_path):
    made(tmp_path, body=f"{BODY}\n[x](lesson:residual#limits)\n")
    with pytest.raises(LearnError, match="has no such heading there"):
        made(tmp_path, "other", body=f"{BODY}\n[x](lesson:residual#limts)\n")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"head": {"exercises": '["blok"]'}}, "small/lesson.md: exercise blok is not there; try block"),
        ({"head": {"experiments": '["residual"]'}}, "experiment residual is not there; try residuals"),
        ({"head": {"checks": '["Z9"]'}}, "check Z9 is not there"),
        ({"head": {"next": '[["vaswanni", "why"]]'}}, "source vaswanni is not there; try vaswani"),
        ({"head": {"needs": '["norms"]'}}, "needs: norms is no other lesson"),
        ({"head": {"needs": '["small"]'}}, "needs: small is no other lesson"),
        ({"reference": "Text.\n"}, "small/reference.md has no ## section"),
        ({"reference": REFERENCE + "\n## More\n\n[Not it](check:C1).\n"}, "the section 'More' has no link [why](#slug)"),
        ({"reference": REFERENCE.replace("#the-first-part", "#adding")}, "(#adding) has no such heading"),
        ({"questions": QUESTIONS.replace("n.total - 0.25", "n.totl")}, "number = 'n.totl': AttributeError"),
        ({"questions": QUESTIONS.replace("n.total - 0.25", "n.add")}, "number = 'n.add': TypeError"),
        ({"questions": QUESTIONS.replace('number = "n.total - 0.25"', 'exercise = "blok"')}, "exercise blok is not there"),
        ({"numbers": "total = 1 / 0\n"}, "small/numbers.py, line 1: ZeroDivisionError"),
        ({"numbers": NUMBERS.replace("figures.lines", "str"), "body": '{{ figure("sums") }}'}, "TypeError"),
        (
            {"numbers": NUMBERS + '\n\ndef figure_no() -> str:\n    """No."""\n    return "<svg/>"\n',
             "body": '{{ figure("no") }}'},
            "figure_no: an SVG has a <title> in words, and no script",
        ),
        (
            {"numbers": NUMBERS + '\n\ndef figure_no() -> str:\n    return figures.bars("A", {"a": 1})\n',
             "body": '{{ figure("no") }}'},
            "figure_no has no docstring; it is the caption",
        ),
    ],
)  # fmt: skip
def test_what_else_stops_a_page(tmp_path, changes, message):
    with pytest.raises(LearnError, match=re.escape(message)):
        made(tmp_path, **changes)


def test_the_reference_finds_the_lesson_and_not_itself(tmp_path):
    assert "[why](#the-first-part)" in made(tmp_path).reference


@pytest.mark.parametrize(
    ("words", "anchor"),
    [
        ("A story begins with a failure", "a-story-begins-with-a-failure"),
        ("Why 1/√d?", "why-1d"),
        ("x + f(x), by hand", "x--fx-by-hand"),
        ("Pre-norm and post_norm", "pre-norm-and-post_norm"),
        ("Über Maße", "über-maße"),
    ],
)
def test_slugs_are_githubs(words, anchor):
    assert slug(words) == anchor
    assert headings(f"text\n\n## {words}\n\n```\n## no\n```\n\n## {words}")[1].slug == f"{anchor}-1"


def test_marks_in_a_heading_are_no_part_of_its_anchor():
    assert [heading.slug for heading in headings("## The `mask` *here*\n\n### $x$ and [y](#z)")] == [
        "the-mask-here",
        "x-and-y",
    ]


def test_reading_loads_no_torch():
    program = (
        "import sys\nfrom oneblock.learn.course.lesson import NAMES, lesson\n"
        "[lesson(name) for name in NAMES]\nimport oneblock.learn.course.page\nprint('torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False"]
