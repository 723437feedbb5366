"""Ready for the next tier or not: the rule, the questions, the verdict."""

import json

import pytest

from oneblock.learn.course.drawings import desk as desk_of_drawings
from oneblock.learn.errors import LearnError
from oneblock.learn.lab import Lab
from oneblock.learn.recall import revision
from oneblock.learn.recall.exam import Exam
from oneblock.learn.recall.store import FILE, Journal

from .conftest import Played, question

EXERCISES = ("softmax", "attention", "causal_mask")
KEYS = ["\n", *"1 -2", "\n", "\n"]


@pytest.fixture
def take(desk):
    """`take(*keys)`: a revision of the tier `low` with such keys; gives the exam and its terminal."""

    def played(*keys, size=(80, 24), tier="low"):
        terminal = Played(*keys, size=size)
        exam = Exam(desk(), terminal, tier)
        exam.run()
        return exam, terminal

    return played


@pytest.fixture
def solved(lab, right):
    for name in EXERCISES:
        lab.graded(right(name), lab.text(name))


def choose(terminal, text="a"):
    return next(row.strip()[0] for row in terminal.pages[-1].splitlines() if row.strip()[1:].strip() == text)


def stands(desk, tier="low"):
    return revision.standing(desk(), tier)


def asked(lab):
    rows = [json.loads(row) for row in (lab.folder / FILE).read_text().splitlines()[1:]]
    return {row["of"]: (row["right"], row["judged"]) for row in rows if row["do"] == "asked"}


def test_the_rule_is_told_first_with_the_tiers_own_numbers(take, course):
    _, terminal = take("q")
    page = " ".join(terminal.at[0].split())
    assert "You are ready for high when all of this is so" in page
    assert "of the tier's 2 questions that the machine judges, 2 are right (80 %)" in page
    assert (
        "softmax, attention, causal_mask" in page
        and "1 more questions are open" in page
        and "Enter begins: 3 questions" in page
    )
    assert "The answer to" not in "".join(terminal.pages)


def test_all_right_is_ready(take, solved, lab, desk):
    assert not stands(desk).ready
    exam, _ = take(*KEYS, choose, "\n", "\n", "\n", "y")
    assert asked(lab) == {
        "norm/end-number": (True, True),
        "norm/end-choice": (True, True),
        "norm/end-open": (True, False),
    }
    found = stands(desk)
    assert found.ready and found.verdict == "ready for high" and exam.right == 3
    assert found.to_dict()["judged"] == {"total": 2, "right": 2, "wrong": 0, "needed": 2}
    assert stands(desk, "high").verdict == "ready for what comes after the course"


def test_open_questions_are_counted_apart_and_decide_nothing(take, solved, lab, desk):
    take(*KEYS, choose, "\n", "\n", "\n", "n")
    found = stands(desk)
    assert asked(lab)["norm/end-open"] == (False, False)
    assert found.ready and (found.self_total, found.self_asked, found.self_right) == (1, 1, 0)


def test_wrong_is_not_yet_and_comes_again_the_next_day(take, solved, lab, desk, clock):
    take(*KEYS, lambda terminal: choose(terminal, "b"), "\n", "\n", "\n", "y")
    found = stands(desk)
    assert not found.ready
    assert found.verdict == "not yet ready for high" and found.lines() == [
        "low: not yet ready for high:",
        "- 1 of 2 judged questions are right, 2 are needed (wrong ones come again tomorrow: `oneblock recall --revision "
        "low`)",
    ]
    exam, terminal = take("\n")
    assert exam.total == 0 and "Enter: the verdict" in terminal.at[0]
    clock.pass_(days=1)
    exam, _ = take("\n", choose, "\n", "\n")
    assert exam.total == 1 and stands(desk).ready


def test_it_is_gone_on_with_and_answers_count_thirty_days(take, solved, desk, clock):
    take(*KEYS[:-1])
    clock.pass_(days=1)
    exam, _ = take("\n", choose, "\n", "\n", "\n", "y")
    assert exam.total == 2 and stands(desk).ready
    clock.pass_(days=30)
    found = stands(desk)
    assert not found.ready and "1 not asked yet" in found.todo[0] and take("q")[0].total == 1


def test_practice_must_be_right_and_stay_so(take, solved, lab, desk):
    take(*KEYS, choose, "\n", "\n", "\n", "y")
    lab.path("attention").write_text("other")
    assert stands(desk).todo == (
        "exercises not right: attention (attention changed since it was right); `oneblock check attention`",
    )
    lab.path("causal_mask").unlink()
    assert "attention, causal_mask" in stands(desk).todo[0] and stands(desk).practice_right == 1


def test_an_overdue_card_of_the_tier_counts(take, solved, lab, desk, clock):
    take(*KEYS, choose, "\n", "\n", "\n", "y")
    Journal(lab.folder, clock).add("answer", "prompt/cache/why", rating=3, seconds=1)
    Journal(lab.folder, clock).add("answer", "prompt/norm/axis", rating=3, seconds=1)
    clock.pass_(days=2)
    assert stands(desk).ready, "due today is not overdue"
    clock.pass_(days=1)
    assert stands(desk).todo == ("1 card is overdue: `oneblock recall --tier low`",) and stands(desk).overdue == 1


def test_drawings_must_be_right(desk, course, lab, solved):
    from dataclasses import replace

    more = question("block", "draw", "completion", part="design", drawing="causal_mask")
    block = replace(course.lessons["block"], questions=(*course.lessons["block"].questions, more))
    course.lessons["block"] = block
    assert "drawings not right: causal_mask; `oneblock check draw_causal_mask`" in stands(desk).todo[
        -1
    ] and "and its drawings: causal_mask" in " ".join(revision.rule(course, "low"))
    file = desk_of_drawings.path_in(lab.folder, "causal_mask")
    file.parent.mkdir(exist_ok=True)
    file.write_text("T = 5\n\n#....\n##...\n###..\n####.\n####.\n")
    assert stands(desk).drawings_right == 0
    file.write_text("T = 5\n\n#....\n##...\n###..\n####.\n#####\n")
    assert "drawing" not in " ".join(stands(desk).todo) and stands(desk).drawings_right == 1


def test_a_tier_that_is_not_there(desk, course):
    with pytest.raises(LearnError, match="there are low, high"):
        revision.following(course, "middle")
    course.lessons.pop("cache")
    assert "its lessons are not in this copy" in stands(desk, "high").todo[0]


@pytest.mark.parametrize(("total", "least"), [(0, 0), (1, 1), (2, 2), (4, 4), (5, 4), (10, 8), (11, 9), (36, 29)])
def test_eighty_percent(total, least):
    assert revision.needed(total) == least


@pytest.mark.parametrize("size", [(80, 24), (50, 12), (30, 9)])
def test_every_page_fits(take, size):
    take("\n", *"1 2", "\n", "\n", "1", "\n", "\n", "\n", "y", size=size)


def test_nothing_of_it_goes_into_the_learners_other_files(take, lab):
    before = Lab(lab.folder).progress
    take(*KEYS, choose, "\n", "\n", "\n", "y")
    assert Lab(lab.folder).progress == before


def test_each_exercise_must_be_right_for_some_tier_and_stands_in_one_of_its_lessons():
    from oneblock.learn.exercises import NAMES
    from oneblock.learn.recall.course import PRACTICE, course

    whole = course()
    assert set(NAMES) <= {name for names in PRACTICE.values() for name in names} and list(PRACTICE) == list(whole.tiers)
    for tier, names in whole.practice.items():
        named = {q.exercise for lesson in whole.of_tier(tier) for q in lesson.questions}
        assert set(names) <= named | {name for lesson in whole.of_tier(tier) for name in lesson.exercises}, tier
