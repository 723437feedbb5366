"""`oneblock recall`: options, what is listed without a terminal, and a sitting on a real one."""

import contextlib
import fcntl
import json
import os
import pty
import re
import select
import signal
import struct
import subprocess
import sys
import termios
import time
from datetime import timedelta

import pytest

from oneblock.cli.main import main
from oneblock.learn.exercises import text_of
from oneblock.learn.lab import Lab
from oneblock.learn.recall.course import course
from oneblock.learn.recall.store import FILE, Journal

LESSON = "residual"


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Lab(tmp_path / "my_transformer").make()
    return tmp_path / "my_transformer"


def listed(capsys, *words):
    status = main(["recall", "--json", *words])
    return status, json.loads(capsys.readouterr().out.splitlines()[-1])


def test_nothing_is_begun(folder, capsys):
    assert main(["recall"]) == 0
    assert "no lesson is begun" in capsys.readouterr().out and not (folder / FILE).exists()


def test_what_is_due_is_listed_and_nothing_written(folder, capsys):
    status, found = listed(capsys, "--lesson", LESSON)
    prompts = [f"prompt/{LESSON}/{q.id}" for q in course().lessons[LESSON].questions if q.kind == "retrieval"]
    assert status == 0 and found["new"][: len(prompts)] == prompts[:8] and found["due"] == []
    assert found["counts"]["new"] == len(found["new"]) <= 8 and found["lessons_begun"] == [LESSON]
    assert not (folder / FILE).exists()
    assert main(["recall", "--lesson", LESSON]) == 0
    out = capsys.readouterr().out
    assert f"{prompts[0]}  (new)" in out and "in a terminal `oneblock recall` asks them" in out


def test_an_exercise_that_was_begun_begins_its_lessons(folder, capsys):
    (folder / "block.py").write_text("x = 1\n")
    having = [name for name, lesson in course().lessons.items() if "block" in lesson.exercises]
    assert having and listed(capsys)[1]["lessons_begun"] == having


def test_a_tier_has_only_its_own(folder, capsys):
    found = listed(capsys, "--lesson", LESSON, "--tier", "modern")[1]
    assert found["new"] == [] and found["tier"] == "modern"


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--tier", "middle"], r"--tier middle: there is no such tier; there are foundation, architecture"),
        (["--revision", "middle"], r"--revision middle: there is no such tier"),
        (["--lesson", "cats"], r"--lesson cats: there is no such lesson"),
        (["--revision", "modern", "--tier", "modern"], r"leave --tier, --lesson and --minutes out"),
        (["--dir", "elsewhere"], r"elsewhere is not there yet"),
        (["--dir", "."], r"has no progress\.json"),
        (["--minutes", "3"], r"--minutes is for a sitting in a terminal"),
        (["--set", "a=1"], r"--set changes nothing here"),
    ],
)
def test_what_cannot_be(folder, capsys, words, said):
    assert main(["recall", *words]) == 2
    assert re.search(said, capsys.readouterr().err)


def test_a_foreign_file_is_bad_input(folder, capsys):
    (folder / FILE).write_text("something else\n")
    assert main(["recall"]) == 2 and "nothing was changed" in capsys.readouterr().err
    assert main(["learn", "--progress"]) == 2


def test_a_revision_without_a_terminal_tells_rule_and_verdict(folder, capsys):
    assert main(["recall", "--revision", "architecture"]) == 1
    out = capsys.readouterr().out
    assert (
        "You are ready for training when all of this is so" in out
        and "architecture: not yet ready for training:\n- 0 of" in out
    )
    status, found = listed(capsys, "--revision", "architecture")
    assert status == 1 and found["ready"] is False and found["next"] == "training" and found["todo"]
    assert not (folder / FILE).exists()


def test_progress_tells_it_too(folder, capsys):
    assert main(["learn", "--progress", "--json"]) == 0
    found = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert found["total"] > 10 and found["days_in_a_row"] == 0 and found["cards"]["known"] == 0
    assert found["tiers"][0]["tier"] == "foundation"


def test_todays_minutes_are_told(folder, capsys, monkeypatch):
    from oneblock.learn import terminal

    monkeypatch.setattr(terminal, "is_terminal", lambda: True)
    journal = Journal(folder)
    journal.add("read", LESSON)
    for number in range(3):
        journal.add("answer", f"prompt/{LESSON}/gone-{number}", rating=3, seconds=110)
    assert main(["recall"]) == 0
    assert "today's 5 minutes are done; `oneblock recall --minutes 10` goes on" in capsys.readouterr().out


def test_a_mistake_that_the_grader_named_is_kept(folder, capsys, monkeypatch):
    """From `oneblock check` to a card: the exercise by itself, in a process of its own."""
    (folder / "softmax.py").write_text(
        "def softmax(x, dim=-1):\n    powers = x.exp()\n    return powers / powers.sum(dim, keepdim=True)\n"
    )
    assert main(["check", "softmax", "--seed", "1"]) == 1
    assert Lab(folder).named("softmax")["no_shift"]["times"] == 1
    (folder / "softmax.py").write_text(text_of("softmax", "reference"))
    assert main(["check", "softmax", "--seed", "1"]) == 0
    monkeypatch.setattr("oneblock.learn.recall.desk.Desk.now", lambda desk: desk.clock() + timedelta(days=4))
    found = listed(capsys)[1]
    assert found["new"][0] == "wrong/softmax/no_shift" and found["write"] == ["softmax"]


class Real:
    """`oneblock` behind a pseudo-terminal."""

    def __init__(self, where, *words, size=(24, 80)):
        self.leader, self.follower = pty.openpty()
        fcntl.ioctl(self.follower, termios.TIOCSWINSZ, struct.pack("HHHH", *size, 0, 0))
        self.before = termios.tcgetattr(self.follower)
        program = f"import sys; from oneblock.cli.main import main; sys.exit(main({list(words)!r}))"
        self.process = subprocess.Popen(
            [sys.executable, "-c", program], cwd=where, stdin=self.follower, stdout=self.follower, stderr=self.follower,
            start_new_session=True,
        )  # fmt: skip
        self.said = bytearray()

    def until(self, pattern, seconds=90):
        end = time.monotonic() + seconds
        while not (found := re.search(pattern, self.said.decode(errors="replace"))):
            assert time.monotonic() < end, self.said.decode(errors="replace")
            if select.select([self.leader], [], [], 0.2)[0]:
                self.said.extend(os.read(self.leader, 2**16))
        del self.said[: len(self.said.decode(errors="replace")[: found.end()].encode())]

    def press(self, keys):
        os.write(self.leader, keys.encode())

    def __enter__(self):
        return self

    def __exit__(self, *_):
        with contextlib.suppress(ProcessLookupError):
            self.process.kill()
        self.process.wait()
        os.close(self.leader)
        os.close(self.follower)


def test_a_real_sitting(folder):
    """Card, answer, rating, undo, Ctrl-C: each answer is in the file before the next question is shown."""
    prompts = [f"prompt/{LESSON}/{q.id}" for q in course().lessons[LESSON].questions if q.kind == "retrieval"]
    with Real(folder.parent, "recall", "--lesson", LESSON) as real:
        real.until("Enter shows the answer")
        real.press("\n")
        real.until("1 again")
        real.press("3")
        real.until("1 good")
        answers = Journal(folder).answers()
        assert [(answer.card, int(answer.rating)) for answer in answers] == [(prompts[0], 3)]
        real.press("u")
        real.until("taken back")
        assert Journal(folder).answers() == []
        real.press("\n4")
        real.until("1 easy")
        with Real(folder.parent, "recall") as other:
            other.until("another session is at my_transformer .process")
            assert other.process.wait(timeout=30) == 2
        real.process.send_signal(signal.SIGINT)
        real.until("1 card: 1 easy. All of it is kept")
        assert real.process.wait(timeout=30) == 0
        assert termios.tcgetattr(real.follower) == real.before
    assert [int(answer.rating) for answer in Journal(folder).answers()] == [4]
    assert Journal(folder).notes == []


def test_a_killed_sitting_loses_nothing(folder):
    with Real(folder.parent, "recall", "--lesson", LESSON) as real:
        real.until("Enter shows the answer")
        real.press("\n2")
        real.until("1 hard")
        real.process.kill()
        real.process.wait()
    assert [int(answer.rating) for answer in Journal(folder).answers()] == [2]
    with Real(folder.parent, "recall") as real:
        real.until("Enter shows the answer")
        real.press("q")
        real.until("0 cards")
        assert real.process.wait(timeout=30) == 0


def test_a_real_revision(folder):
    with Real(folder.parent, "recall", "--revision", "architecture", size=(60, 80)) as real:
        real.until("You are ready for training when")
        real.press("\n")
        real.until("architecture   1 of ")
        real.press("q")
        real.until("not yet ready for training")
        assert real.process.wait(timeout=30) == 1
    assert [event.of for event in Journal(folder).of("verdict")] == ["architecture"]
