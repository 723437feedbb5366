"""What is found wrong in finished pages, fault by fault."""

import pytest

from oneblock.learn.course.site.check import faults, headed

GOOD = '<h1>A</h1><h2 id="b">B <a class="anchor" href="#b">#</a></h2><a href="sub/two.html#c">x</a><script src="a.js"></script>'
TWO = '<h1>C</h1><h2 id="c">C</h2><a href="../one.html">x</a><a href="https://example.org/">y</a>'


def test_pages_that_are_right():
    assert faults({"one.html": GOOD, "sub/two.html": TWO}, ["a.js"]) == []
    assert headed(GOOD) == [("B", "b")]


@pytest.mark.parametrize(
    "more, words",
    [
        ('<a href="#nowhere">x</a>', "leads to no anchor"),
        ('<a href="three.html">x</a>', "leads to no page"),
        ('<a href="sub/two.html#d">x</a>', "leads to no anchor of sub/two.html"),
        ('<p id="b"></p>', "is there twice"),
        ("<h4>x</h4>", "follows one of level 2"),
        ("<h1>x</h1>", "2 headings of level 1"),
        ('<img src="https://example.org/a.png">', "from elsewhere"),
        ('<link href="//example.org/a.css">', "from elsewhere"),
        ('<script src="b.js"></script>', "which is not there"),
    ],
)
def test_faults(more, words):
    found = faults({"one.html": GOOD + more, "sub/two.html": TWO}, ["a.js"])
    assert len(found) == 1 and words in found[0]


def test_a_lesson_that_is_not_made_may_be_named():
    pages = {"one.html": '<h1>A</h1><a href="lessons/norm.html#x">x</a>'}
    assert faults(pages, unmade={"lessons/norm.html"}) == []
    assert len(faults(pages)) == 1
