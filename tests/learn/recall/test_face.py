"""A card's two sides; what a typed answer is held against."""

import math

import pytest

from oneblock.learn.recall.deck import Card
from oneblock.learn.recall.face import Face, NotUnderstood, face, judged, readings, shown, shuffled


def of(**more):
    return Face(title="t", prompt="p", answer="a", **more)


@pytest.mark.parametrize(
    ("typed", "value"),
    [
        ("0.25", 0.25), ("1/4", 0.25), ("0,25", 0.25), ("−3", -3.0), (" -3 ", -3.0), ("1e-5", 1e-5), ("[2]", 2.0),
        ("inf", math.inf), ("+.5", 0.5),
    ],
)  # fmt: skip
def test_a_number_may_be_typed_in_many_ways(typed, value):
    assert readings(typed, one=True) == [(value,)]


@pytest.mark.parametrize("typed", ["1, 2.5, -3", "[1, 2.5, −3]", "1 2.5 -3", "(1; 5/2; -3)", "1,2.5,-3"])
def test_several_numbers(typed):
    assert readings(typed, one=False) == [(1.0, 2.5, -3.0)]


@pytest.mark.parametrize("typed", ["", "x", "1/0", "nan", "1..2", "50%", "1/2/3", "[]"])
def test_what_is_no_number_is_asked_for_again(typed):
    with pytest.raises(NotUnderstood):
        readings(typed, one=True)


@pytest.mark.parametrize(
    ("number", "tolerance", "typed", "right"),
    [
        (0.25, 0.005, "0.25", True), (0.25, 0.005, "0.255", True), (0.25, 0.005, "0.2551", False),
        (-1.5, 0.1, "1.5", False), ((1.0, -2.0), 0.005, "1 -2", True), ((1.0, -2.0), 0.005, "-2 1", False),
        ((1.0, -2.0), 0.005, "1", False), (3.0, 0.005, "3 3", False), (math.inf, 0.005, "inf", True),
        (math.inf, 0.005, "-inf", False), ((1.0,), 0.005, "1", True),
    ],
)  # fmt: skip
def test_a_typed_number_is_judged(number, tolerance, typed, right):
    assert judged(of(number=number, tolerance=tolerance), typed).right is right


@pytest.mark.parametrize(
    ("number", "typed", "right"),
    [
        (1179648.0, "1,179,648", True), (1179648.0, "1179648", True), (1024.0, "1,024", True), (1.024, "1,024", True),
        (1024.5, "1,024.5", True), ((1024.0, 384.0), "1,024, 384", True), ((1024.0, 384.0), "1024,384", True),
        ((1.0, 25.0), "1,024", False), ((100.0, 200.0), "100,200", True), (0.255, "0,255", True), (255.0, "0,255", False),
    ],
)  # fmt: skip
def test_a_comma_is_read_as_it_was_meant(number, typed, right):
    assert judged(of(number=number), typed).right is right


@pytest.mark.parametrize(
    ("value", "text"),
    [(1179648.0, "1179648"), (-0.25, "−0.25"), (1e-5, "1e−05"), (1234.5678, "1234.568"), (math.pi, "3.14159"), (1e30, "1e+30"),
     (math.inf, "inf"), (0.0, "0")],
)  # fmt: skip
def test_a_number_is_shown_as_precisely_as_it_is_judged(value, text):
    assert shown((value,), False) == text


def test_what_is_shown_of_numbers():
    said = judged(of(number=(1.0, -2.0)), "1 2")
    assert (said.given, said.wanted) == ("[1, 2]", "[1, −2]")
    assert judged(of(number=-0.25), "3").wanted == "−0.25" and shown((1.0,), True) == "[1]"


def test_a_choice_is_judged():
    card = of(choices=("a", "b", "c"), right=1)
    assert judged(card, "2").right and not judged(card, "1").right and judged(card, "1").wanted == "b"
    for typed in ("0", "4", "b", ""):
        with pytest.raises(NotUnderstood):
            judged(card, typed)


def test_choices_are_shuffled_and_the_right_one_stays_right():
    card = of(choices=("a", "b", "c", "d"), right=2)
    found = [shuffled(card, str(seed)) for seed in range(30)]
    assert all(each.choices[each.right] == "c" for each in found)
    assert len({each.right for each in found}) == 4 and shuffled(card, "1") == shuffled(card, "1")
    assert shuffled(of(), "1") == of()


def test_the_sides_of_each_kind(course):
    prompt = face(Card(kind="prompt", of="norm/axis"), course)
    assert (prompt.title, prompt.prompt, prompt.answer) == ("On norm", "What of axis?", "The answer to axis.")
    assert face(Card(kind="prompt", of="norm/mean"), course).number == 0.25
    formula = face(Card(kind="formula", of="gate"), course)
    assert formula.prompt.startswith("The gate: write the formula") and "gate}{2}" not in formula.prompt
    for part in (r"\frac{gate}{2}", "$x$: a number", "It is the gate.", "Trap: None.", "(2017), equation 2."):
        assert part in formula.answer
    wrong = face(Card(kind="wrong", of="attention/unscaled"), course)
    assert wrong.prompt == "What is wrong with attention without 1/√K, and how would you see it?"
    assert "square root of the width" in wrong.answer and "softmax(q kᵀ / √K) v" in wrong.answer
    assert not wrong.gradable
    assert face(Card(kind="wrong", of="attention/no_such"), course) is None
    assert face(Card(kind="wrong", of="no_such/unscaled"), course) is None


def test_every_wrong_variant_there_is_has_two_sides(course):
    from oneblock.learn.exercises import NAMES, exercise_named

    for name in NAMES:
        for variant in exercise_named(name).wrong:
            found = face(Card(kind="wrong", of=f"{name}/{variant.name}"), course)
            assert len(found.prompt) > 30 and len(found.answer) > 30, variant
