"""Every check has words, and a person reads these."""

import pytest

from oneblock.learn.check_words import WORDS, words_of
from oneblock.learn.course.drawings.tasks import DRAWINGS
from oneblock.learn.exercises import GRADUATION, NAMES, exercise_named
from oneblock.learn.grade import Grade, Line

JUDGE = ("loads", "own_work", "world", "inputs", "again")


def every_check():
    found = {name: [check.id for check in exercise_named(name).checks] for name in (*NAMES, GRADUATION)}
    drawn = {f"draw_{name}": [check.id for check in drawing.checks] for name, drawing in DRAWINGS.items()}
    return {name: [*checks, *JUDGE] for name, checks in {**found, **drawn}.items()}


def test_every_check_of_every_exercise_has_words_and_no_word_is_left_over():
    checks = every_check()
    without = [f"{name}.{id}" for name, ids in checks.items() for id in ids if not {id, f"{name}.{id}"} & set(WORDS)]
    assert not without, "give these words in learn/check_words.py"
    used = {f"{name}.{id}" if f"{name}.{id}" in WORDS else id for name, ids in checks.items() for id in ids}
    assert not set(WORDS) - used


def test_two_checks_of_an_exercise_are_told_apart():
    for name, ids in every_check().items():
        said = [words_of(name, id) for id in ids]
        assert len(set(said)) == len(said), (name, said)


@pytest.mark.parametrize(
    ("exercise", "check", "words"),
    [
        ("attention", "lab_shape", "the shape that comes out"),
        ("fit", "first", "the first loss"),
        ("cache", "first", "without a cache"),
        ("x", "not_there", "not there"),
    ],
)
def test_words(exercise, check, words):
    assert words_of(exercise, check) == words


def test_a_person_reads_the_words_and_a_script_the_id():
    grade = Grade(
        exercise="attention", passed=False, checks=(Line(id="lab_shape", status="FAIL", message="it is 3×5"),),
        root="lab_shape", diagnosis="it is 3×5",
    )  # fmt: skip
    assert "  the shape that comes out: it is 3×5" in str(grade).splitlines() and "lab_shape" not in str(grade)
    assert grade.to_dict()["root"] == "lab_shape"
