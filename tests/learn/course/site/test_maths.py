"""LaTeX to MathML: names, spaces, primes, what is parted, what is refused."""

from xml.etree import ElementTree

import pytest

from oneblock.learn.course.site.maths import PRIME, THIN, displayed, mathml, parted
from oneblock.learn.errors import LearnError


@pytest.mark.parametrize(
    "latex, there",
    [
        (r"\mathrm{softmax}(x)", "<mi>softmax</mi>"),
        (r"\operatorname{softmax}(x)", "<mi>softmax</mi>"),
        (r"\cos p\theta", f"<mi>cos</mi>{THIN}<mi>p</mi>"),
        (r"2 \sin x", f"<mn>2</mn>{THIN}<mi>sin</mi>{THIN}"),
        (r"\exp(x)", "<mi>exp</mi><mo"),
        (r"f'(x)", f"<mi>f</mi>{PRIME}"),
        (r"\arg x", "arg"),
        (r"\begin{aligned}a&=b\\c&=d\end{aligned}", "<mtable"),
        (r"\begin{pmatrix}1 & 2\end{pmatrix}", "<mtable"),
    ],
)
def test_formulas_are_well_formed_and_as_meant(latex, there):
    made = mathml(latex)
    ElementTree.fromstring(made)
    assert there in made and "\\" not in made and "<mi>&</mi>" not in made


def test_what_is_above_all_stands_below_only_in_a_display():
    assert "<munder><mo>max</mo>" in mathml(r"\max_j x_j", block=True)
    assert "<msub><mo>max</mo>" in mathml(r"\max_j x_j")
    ElementTree.fromstring(mathml(r"\max_{x_{i_j}} x_j", block=True))


@pytest.mark.parametrize(
    "latex, words", [(r"\nonsense{x}", r"\\nonsense"), ("a & b", "matrix"), (r"\frac{1}{", "drawn")]
)
def test_what_cannot_be_drawn_is_refused(latex, words):
    with pytest.raises(LearnError, match=words):
        mathml(latex)


def test_a_display_is_parted_at_wide_spaces_outside_of_braces():
    assert parted(r"y = x, \qquad z = \frac{a \quad b}{c} \quad w") == ["y = x,", r"z = \frac{a \quad b}{c}", "w"]
    assert parted(r"\begin{pmatrix}a \quad b\end{pmatrix}") == [r"\begin{pmatrix}a \quad b\end{pmatrix}"]
    assert displayed(r"a \qquad b").count("<math") == 2
