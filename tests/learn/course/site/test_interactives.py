"""The pictures to play with, by keyboard alone: what they say, and their numbers against others computed here."""

import math
import re

import numpy as np
import pytest

from oneblock.learn.course.lesson import NAMES
from oneblock.learn.course.site import play

LESSON = {"mask": "mask", "scale": "attention", "cache": "cache", "depth": "failure"}


@pytest.fixture
def box(page, opened, request):
    """The picture, its focus set by Tab alone."""
    name = request.param
    if LESSON[name] not in NAMES:
        pytest.skip(f"the lesson {LESSON[name]} is not here")
    opened(f"lessons/{LESSON[name]}.html")
    found = page.locator(f"#play-{name}")
    found.evaluate("one => { one.tabIndex = -1; one.focus(); }")
    page.keyboard.press("Tab")
    assert found.evaluate("one => one !== document.activeElement && one.contains(document.activeElement)")
    said = found.locator(".said")
    assert said.get_attribute("role") == "status" and said.get_attribute("aria-live") == "polite"
    return found


def words(box):
    return box.locator(".said").inner_text()


def number(text):
    """1.2 × 10⁻³ and 0.5 as floats."""
    mantissa, _, power = text.partition(" × ")
    power = power or ("" if not text.startswith("10") or text == "10" else text)
    raised = power.removeprefix("10").translate(str.maketrans("⁻⁰¹²³⁴⁵⁶⁷⁸⁹", "-0123456789"))
    return (1.0 if power == text else float(mantissa.replace(",", ""))) * 10.0 ** int(raised or 0)


@pytest.mark.parametrize("box", ["mask"], indirect=True)
def test_mask(box, page):
    data = play.mask()
    scores = np.array(data["scores"])
    page.keyboard.press("ArrowRight")
    first = words(box)
    assert (
        "“blue” may look at “The”, “sky”, “is” and “blue”" in first
        and "“and”, is hidden" in first
        and "0 of 5" in first
    )
    page.keyboard.press("Tab")
    page.keyboard.press("ArrowRight")
    assert "the answer leaks" in words(box) and "5 of 5" in words(box) and "“and”" in words(box)
    off = np.exp(np.where(np.tri(6, 6, 1) > 0, scores, -np.inf))
    off /= off.sum(1, keepdims=True)
    shown = [list(row.locator("td").all_inner_texts()) for row in box.locator("tbody tr").all()]
    for t in range(6):
        for s in range(6):
            assert (
                shown[t][s].startswith("–")
                if s > t + 1
                else abs(float(shown[t][s].partition(",")[0]) - off[t, s]) < 0.0051
            )
    assert f"{off[3, 4] * 100:.0f} %" in words(box)
    page.keyboard.press("ArrowRight")
    assert "“clear”" in words(box) and "5 of 5" in words(box)


@pytest.mark.parametrize("box", ["scale"], indirect=True)
def test_scale(box, page):
    data = play.scale()

    def held(d, on):
        scores = np.array(data["products"][data["widths"].index(d)]) / (math.sqrt(d) if on else 1)
        p = np.exp(scores - scores.max())
        p /= p.sum()
        entropy = -(p * np.log(np.maximum(p, 1e-300))).sum()
        text = words(box)
        assert text.startswith(f"Width {d:,}, {'divided' if on else 'not divided'}"), text
        assert f"{100 * p.max():.1f} %" in text and f"entropy {entropy:.2f} nats" in text
        shares = [float(row.locator("span").last.inner_text()) for row in box.locator(".bars li").all()]
        assert np.allclose(shares, p, atol=6e-4)
        return p.max()

    assert held(64, True) < 0.6
    page.keyboard.press("ArrowRight")
    assert held(128, True) < 0.6
    assert box.locator("#scale-width").get_attribute("aria-valuetext") == "128 features"
    page.keyboard.press("Tab")
    page.keyboard.press("Space")
    assert held(128, False) > 0.99 and "One key gets everything" in words(box)
    page.keyboard.press("Shift+Tab")
    page.keyboard.press("Home")
    held(1, False)
    page.keyboard.press("End")
    assert held(1024, False) > 0.999


@pytest.mark.parametrize("box", ["cache"], indirect=True)
def test_cache(box, page):
    assert "a cache saves nothing yet" in words(box) and "“blue”" in words(box)
    # Back cannot be pressed at the start, so the first stop is the next token.
    page.keyboard.press("Enter")
    assert "without a cache 4 rows and 10 products, with one 1 row and 4" in words(box)
    page.keyboard.press("Enter")
    assert "5 rows and 15 products, with one 1 row and 5" in words(box)
    made = [box.locator(f'[data-part="{side}"] .made').count() for side in ("without", "with")]
    assert made == [5, 1]
    page.keyboard.press("Tab")
    page.keyboard.press("Tab")
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowRight")
    n, known = 1005, play.cache()
    weights = 12 * known["layers"] * known["width"] ** 2
    read = known["bytes"] * weights / known["bandwidth"]
    slow, fast = (
        1000 * max((2 * weights * rows + 4 * known["width"] * known["layers"] * products) / known["flops"], read)
        for rows, products in ((n, n * (n + 1) // 2), (1, n))
    )
    assert f"{n:,} rows and {n * (n + 1) // 2:,} products, with one 1 row and {n:,}" in words(box)
    assert box.locator('[data-part="ms-without"]').inner_text() == f"{slow:,.0f}"
    assert box.locator('[data-part="ms-with"]').inner_text() == f"{fast:.1f}"
    assert f"{slow / fast:.0f} times as long" in words(box)
    # To the end and back, by keys: the focus is never lost.
    box.locator('[data-do="on"]').focus()
    while box.locator('[data-do="on"]').is_enabled():
        page.keyboard.press("Enter")
    assert page.evaluate("document.activeElement.dataset.do") == "start"
    page.keyboard.press("Enter")
    assert "a cache saves nothing yet" in words(box)


@pytest.mark.parametrize("box", ["depth"], indirect=True)
def test_depth(box, page):
    torch = pytest.importorskip("torch")
    data = play.depth()
    layers = torch.tensor(data["layers"], dtype=torch.float64)

    def held(depth, residual, norm, size):
        x = first = torch.tensor(data["first"], dtype=torch.float64, requires_grad=True)
        for w in layers[:depth]:
            h = (x - x.mean()) / ((x - x.mean()).square().mean() + 1e-30).sqrt() if norm else x
            f = size * (w @ h)
            x = x + f if residual else f
        u = torch.tensor([(-1.0) ** i for i in range(8)], dtype=torch.float64) / math.sqrt(8)
        (slope,) = torch.autograd.grad(x @ u, first)
        text = words(box)
        assert text.startswith(
            f"{depth} layers, residual {'on' if residual else 'off'}, norm {'on' if norm else 'off'}"
        ), text
        told = re.search(
            r"from (\S+(?: × \S+)?) to (\S+(?: × \S+)?) \(.*?\)\. Of a gradient of 1 at the end, (\S+(?: × \S+)?) reaches",
            text,
        )
        for shown, right in zip(told.groups(), (first.norm(), x.norm(), slope.norm()), strict=True):
            assert number(shown) == pytest.approx(right.item(), rel=0.06), text
        return text

    assert "it vanishes" in held(24, False, False, 0.5)
    page.keyboard.press("End")
    assert "it vanishes" in held(48, False, False, 0.5)
    page.keyboard.press("Tab")
    page.keyboard.press("Space")
    held(48, True, False, 0.5)
    page.keyboard.press("Tab")
    page.keyboard.press("Space")
    assert "vanishes" not in held(48, True, True, 0.5) and "explodes" not in words(box)
    page.keyboard.press("Tab")
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowRight")
    held(48, True, True, 1.6)
    page.keyboard.press("Shift+Tab")
    page.keyboard.press("Space")
    assert "it explodes" in held(48, True, False, 1.6)
    assert box.locator("polyline").count() == 2


def test_a_number_and_a_choice_are_graded_by_keys(page, opened):
    opened("lessons/residual.html" if "residual" in NAMES else f"lessons/{NAMES[0]}.html")
    form = page.locator("form[data-number]").first
    form.locator("input").focus()
    page.keyboard.type("nothing")
    page.keyboard.press("Enter")
    assert "Write" in form.locator("[role=status]").inner_text()
    right = form.evaluate("one => JSON.parse(one.dataset.number)")
    form.locator("input").fill(" ".join(str(value + 77) for value in right))
    page.keyboard.press("Enter")
    said, tolerance = form.locator("[role=status]").inner_text(), form.evaluate("one => Number(one.dataset.tolerance)")
    assert said.startswith("Not yet") and said.endswith(f"off by more than {tolerance:g}.")
    assert form.locator("input").get_attribute("placeholder").endswith(f" to {tolerance:g}")
    form.locator("input").fill(", ".join(f"{value:.4f}".replace("-", "−") for value in right))
    page.keyboard.press("Enter")
    assert form.locator("[role=status]").inner_text() == "Right."
    assert form.evaluate("one => one.parentElement.querySelector('details').open")
    form = page.locator("form[data-right]").first
    answer, count = int(form.get_attribute("data-right")), form.locator("input").count()
    form.locator("button").focus()
    page.keyboard.press("Enter")
    assert "Choose one first" in form.locator("[role=status]").inner_text()
    form.locator("input").nth((answer + 1) % count).focus()
    page.keyboard.press("Space")
    page.keyboard.press("Enter")
    assert "Not this one" in form.locator("[role=status]").inner_text()
    form.locator("input").nth(answer).focus()
    page.keyboard.press("Space")
    page.keyboard.press("Enter")
    assert form.locator("[role=status]").inner_text().startswith("Right.")
