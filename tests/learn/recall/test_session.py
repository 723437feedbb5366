"""A sitting: what each key does, and that nothing of it is lost."""

import json
import re

import pytest

from oneblock.learn.recall.store import FILE, Journal


def lines(lab):
    path = lab.folder / FILE
    return [json.loads(row) for row in path.read_text().splitlines()[1:]] if path.exists() else []


def rated(lab):
    return [(row["of"], row["rating"]) for row in lines(lab) if row["do"] == "answer"]


def flat(page):
    return " ".join(page.split())


def test_question_answer_rating(sit, lab):
    session, terminal = sit("\n", "3", lessons=["norm"])
    assert "What of axis?" in terminal.at[0] and "The answer to axis" not in terminal.at[0]
    assert "Enter shows the answer" in terminal.at[0] and "u takes" not in terminal.at[0]
    assert "The answer to axis." in terminal.at[1] and "1 again 1 min 2 hard 2 min 3 good 2 days 4 easy 8 days" in flat(
        terminal.at[1]
    )
    assert rated(lab) == [("prompt/norm/axis", 3)] and session.stopped == "left"
    assert "What of mean?" in terminal.pages[-1] and "recall 4 to go 5 min 1 good" in flat(terminal.pages[-1])


@pytest.mark.parametrize(("key", "rating"), [("1", 1), ("2", 2), ("3", 3), ("4", 4)])
def test_each_rating_has_its_key(sit, lab, key, rating):
    sit("\n", key, lessons=["norm"])
    assert rated(lab) == [("prompt/norm/axis", rating)]


def test_an_answer_is_written_before_the_next_question(sit, lab):
    seen = []
    sit("\n", "3", lambda terminal: seen.append(rated(lab)), lessons=["norm"])
    assert seen == [[("prompt/norm/axis", 3)]]


def test_a_typed_number_is_judged(sit, lab):
    keys = ["\n", "3", *"1/4", "\n", "\n"]
    _, terminal = sit(*keys, lessons=["norm"])
    assert "1/4" in terminal.at[5] and "The answer to mean" not in terminal.at[5]
    judged = terminal.at[6]
    assert "Right" in judged and "0.25" in judged and "The answer to mean." in judged and "Enter goes on" in judged
    row = lines(lab)[-1]
    assert (row["of"], row["rating"], row["given"], row["right"]) == ("prompt/norm/mean", 3, "0.25", True)


def test_a_wrong_number_is_again_and_both_are_shown(sit, lab):
    _, terminal = sit("\n", "3", *"-2", "\x7f", *"5", "\n", lessons=["norm"])
    page = flat(terminal.pages[-1])
    assert "Not right you: −5 right: 0.25" in page and rated(lab)[-1] == ("prompt/norm/mean", 1)


def test_what_is_no_number_is_not_judged(sit, lab):
    _, terminal = sit("\n", "3", *"abc", "\n", "\x15", *"0.25", "\n", lessons=["norm"])
    assert any("'abc' is not a number" in page for page in terminal.pages)
    assert rated(lab)[-1] == ("prompt/norm/mean", 3)


def test_enter_alone_decides_nothing(sit, lab):
    _, terminal = sit("\n", "3", "\n", "\n", lessons=["norm"])
    assert "type a number" in flat(terminal.pages[-1]) and len(rated(lab)) == 1


def test_a_question_mark_is_not_known(sit, lab):
    _, terminal = sit("\n", "3", "?", "\n", "\n", "?", lessons=["norm"])
    assert "you: nothing right: 0.25" in flat(terminal.at[3])
    assert rated(lab)[1:] == [("prompt/norm/mean", 1), ("prompt/norm/side", 1)]
    assert "you: nothing right: right" in flat(terminal.pages[-1])


@pytest.mark.parametrize(("text", "rating"), [("right", 3), ("left", 1)])
def test_a_choice_is_a_key_and_enter(sit, lab, text, rating):
    def choose(terminal):
        return re.search(rf"(\d)  {text}$", terminal.pages[-1], re.M)[1]

    _, terminal = sit("\n", "3", *"0.25", "\n", "\n", choose, "\n", "\n", lessons=["norm"])
    assert rated(lab)[2:] == [("prompt/norm/side", rating)]
    said = flat(next(page for page in terminal.pages if f"you: {text}" in flat(page)))
    assert ("right: right" in said) == (rating == 1) and "The answer to side." in said


def test_a_choice_can_be_changed_until_enter_judges_it(sit, lab):
    def choose(text):
        return lambda terminal: re.search(rf"(\d)  {text}$", terminal.pages[-1], re.M)[1]

    before = ("\n", "3", *"0.25", "\n", "\n")
    _, terminal = sit(*before, choose("left"), choose("right"), "\n", "\n", lessons=["norm"])
    first, second = terminal.at[len(before) + 1 :][:2]
    assert re.search(r"▸\d  left$", first, re.M) and "Enter judges" in first and "another answer" in first
    assert re.search(r"▸\d  right$", second, re.M) and second.count("▸") == 1
    assert rated(lab)[2:] == [("prompt/norm/side", 3)]


def test_enter_alone_judges_no_choice(sit, lab):
    before = ("\n", "3", *"0.25", "\n", "\n")
    session, terminal = sit(*before, "\n", "q", lessons=["norm"])
    assert session.stopped == "left" and len(rated(lab)) == 2 and "Enter judges" not in terminal.pages[-1]


def test_a_marked_choice_is_not_kept_when_one_leaves(sit, lab):
    session, _ = sit("\n", "3", *"0.25", "\n", "\n", "1", "q", lessons=["norm"])
    assert session.stopped == "left" and len(rated(lab)) == 2


def test_undo_takes_the_last_rating_back_and_asks_again(sit, lab):
    _, terminal = sit("\n", "4", "u", "\n", "1", lessons=["norm"])
    assert "taken back; here it is again" in terminal.at[3] and "What of axis?" in terminal.at[3]
    assert [row["do"] for row in lines(lab)] == ["answer", "undo", "answer"]
    assert [int(answer.rating) for answer in Journal(lab.folder).answers()] == [1]


def test_undo_of_what_the_machine_judged(sit, lab):
    sit("\n", "3", *"7", "\n", "u", *"0.25", "\n", lessons=["norm"])
    answers = [(answer.card, int(answer.rating)) for answer in Journal(lab.folder).answers()]
    assert answers == [("prompt/norm/axis", 3), ("prompt/norm/mean", 3)]


def test_there_is_nothing_to_undo_at_first(sit, lab):
    _, terminal = sit("u", "x", lessons=["norm"])
    assert "'u' is no key here" in flat(terminal.at[1]) and lines(lab) == []


def test_ctrl_c_loses_nothing(sit, lab):
    def stop(terminal):
        raise KeyboardInterrupt

    session, _ = sit("\n", "3", *"0.2", stop, "5", "\n", lessons=["norm"])
    assert session.stopped == "left" and rated(lab) == [("prompt/norm/axis", 3)]


@pytest.mark.parametrize("keys", [("q",), ("\n", "q"), ("\n", "3", "q"), ("\n", "3", "1", "\n", "q")])
def test_q_leaves_from_every_page(sit, keys):
    session, terminal = sit(*keys, "\n", "3", lessons=["norm"])
    assert session.stopped == "left" and terminal.keys == ["\n", "3"]


def test_a_forgotten_card_comes_once_more_when_nothing_else_does(sit, lab):
    session, _ = sit("\n", "1", "\n", "3", lessons=["cache"], tier="high")
    assert rated(lab) == [("prompt/cache/why", 1), ("formula/gate", 3)]
    session, _ = sit("\n", "3", tier="high")
    assert session.given == [] or rated(lab)[-1] == ("prompt/cache/why", 3)


def test_a_forgotten_card_comes_again_within_the_sitting(sit, lab):
    session, _ = sit("\n", "1", "\n", "3", "\n", "3", lessons=["cache"])
    assert rated(lab) == [("prompt/cache/why", 1), ("formula/gate", 3), ("prompt/cache/why", 3)]
    assert session.stopped == "done"


@pytest.mark.parametrize(
    ("spent", "minutes", "stopped"), [(50, 1, "left"), (60, 1, "time"), (1000, 2, "time"), (1000, 3, "left")]
)
def test_it_stops_when_the_time_of_the_day_is_over(sit, lab, clock, spent, minutes, stopped):
    """What was spent in an earlier sitting counts; a card that lay open counts two minutes."""
    Journal(lab.folder, clock).add("answer", "prompt/cache/why", rating=3, seconds=spent)
    session, terminal = sit("\n", "3", lessons=["norm"], minutes=minutes)
    assert session.stopped == stopped and len(rated(lab)) == (1 if stopped == "time" else 2)
    clock.pass_(days=1)
    assert sit("q", minutes=minutes)[0].stopped == "left"


def test_the_card_that_is_open_is_finished_first(sit, lab, monkeypatch):
    from oneblock.learn.recall import asking

    times = iter(range(0, 10_000, 45))
    monkeypatch.setattr(asking.time, "monotonic", lambda: next(times))
    session, terminal = sit("\n", "3", "\n", "3", lessons=["block"], minutes=1)
    assert [row["seconds"] for row in lines(lab)] == [45.0, 45.0] and session.stopped == "time"


def test_a_variant_that_is_gone_is_left_out(sit, lab, right, wrong, clock):
    from datetime import datetime, timedelta

    lab.graded(wrong("attention", "no_such"), "a")
    lab.graded(right("attention"), "b")
    clock.now = datetime.fromisoformat(lab.progress["attention"]["right"]) + timedelta(days=2)
    session, terminal = sit("\n", "3")
    assert session.missing == {"wrong/attention/no_such"} and rated(lab) == [("prompt/block/twice", 3)]


@pytest.mark.parametrize("size", [(80, 24), (50, 12), (200, 60), (30, 9), (20, 5)])
def test_every_page_fits(sit, size):
    keys = ["x", "\n", " ", " ", "3", *"0.25 ", "x", "\n", "\x15", "1", "\n", " ", "\n", "2", "u", "\n", "\n", " ", "4"]
    _, terminal = sit(*keys, lessons=["norm"], size=size)
    assert len(terminal.pages) > 8
    if size[1] > 8:
        assert all("q leaves" in page.splitlines()[-1] for page in terminal.pages if "one moment" not in page)


def test_the_space_bar_goes_through_what_is_long(sit):
    _, terminal = sit(*"\n3?\n?\n\n", *" " * 8, lessons=["norm"], size=(40, 9))
    read = " ".join(flat(page) for page in terminal.at[-8:])
    assert "space bar shows more" in read and "It is the rms" in read and "Trap: None" in read


def test_a_letter_with_a_hat_takes_one_column():
    from oneblock.learn.recall.pages import cut

    assert cut("x̂" * 9, 9) == "x̂" * 9 and cut("x̂" * 10, 9) == "x̂" * 8 + "…" and cut("abcdef", 4) == "abc…"


@pytest.mark.parametrize(
    ("width", "line"),
    [
        (60, " recall   12 to go   5 min   3 good, 12 again"),
        (40, " recall   12 to go   5 min"),
        (12, " recall"),
        (4, " re…"),
    ],
)
def test_the_first_line_leaves_out_whole_parts(width, line):
    from oneblock.learn.recall import pages

    assert pages.head("recall   12 to go   5 min   3 good, 12 again", width) == (line, "bold")
