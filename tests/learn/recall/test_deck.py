"""Which cards come: of lessons that were begun, a few new ones a day, and what once went wrong."""

from datetime import timedelta

import pytest

from oneblock.learn.lab import Lab
from oneblock.learn.recall import deck as decks
from oneblock.learn.recall import writing
from oneblock.learn.recall.store import Journal


def ids(cards):
    return [card.id for card in cards]


NORM = ["prompt/norm/axis", "prompt/norm/mean", "prompt/norm/side", "formula/rms", "formula/gate"]


@pytest.fixture
def answered(lab, clock):
    def do(*cards, rating=3):
        journal = Journal(lab.folder, clock)
        for card in cards:
            journal.add("answer", card, rating=rating, seconds=1.0)

    return do


def test_nothing_comes_of_a_lesson_that_was_not_begun(desk):
    assert desk().deck() == [] and desk().due().new == ()


def test_a_lesson_is_begun_by_reading_naming_an_exercise_or_an_answer(desk, lab, clock, answered):
    assert ids(desk(lessons=["norm"]).deck()) == NORM
    assert desk().deck() == []
    Journal(lab.folder, clock).add("read", "norm")
    assert ids(desk().deck()) == NORM
    lab.path("attention").write_text("begun")
    assert ids(desk().deck()) == [*NORM, "prompt/block/twice", "prompt/block/order"]
    answered("prompt/cache/why")
    assert desk().begun() == {"norm", "block", "cache"}
    Journal(lab.folder, clock).add("read", "no-such-lesson")
    assert desk().begun() == {"norm", "block", "cache"}


def test_new_cards_a_day_are_limited(desk, clock, answered, monkeypatch):
    monkeypatch.setattr(decks, "NEW_A_DAY", 2)

    def due():
        found = desk(lessons=["norm"])
        return decks.due(found.deck(), found.memory(), (), found.now(), seed=0, new_a_day=decks.NEW_A_DAY)

    assert ids(due().new) == NORM[:2] and due().later == 3
    answered(NORM[0])
    assert ids(due().new) == NORM[1:2]
    answered(NORM[1])
    assert due().new == () and due().later == 3
    clock.pass_(days=1)
    assert ids(due().new) == NORM[2:4] and due().later == 1


def test_reviews_come_when_due_the_most_overdue_day_first(desk, clock, answered):
    answered("prompt/norm/axis")
    clock.pass_(days=1)
    answered("prompt/norm/side", "prompt/norm/mean", "formula/rms")
    assert desk().due().reviews == ()
    clock.pass_(days=1)
    assert ids(desk().due().reviews) == ["prompt/norm/axis"]
    clock.pass_(days=5)
    orders = {tuple(ids(desk(seed=seed).due().reviews)) for seed in range(20)}
    assert {order[0] for order in orders} == {"prompt/norm/axis"} and len(orders) > 2
    assert ids(desk(seed=3).due().reviews) == ids(desk(seed=3).due().reviews)


def test_a_tier_of_its_own(desk, answered):
    assert ids(desk(lessons=["norm", "cache"], tier="high").due().new) == ["prompt/cache/why"]
    # A card that two lessons show belongs to the first.
    assert ids(desk(lessons=["cache"], tier="high").due().new) == ["prompt/cache/why", "formula/gate"]


def test_a_card_that_is_gone_is_told_and_its_answers_stay(desk, answered, lab, clock):
    answered("prompt/norm/long-gone", "formula/older", "write/no_such", "prompt/norm/axis", "formula/gate")
    assert desk().due().gone == ("formula/older", "prompt/norm/long-gone", "write/no_such")
    assert len(Journal(lab.folder, clock).answers()) == 5


def test_a_named_mistake_comes_back_when_the_exercise_is_right(desk, lab, right, wrong, clock):
    clock.now = clock.now.astimezone()
    lab.graded(wrong("attention", "unscaled", "inverted"), "a")
    when = max(entry["last"] for entry in lab.named("attention").values())
    clock.now = type(clock.now).fromisoformat(when) + timedelta(days=30)
    assert not any(card.kind in ("wrong", "write") for card in desk().deck())
    lab.graded(right("attention"), "b")
    lab.progress["attention"]["right"] = when
    lab._write()
    both = ["wrong/attention/inverted", "wrong/attention/unscaled"]
    found = [card for card in desk().deck() if card.kind in ("wrong", "write")]
    assert ids(found) == [*both, "write/attention"] and {card.lesson for card in found} == {"block"}
    clock.now = type(clock.now).fromisoformat(when) + timedelta(days=1)
    assert ids(desk().deck())[:3] == [*both, "prompt/block/twice"]
    clock.now = type(clock.now).fromisoformat(when) + timedelta(hours=23)
    assert not any(card.kind in ("wrong", "write") for card in desk().deck())
    # What has been begun stays, whatever was named since.
    writing.begin(lab, "attention")
    assert "write/attention" in ids(desk().deck())


def test_what_was_given_up_waits_for_another_day(desk, lab, right, wrong, clock, answered):
    lab.graded(wrong("attention", "unscaled"), "a")
    lab.graded(right("attention"), "b")
    clock.now = type(clock.now).fromisoformat(lab.progress["attention"]["right"]) + timedelta(days=4)
    assert ids(desk().due().writes) == ["write/attention"]
    answered("write/attention", rating=1)
    clock.pass_(hours=47)
    assert desk().due().writes == ()
    clock.pass_(hours=1)
    assert ids(desk().due().writes) == ["write/attention"]


@pytest.mark.parametrize("odd", ["x", 3, None, ["a"]])
def test_odd_entries_of_the_list_do_no_harm(desk, lab, right, odd):
    lab.graded(right("attention"), "b")
    lab.progress["attention"]["named"] = odd
    lab._write()
    assert not any(card.kind == "wrong" for card in desk().deck())
    lab.progress["attention"]["named"] = {"unscaled": {"last": odd}}
    lab._write()
    assert Lab(lab.folder).named("attention") == {"unscaled": {"last": odd}} and desk().deck()
