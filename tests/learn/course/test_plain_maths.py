"""LaTeX as a line of Unicode."""

import pytest
from latex2mathml.converter import convert

from oneblock.learn.course.lesson import NAMES, lesson
from oneblock.learn.course.markup import parser
from oneblock.learn.course.page import filled
from oneblock.learn.course.plain_maths import readable


@pytest.mark.parametrize(
    ("latex", "words"),
    [
        (r"\frac{1}{\sqrt{d}}", "1/√d"),
        (r"\frac{x - \mu}{\sqrt{\sigma^2 + \epsilon}} \odot \gamma", "(x − μ)/(√(σ² + ε)) ⊙ γ"),
        (r"\mathrm{softmax}\left(\frac{QK^\top}{\sqrt{d_k}} + M\right) V", "softmax(QKᵀ/√dₖ + M) V"),
        (r"\sum_{i=1}^{n} x_i^2", "Σᵢ₌₁ⁿ xᵢ²"),
        (r"\prod_{l=1}^{12} a_l", "Πₗ₌₁¹² aₗ"),
        (r"\frac{dy}{dx}=1+f'(x)", "dy/dx = 1+f′(x)"),
        (r"\frac{\partial L}{\partial x}", "(∂L)/(∂x)"),
        (r"\begin{pmatrix} 1 & -2 \\ 3 & 4 \end{pmatrix}", "[1 −2; 3 4]"),
        (r"W_{\text{gate}} x", "W_gate x"),
        (r"x_{l+1} = x_l", "xₗ₊₁ = xₗ"),
        (r"x^{(l)} + e^{-x^2/2}", "x⁽ˡ⁾ + e^(−x²/2)"),
        (r"10^{-5} \approx 0", "10⁻⁵ ≈ 0"),
        (r"\hat{x} \le \bar{\alpha}_t", "x̂ ≤ ᾱₜ"),
        (r"2\log(x) + \log p", "2 log(x) + log p"),
        (r"\|x\|_2 \to \infty", "‖x‖₂ → ∞"),
        (r"\mathbb{R}^{D \times 4D}", "ℝ^(D × 4D)"),
        (r"\sqrt[3]{x} \cdot \sqrt{2}", "³√x · √2"),
        (r"a \\ b", "a\nb"),
        (r"\left\lfloor \frac{N}{2} \right\rfloor", "⌊N/2⌋"),
        (r"a \xrightarrow{\text{all-to-all}} b", "a —all-to-all→ b"),
        (r"\left. x \right|_{0}", "x|₀"),
        (r"50\,\% ", "50 %"),
        (r"\text{if } x > 0", "if x > 0"),
        (r"\unknown{x}", r"\unknownx"),
        (r"\frac12", "1/2"),
        ("x_", "x"),
        ("", ""),
    ],
)
def test_formulas(latex, words):
    assert readable(latex) == words.replace("x̂", "x\u0302")


@pytest.mark.parametrize("name", NAMES)
def test_no_formula_of_the_course_keeps_a_backslash(name):
    page = filled(lesson(name))
    for text in (page.body, page.reference, *(t for q in page.questions for t in (q.prompt, q.answer, *q.choices))):
        for token in parser().parse(text):
            for each in [token, *(token.children or [])]:
                if each.type.startswith("math"):
                    assert "\\" not in readable(each.content), each.content
                    assert convert(each.content).startswith("<math")
