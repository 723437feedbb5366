"""When a card comes back: held against FSRS worked out here from its published formulas."""

import math
from datetime import timedelta

import pytest

from oneblock.learn.recall.schedule import AGAIN, Answer, Rating, intervals, memories

W = (
    0.212, 1.2931, 2.3065, 8.2956, 6.4133, 0.8334, 3.0194, 0.001, 1.8722, 0.1666, 0.796, 1.4835, 0.0614, 0.2629, 1.6483,
    0.6014, 1.8729, 0.5425, 0.0912, 0.0658, 0.1542,
)  # fmt: skip
"""FSRS-6's weights, as published with it."""
FACTOR = 0.9 ** (-1 / W[20]) - 1


def answers(clock, *ratings, apart=timedelta(0)):
    found = []
    for rating in ratings:
        found.append(Answer(card="a", rating=Rating(rating), when=clock(), day=clock().date()))
        clock.now += apart
    clock.now -= apart
    return found


def chance(stability, days):
    return (1 + FACTOR * days / stability) ** -W[20]


def test_a_new_card_that_was_good_comes_in_two_days_and_is_remembered_as_fsrs_says(clock):
    given = answers(clock, 3)
    memory = memories(given, clock())["a"]
    assert memory.due - clock() == timedelta(days=round(W[2])) and memory.known and memory.chance == 1
    clock.pass_(days=2)
    assert memories(given, clock())["a"].chance == pytest.approx(chance(W[2], 2))


def test_a_second_answer_by_hand(clock):
    given = answers(clock, 3, 3, apart=timedelta(days=2))
    difficulty = W[4] - math.exp(W[5] * 2) + 1
    recalled = chance(W[2], 2)
    stability = W[2] * (1 + math.exp(W[8]) * (11 - difficulty) * W[2] ** -W[9] * (math.exp((1 - recalled) * W[10]) - 1))
    assert memories(given, clock())["a"].due - clock() == timedelta(days=round(stability))


def test_a_forgotten_card_comes_in_the_same_sitting_and_is_not_known(clock):
    memory = memories(answers(clock, 1), clock())["a"]
    assert memory.due - clock() == AGAIN and not memory.known
    later = memories(answers(clock, 3, 1, apart=timedelta(days=2)), clock())["a"]
    assert later.due - clock() == AGAIN and not later.known


def test_a_card_is_known_until_its_chance_falls(clock):
    given = answers(clock, 3)
    days = next(day for day in range(1000) if chance(W[2], day) < 0.8)
    clock.pass_(days=days - 1)
    assert memories(given, clock())["a"].known
    clock.pass_(days=1)
    assert not memories(given, clock())["a"].known


def test_what_the_keys_would_do(clock):
    said = intervals(None, clock())
    assert said[Rating.Again] == AGAIN < said[Rating.Hard] < said[Rating.Good] < said[Rating.Easy]
    for rating in Rating:
        given = [*answers(clock, 3), Answer(card="a", rating=rating, when=clock(), day=clock().date())]
        before = memories(given[:1], clock())["a"]
        assert memories(given, clock())["a"].due - clock() == intervals(before, clock())[rating]


def test_it_is_the_same_every_time(clock):
    given = answers(clock, 3, 4, 2, 1, 3, apart=timedelta(days=9))
    assert len({memories(given, clock())["a"].due for _ in range(5)}) == 1


@pytest.mark.parametrize(("rating", "days"), [(1, 2), (2, 12), (3, 21), (4, 77)])
def test_what_takes_long_comes_seldom(clock, rating, days):
    given = [Answer(card="write/a", rating=Rating(rating), when=clock(), day=clock().date())]
    stability = W[rating - 1]
    assert days == pytest.approx(stability / FACTOR * (0.7 ** (-1 / W[20]) - 1), abs=0.5)
    assert memories(given, clock())["write/a"].due - clock() == timedelta(days=days)
