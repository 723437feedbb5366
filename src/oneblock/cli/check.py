"""`oneblock check`: an exercise graded, and what is wrong with it."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Any

from oneblock.cli.common import Verb, at_least, say
from oneblock.config.errors import OneblockError

if TYPE_CHECKING:
    from oneblock.learn.grade import Grade


def options(parser: argparse.ArgumentParser) -> None:
    """The arguments of `oneblock check`."""
    parser.add_argument(
        "exercise",
        nargs="?",
        metavar="EXERCISE",
        help="an exercise or a drawing (draw_NAME); without one, the first exercise that is not right",
    )
    parser.add_argument("--file", metavar="F", help="the file to be graded (EXERCISE.py here or in my_transformer/)")
    parser.add_argument("--all", action="store_true", help="every exercise whose file is there; and, apart, drawings")
    parser.add_argument("--seed", type=at_least(0), metavar="N", help="of the random inputs (drawn, and told)")


def run(args: argparse.Namespace) -> dict[str, Any]:
    """Grade, print what a person reads, and give the JSON object."""
    if args.settings:
        raise OneblockError("--set changes nothing here: exercises are as they are; leave it out")
    if args.all and (args.exercise or args.file):
        raise OneblockError("--all grades every exercise there is; leave EXERCISE and --file out")
    from oneblock.learn.course.drawings import desk
    from oneblock.learn.grading import check, check_all
    from oneblock.learn.lab import keep

    tell = say if args.json else print
    if desk.is_drawing(args.exercise, args.file):
        return _drawing(args, tell)
    if args.exercise or args.file:
        grade = check(args.exercise, args.file, seed=args.seed)
        _kept(keep, grade)
        _show(grade, tell, alone=True)
        return grade.to_dict() | {"found_wrong": not grade.passed}
    grades = []
    for grade in check_all(seed=args.seed):
        grades.append(grade)
        _kept(keep, grade)
        _show(grade, tell, note=all(each.passed for each in grades[:-1]))
        if not (grade.passed or args.all):
            break
    if args.all:
        return _together(grades, _drawings(tell))
    return grades[-1].to_dict() | {"found_wrong": not grades[-1].passed}


def _drawing(args: argparse.Namespace, tell: Any) -> dict[str, Any]:
    """A drawing, which is a text file and no code."""
    from oneblock.learn.course.drawings import desk

    if args.seed is not None:
        raise OneblockError("--seed draws the inputs of an exercise, and a drawing has none; leave it out")
    grade = desk.grade(*desk.named(args.exercise, args.file))
    _kept(desk.keep, grade)
    _show(grade, tell, alone=True)
    return grade.to_dict() | {"found_wrong": not grade.passed}


def _drawings(tell: Any) -> list[dict[str, Any]]:
    """The drawings that somebody has begun. They are told apart: nobody fails who does not draw."""
    from oneblock.learn.course.drawings import desk

    found = []
    for path in desk.begun():
        grade = desk.grade(*desk.named(None, path))
        _kept(desk.keep, grade)
        _show(grade, tell)
        found.append(grade.to_dict())
    return found


def _kept(keep: Any, grade: Any) -> None:
    """Keep what came of it; where the folder's list cannot be read or written the grade is shown all the same."""
    try:
        keep(grade)
    except OneblockError as error:
        say(error)


def _show(grade: Grade, tell: Any, alone: bool = False, note: bool = True) -> None:
    """What a person reads; alone: the reference too, where the exercise is right; note: its note, where it is not."""
    if note and grade.note and not grade.passed:
        say(grade.note)
    tell(grade)
    if not grade.passed:
        return
    from oneblock.learn.lab import code

    if alone:
        tell(
            "  a plain way to write it:\n"
            + "\n".join(f"    {line}".rstrip() for line in code(grade.reference).splitlines())
        )
    if grade.also:
        tell("  right too: " + "; ".join(grade.also))


def _together(grades: list[Grade], drawings: list[dict[str, Any]]) -> dict[str, Any]:
    """One object of the same form: the exercises are its checks; drawings stand beside them and decide nothing."""
    first = next((grade for grade in grades if not grade.passed), None)
    return {
        "exercise": "all",
        "passed": first is None,
        "checks": [
            {"id": g.exercise, "status": "PASS" if g.passed else "FAIL", "message": g.diagnosis or ""} for g in grades
        ],
        "diagnosis": f"{first.exercise}: {first.diagnosis}" if first else None,
        "exercises": [grade.to_dict() for grade in grades],
        "drawings": drawings,
        "found_wrong": first is not None,
    }


VERB = Verb(name="check", summary="grade an exercise, and say what is wrong", options=options, run=run)
