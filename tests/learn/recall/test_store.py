"""recall.jsonl: added to, never lost; what is odd about it is told in words."""

import errno
import json
import os
import stat
import subprocess
import sys
from datetime import timedelta

import pytest

from oneblock.learn.errors import LearnError
from oneblock.learn.recall import store
from oneblock.learn.recall.store import FILE, HEAD, TORN, Journal


@pytest.fixture
def folder(tmp_path):
    return tmp_path


@pytest.fixture
def journal(folder, clock):
    return Journal(folder, clock)


def answer(journal, card="prompt/a/b", rating=3, **more):
    journal.add("answer", card, rating=rating, seconds=2.5, **more)


def cards(journal):
    return [(answer.card, int(answer.rating)) for answer in journal.answers()]


def test_a_line_an_answer(journal, folder, clock):
    answer(journal, given="0,25", right=True)
    answer(journal, "formula/x", 1)
    rows = [json.loads(row) for row in (folder / FILE).read_text().splitlines()]
    assert rows[0] == HEAD and rows[1] == {
        "do": "answer", "of": "prompt/a/b", "when": "2026-03-02T09:00:00+00:00", "rating": 3, "seconds": 2.5,
        "given": "0,25", "right": True,
    }  # fmt: skip
    again = Journal(folder, clock)
    assert cards(again) == cards(journal) == [("prompt/a/b", 3), ("formula/x", 1)] and again.notes == []


def test_reading_makes_no_file(folder, journal):
    assert list(folder.iterdir()) == [] and journal.answers() == []


def test_an_undo_takes_back_the_last_answer_of_that_card(journal, folder, clock):
    for rating in (1, 2):
        answer(journal, "a", rating)
        answer(journal, "b", rating)
    journal.add("undo", "a")
    journal.add("undo", "c")
    assert cards(Journal(folder, clock)) == [("a", 1), ("b", 1), ("b", 2)]


@pytest.mark.parametrize("cut", [1, 20, 60])
def test_a_torn_last_line_is_told_put_aside_and_the_rest_kept(journal, folder, clock, cut):
    answer(journal, "a")
    answer(journal, "b")
    path = folder / FILE
    whole = path.read_bytes()
    path.write_bytes(whole[:-cut])
    again = Journal(folder, clock)
    if cut == 1:
        # Only the line's end is missing: the answer is whole.
        assert cards(again) == [("a", 3), ("b", 3)] and again.notes == []
    else:
        assert cards(again) == [("a", 3)] and "torn off" in again.notes[0]
    assert path.read_bytes() == whole[:-cut]
    with again.alone():
        answer(again, "c")
    later = Journal(folder, clock)
    assert [card for card, _ in cards(later)] == (["a", "b", "c"] if cut == 1 else ["a", "c"]) and later.notes == []
    if cut != 1:
        assert (folder / TORN).read_text().startswith('{"do": "answer", "of": "b"'[:10])


def test_a_torn_line_does_not_spoil_one_that_is_added_beside_a_session(journal, folder, clock):
    answer(journal, "a")
    with (folder / FILE).open("a") as file:
        file.write('{"do": "ans')
    store.append(folder / FILE, {"do": "read", "of": "norm", "when": clock().isoformat()})
    again = Journal(folder, clock)
    assert cards(again) == [("a", 3)] and [event.of for event in again.of("read")] == ["norm"]
    assert again.notes == ["recall.jsonl, line 3: cannot be read, passed over and left as it is"]


def test_a_head_that_was_torn_is_a_new_file(folder, clock):
    (folder / FILE).write_text('{"oneblo')
    journal = Journal(folder, clock)
    with journal.alone():
        answer(journal)
    assert len(cards(Journal(folder, clock))) == 1


@pytest.mark.parametrize(
    "text", ["hello\n", "{}\n", '[1]\n{"do": 1}\n', '{"oneblock": "run", "version": 1}\n', "\x00\xff"]
)
def test_a_foreign_file_is_refused_and_left(folder, clock, text):
    (folder / FILE).write_text(text)
    with pytest.raises(LearnError, match="is not what `oneblock recall` writes; nothing was changed"):
        Journal(folder, clock)
    assert (folder / FILE).read_text() == text


def test_a_newer_file_is_refused_and_left(folder, clock):
    text = json.dumps(HEAD | {"version": 2}) + "\n"
    (folder / FILE).write_text(text)
    with pytest.raises(LearnError, match=r"newer oneblock \(version 2, this one knows 1\)"):
        Journal(folder, clock)
    assert (folder / FILE).read_text() == text


@pytest.mark.parametrize(
    "row",
    [
        "not json", "[]", '{"do": "answer"}', '{"do": "answer", "of": "a", "when": "2026-03-02T09:00:00"}',
        '{"do": "answer", "of": "a", "when": "2026-03-02T09:00:00+00:00", "rating": 5}',
        '{"do": "answer", "of": "a", "when": "2026-03-02T09:00:00+00:00", "rating": true}',
        '{"do": "answer", "of": "a", "when": "2026-03-02T09:00:00+00:00", "rating": 3, "seconds": NaN}',
        '{"do": "asked", "of": "a", "when": "2026-03-02T09:00:00+00:00", "right": "yes"}',
        '{"do": "answer", "of": "a", "when": 7, "rating": 3}', "[" * 100_000,
    ],
)  # fmt: skip
def test_a_line_that_cannot_be_read_is_passed_over(journal, folder, clock, row):
    answer(journal, "a")
    with (folder / FILE).open("a") as file:
        file.write(row + "\n")
    answer(journal, "b")
    again = Journal(folder, clock)
    assert [card for card, _ in cards(again)] == ["a", "b"] and "line 3" in again.notes[0]
    assert row in (folder / FILE).read_text()


def test_kinds_of_lines_that_are_not_known_yet_are_let_be(journal, folder, clock):
    journal.add("sung", "a", key="C")
    answer(journal)
    assert Journal(folder, clock).notes == [] and len(cards(Journal(folder, clock))) == 1


def test_a_clock_that_went_backwards(journal, folder, clock):
    answer(journal, "a")
    clock.pass_(days=-4000)
    answer(journal, "b")
    times = [answer.when for answer in journal.answers()]
    assert times[1] == times[0]
    clock.pass_(days=4001)
    again = Journal(folder, clock)
    assert [answer.when for answer in again.answers()] == times and again.notes == []


def test_answers_from_the_future_are_told_and_count_as_given_before(journal, folder, clock):
    answer(journal, "a")
    clock.pass_(days=365)
    answer(journal, "b")
    clock.pass_(days=-364)
    again = Journal(folder, clock)
    first, second = again.answers()
    assert second.when == first.when and "1 line of recall.jsonl lies in the future" in again.notes[0]
    clock.pass_(days=100)
    assert Journal(folder, clock).answers()[1].when == first.when


def test_two_sessions_at_once(journal, folder, clock):
    program = (
        "import sys; from pathlib import Path; from oneblock.learn.recall.store import Journal\n"
        "with Journal(Path(sys.argv[1])).alone(): print('in', flush=True); sys.stdin.read()"
    )
    other = subprocess.Popen(
        [sys.executable, "-c", program, str(folder)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    try:
        assert other.stdout.readline() == "in\n"
        with pytest.raises(LearnError, match=rf"another session is at .*\(process {other.pid} on "), journal.alone():
            pass
    finally:
        other.kill()
        other.communicate()
    # The lock ends with its holder, however that ended.
    with journal.alone():
        answer(journal)


def test_a_full_disk_leaves_no_half_line(journal, folder, clock, monkeypatch):
    answer(journal, "a")
    before = (folder / FILE).read_bytes()

    def full(descriptor, data):
        os.write(descriptor, data[:7])
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(store, "write_all", full)
    with pytest.raises(LearnError, match="No space left on device"):
        answer(journal, "b")
    assert (folder / FILE).read_bytes() == before and cards(journal) == [("a", 3)]


def test_an_answer_is_on_the_disk_when_add_returns(journal, monkeypatch):
    seen = []
    monkeypatch.setattr(os, "fsync", lambda descriptor: seen.append(os.fstat(descriptor)))
    answer(journal)
    assert [found.st_size for found in seen if stat.S_ISREG(found.st_mode)] == [journal.path.stat().st_size]


def test_days_are_the_learners_own(folder, clock):
    from datetime import timezone

    clock.now = clock.now.astimezone(timezone(timedelta(hours=14)))
    clock.pass_(hours=3)
    journal = Journal(folder, clock)
    answer(journal)
    assert str(Journal(folder, clock).answers()[0].day) == "2026-03-03"
