"""How far one is: lessons, cards, days, tiers, in words and for a script."""

import json
from datetime import date, timedelta

import pytest

from oneblock.learn.lab import PROGRESS, Lab
from oneblock.learn.recall.progress import days_in_a_row, told
from oneblock.learn.recall.store import Journal

DAY = date(2026, 3, 2)


@pytest.fixture
def say(lab, course, clock):
    return lambda: told(Lab(lab.folder), course=course, now=clock)


def test_at_the_beginning(say):
    lines, found = say()
    assert lines[:3] == ["lessons: 0 of 3 read, 0 begun", "cards: 0 of 0 known", "days in a row: 0"]
    assert found["cards"]["begun"] == 0 and [each["ready"] for each in found["tiers"]] == [False, True]
    json.dumps(found)


def test_after_a_while(say, lab, clock, right):
    journal = Journal(lab.folder, clock)
    journal.add("read", "norm")
    journal.add("read", "norm")
    for card, rating in (("prompt/norm/axis", 3), ("prompt/norm/mean", 1), ("formula/gate", 4)):
        journal.add("answer", card, rating=rating, seconds=3)
    clock.pass_(days=1)
    lines, found = say()
    assert lines[0] == "lessons: 1 of 3 read, 1 begun"
    assert lines[1] == "cards: 2 of 5 known, 1 due, 2 new today" and lines[2] == "days in a row: 1"
    assert lines[3] == "low: not yet ready for high:" and lines[4].startswith("  - 0 of 2 judged")
    assert lines[-1] == "high: ready for what comes after the course"
    cards = found["cards"]
    assert (cards["known"], cards["asked"], cards["begun"], cards["due"], cards["new_today"]) == (2, 3, 5, 1, 2)
    assert 2.5 < cards["expected_right"] < 3 and found["tiers"][0]["tier"] == "low"
    journal.add("answer", "prompt/norm/mean", rating=3, seconds=3)
    assert say()[1]["days_in_a_row"] == 2


def test_days_in_a_row():
    days = {DAY - timedelta(days=back) for back in (0, 1, 2, 4)}
    assert days_in_a_row(days, DAY) == 3 and days_in_a_row(days, DAY + timedelta(days=1)) == 3
    assert days_in_a_row(days, DAY + timedelta(days=2)) == 0 and days_in_a_row(set(), DAY) == 0
    assert days_in_a_row(days - {DAY - timedelta(days=1)}, DAY) == 1


def test_what_is_odd_about_the_file_is_said(say, lab, clock):
    Journal(lab.folder, clock).add("read", "norm")
    with (lab.folder / "recall.jsonl").open("a") as file:
        file.write("nonsense\n")
    assert "line 3: cannot be read" in say()[0][0]


def test_a_list_of_an_older_version_is_read(lab, say, right, wrong):
    path = lab.folder / PROGRESS
    path.write_text(
        json.dumps({"softmax": {"tries": 2, "hints": 1, "right": "2026-02-01T10:00:00+01:00", "sha256": "x"}})
    )
    older = Lab(lab.folder)
    assert older.named("softmax") == {} and say()[1]["lessons"]["begun"] == 1
    older.graded(wrong("softmax", "two", "base"), "b")
    older.graded(wrong("softmax", "two"), "b")
    newer = Lab(lab.folder)
    assert {name: entry["times"] for name, entry in newer.named("softmax").items()} == {"two": 2, "base": 1}
    assert newer.progress["softmax"]["tries"] == 4 and newer.progress["softmax"]["right"] == "2026-02-01T10:00:00+01:00"
    newer.graded(right("attention"), "b")
    assert "named" not in Lab(lab.folder).progress["attention"]
