"""The loop: what each key and each save does, on a terminal that is played here; and once on a real one."""

import contextlib
import fcntl
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

import pytest

from oneblock.learn import screen
from oneblock.learn.exercises import NAMES as ALL
from oneblock.learn.exercises import text_of
from oneblock.learn.grade import Grade, Line
from oneblock.learn.lab import Lab, stub
from oneblock.learn.loop import Loop, opening

NAMES = ALL[1:]  # exercise 0 apart, so that the second is number 2
ONE, TWO = NAMES[:2]
WRONG = Grade(
    exercise=ONE,
    passed=False,
    checks=(
        Line(id="loads", status="PASS"),
        Line(id="values", status="FAIL", message="softmax(x, dim=1) is off by up to 0.3"),
        Line(id="large", status="SKIP"),
    ),
    root="values",
    diagnosis="your answer equals softmax with powers of 2 (difference 1e-16). The base is e.",
    worked="softmax of [0, ln 2]. On paper: [0.3, 0.7]. Yours: [0.4, 0.6]",
    hints=("look at the sum", "look at the base", "exp / sum"),
    line=31,
    printed="hello\n\x1b[2Jgone",
)


class Played:
    """A terminal whose keys are given: a key, or a function that does something between two keys."""

    colour, woken = False, False

    def __init__(self, *keys, size=(80, 24)):
        self.keys, self.size, self.pages, self.at = list(keys), size, [], []

    def key(self, seconds):
        if not self.keys:
            return "q"
        key = self.keys.pop(0)
        if isinstance(key, str):
            self.at.append(self.pages[-1])
            return key
        key()
        return ""

    def write(self, text):
        assert text.startswith("\x1b[H\x1b[2J")
        rows = text.removeprefix("\x1b[H\x1b[2J").split("\r\n")
        assert len(rows) <= self.size[1] and all(len(row) <= self.size[0] for row in rows), text
        assert not any(ord(c) < 32 for row in rows for c in row)
        self.pages.append("\n".join(rows))


@pytest.fixture
def lab(tmp_path):
    lab = Lab(tmp_path / "mine", NAMES)
    lab.make()
    return lab


def played(lab, *keys, grades=(), **more):
    """Run with such keys; gives the terminal, and what was graded."""
    terminal, graded, given = Played(*keys, **more), [], list(grades)

    def grade(name, path):
        graded.append(name)
        found = given.pop(0) if len(given) > 1 else given[0]
        if isinstance(found, BaseException):
            raise found
        return found

    Loop(lab, terminal, grade).run()
    return terminal, graded


def save(lab, name, text):
    return lambda: lab.path(name).write_text(text)


def right(name=ONE):
    return Grade(
        exercise=name, passed=True, checks=WRONG.checks[:1], reference=text_of(name, "reference"), also=("an einsum",)
    )


def test_a_new_exercise_shows_its_lesson_and_is_not_graded(lab):
    terminal, graded = played(lab, grades=[WRONG])
    assert graded == [] and "Open the file" in terminal.pages[0] and f"0 of {len(NAMES)} right" in terminal.pages[0]
    assert " ".join(terminal.pages[0].split()).count(opening(ONE)) == 1


def test_a_save_is_graded_and_one_failure_shown(lab):
    terminal, graded = played(lab, save(lab, ONE, "x = 1"), "x", grades=[WRONG])
    assert graded == [ONE] and "grading …" in terminal.pages[1]
    page = " ".join(terminal.at[0].split())
    assert "the numbers: softmax(x, dim=1) is off by up to 0.3 (line 31)" in page
    assert "Your answer equals softmax with powers of 2 (difference 1e-16). The base is e." in page
    assert "Small enough for paper: softmax of [0, ln 2]." in page
    assert "1 of 3 checks pass, 1 more waits for this one" in page and "look at" not in page
    assert "hello" in page and "[2Jgone" in page
    assert "'x' is no key here" in terminal.pages[-1]


def test_hints_come_one_by_one_and_are_counted(lab):
    terminal, _ = played(lab, "h", save(lab, ONE, "x = 1"), *"hhhh", grades=[WRONG])
    assert "hints belong to a failure" in terminal.pages[1]
    shown = [page.count("Property:") + page.count("Place:") + page.count("Way:") for page in terminal.pages[-4:]]
    last = terminal.pages[-1]
    assert shown[:2] == [1, 2] and "that was the last hint" in last, shown
    assert Lab(lab.folder, NAMES).steps()[0].hints == 3


def test_the_space_bar_shows_all_of_it(lab):
    lab.path(ONE).write_text("x = 1")
    terminal, _ = played(lab, *"hhh", " ", " ", "x", grades=[WRONG], size=(60, 16))
    read = " ".join(terminal.pages[-3].split()) + " ".join(terminal.pages[-2].split())
    assert "Way: exp / sum" in read


def test_right_shows_the_reference_and_n_goes_on(lab):
    terminal, graded = played(lab, save(lab, ONE, "good"), "d", "q", "n", "d", grades=[right()])
    page = terminal.at[0]
    assert "Right: all 1 checks pass" in page and "def softmax" in page and "an einsum" in page
    assert f"n goes on: {len(NAMES) - 1} to go" in page and f"1 of {len(NAMES)} right" in page
    assert "yours and a plain way" in terminal.at[1] and "-good" in terminal.at[1]
    assert lab.path(TWO).name in terminal.at[-1] and "the reference is shown when yours is right" in terminal.pages[-1]
    assert graded == [ONE] and Lab(lab.folder).state(ONE) == "right"


def test_nothing_of_the_reference_is_shown_before(lab):
    terminal, _ = played(lab, "d", save(lab, ONE, "x = 1"), "d", "h", "l", "\n", grades=[WRONG])
    assert not any("keepdim" in page for page in terminal.pages)


def test_a_saved_exercise_becomes_the_shown_one_and_others_are_graded_again(lab):
    terminal, graded = played(lab, save(lab, TWO, "y"), save(lab, "own_trial", "z"), "x", grades=[right(TWO), WRONG])
    assert graded == [TWO, TWO] and lab.path(TWO).name in terminal.pages[-1]


def test_the_list_goes_anywhere(lab):
    terminal, graded = played(lab, "l", "9", "\x7f", "2", "\n", "l", "x", grades=[WRONG])
    assert f"0 of {len(NAMES)} are right" in terminal.pages[1] and "go back  9" in terminal.pages[2]
    assert all(name in terminal.pages[1] for name in NAMES)
    assert lab.path(TWO).name in terminal.pages[-1] and graded == []


def test_reset_asks_and_keeps(lab):
    lab.path(ONE).write_text("mine")
    terminal, _ = played(lab, "r", "n", "r", "r", grades=[WRONG])
    assert "nothing was changed" in terminal.at[2]
    assert lab.text(ONE) == stub(ONE) and (lab.folder / f"{ONE}.py.bak1").read_text() == "mine"
    assert f"what you had is in {ONE}.py.bak1" in terminal.pages[-1]


def test_a_file_that_is_gone_is_told_and_made_anew(lab):
    terminal, _ = played(lab, lambda: lab.path(ONE).unlink(), "r", "r", grades=[WRONG])
    assert "is not there; r makes it anew" in " ".join(terminal.at[0].split()) and lab.text(ONE) == stub(ONE)


def test_ctrl_c_stops_a_grading_and_then_leaves(lab):
    def stop():
        raise KeyboardInterrupt

    terminal, graded = played(lab, save(lab, ONE, "x"), "x", stop, "x", grades=[KeyboardInterrupt()])
    assert graded == [ONE] and "stopped; it is graded when you save it again" in terminal.at[0]
    assert terminal.keys == ["x"]


def test_a_folder_that_cannot_be_written_is_told_and_ends_nothing(lab, monkeypatch):
    def refused(path, data):
        raise OSError(30, "Read-only file system")

    monkeypatch.setattr("oneblock.learn.lab.replace", refused)
    told = "cannot be written (Read-only file system)"
    terminal, graded = played(lab, save(lab, ONE, "x"), "h", "x", grades=[WRONG], size=(250, 40))
    pages = [" ".join(page.split()) for page in terminal.at]
    assert graded == [ONE] and told in pages[0] and "Property: look at the sum" in pages[1] and told in pages[1]


def test_a_reset_that_cannot_be_is_told(lab, monkeypatch):
    def refused(path, name):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(type(lab.path(ONE)), "rename", refused)
    terminal, _ = played(lab, "r", "r", "x", grades=[WRONG], size=(250, 40))
    assert "cannot be begun anew (Permission denied)" in " ".join(terminal.at[2].split())
    assert lab.text(ONE) == stub(ONE)


def test_no_line_of_the_reference_is_cut(lab):
    long = 'x = "' + " ".join(f"word{at}" for at in range(40)) + '"\n'
    grade = Grade(exercise=ONE, passed=True, checks=WRONG.checks[:1], reference=long)
    terminal, _ = played(lab, save(lab, ONE, "y"), "d", "x", grades=[grade], size=(60, 40))
    assert all("word39" in page and "…" not in page.partition("Right")[2] for page in terminal.at[:1])
    assert screen.reading("t", "+    " + long, 40, 40)[0][3][0].startswith("+        word")


def test_on_a_narrow_screen_keys_and_names_are_all_there(lab):
    save(lab, ONE, "y")()
    terminal, _ = played(lab, "l", "x", grades=[WRONG], size=(30, 30))
    assert all(key in " ".join(terminal.at[0].split()) for key in ("h hint 0/3", "r reset", "q quit"))
    assert all(f"{name} " in terminal.at[1] for name in ("softmax", "causal_mask"))


@pytest.mark.parametrize("size", [(80, 24), (60, 12), (200, 60), (40, 10), (12, 5), (3, 2)])
def test_every_page_fits(lab, size):
    lab.path(ONE).write_text("x = 1")
    played(lab, *"hhh", " ", "x", "l", "x", "d", "r", "n", "n", grades=[WRONG], size=size)
    played(lab, save(lab, ONE, "y"), "d", " ", " ", "x", grades=[right()], size=size)


@pytest.mark.parametrize("opens", [["l"], ["d"], ["r"]])
def test_another_size_is_seen_at_once_on_every_page(lab, opens):
    save(lab, ONE, "y" * 200)()
    lab.graded(right(), lab.text(ONE))
    terminal = Played(*opens, lambda: setattr(terminal, "size", (40, 12)), "x", size=(100, 30))
    loop = Loop(lab, terminal, lambda name, path: right())
    loop.name = ONE
    loop.run()
    assert all(len(row) <= 40 for row in terminal.at[1].splitlines()) and len(terminal.at[1].splitlines()) <= 12


def test_colours_are_left_out_where_they_are_not_wanted():
    lines = [("a", "good"), ("b", "")]
    assert screen.paint(lines, False) == "\x1b[H\x1b[2Ja\r\nb"
    assert screen.paint(lines, True) == "\x1b[H\x1b[2J\x1b[32ma\x1b[0m\r\nb"


def test_a_real_terminal_from_stub_to_right(tmp_path):
    """`oneblock learn` behind a pseudo-terminal: made, saved, graded in a process of its own, left, as it was."""
    leader, follower = pty.openpty()
    fcntl.ioctl(follower, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
    before = termios.tcgetattr(follower)
    words = [sys.executable, "-c", "import sys; from oneblock.cli.main import main; sys.exit(main(['learn']))"]
    process = subprocess.Popen(
        words, cwd=tmp_path, stdin=follower, stdout=follower, stderr=follower, start_new_session=True
    )
    said = bytearray()

    def until(pattern, seconds=90):
        end = time.monotonic() + seconds
        while not re.search(pattern, said.decode(errors="replace")):
            assert time.monotonic() < end, said.decode(errors="replace")
            if select.select([leader], [], [], 0.2)[0]:
                said.extend(os.read(leader, 2**16))
        said.clear()

    try:
        until("Open the file")
        (tmp_path / "my_transformer" / f"{ONE}.py").write_text(text_of(ONE, "reference"))
        until("Right: all .* checks pass")
        os.write(leader, b"l")
        until("1 of .* are right")
        os.write(leader, b"2\n")
        until(f"{TWO}.py")
        process.send_signal(signal.SIGINT)
        until("`oneblock learn` goes on from here")
        assert process.wait(timeout=30) == 0
        assert termios.tcgetattr(follower) == before
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        process.wait()
        os.close(leader)
        os.close(follower)
    assert Lab(tmp_path / "my_transformer").state(ONE) == "right"
