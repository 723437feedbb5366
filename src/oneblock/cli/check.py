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
        "exercise", nargs="?", metavar="EXERCISE", help="an exercise by name; without one, the first that is not right"
    )
    parser.add_argument("--file", metavar="F", help="the file to be graded (EXERCISE.py here or in my_transformer/)")
    parser.add_argument("--all", action="store_true", help="every exercise whose file is there")
    parser.add_argument("--seed", type=at_least(0), metavar="N", help="of the random inputs (drawn, and told)")


def run(args: argparse.Namespace) -> dict[str, Any]:
    """Grade, print what a person reads, and give the JSON object."""
    if args.settings:
        raise OneblockError("--set changes nothing here: exercises are as they are; leave it out")
    if args.all and (args.exercise or args.file):
        raise OneblockError("--all grades every exercise there is; leave EXERCISE and --file out")
    from oneblock.learn.grading import check, check_all
    from oneblock.learn.lab import keep

    tell = say if args.json else print
    if args.exercise or args.file:
        grade = check(args.exercise, args.file, seed=args.seed)
        keep(grade)
        _show(grade, tell, alone=True)
        return grade.to_dict() | {"found_wrong": not grade.passed}
    grades = []
    for grade in check_all(seed=args.seed):
        grades.append(grade)
        keep(grade)
        _show(grade, tell)
        if not (grade.passed or args.all):
            break
    return _together(grades) if args.all else grades[-1].to_dict() | {"found_wrong": not grades[-1].passed}


def _show(grade: Grade, tell: Any, alone: bool = False) -> None:
    """What a person reads; alone: the reference too, where the exercise is right."""
    if grade.note and not grade.passed:
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


def _together(grades: list[Grade]) -> dict[str, Any]:
    """One object of the same form: the exercises are its checks."""
    first = next((grade for grade in grades if not grade.passed), None)
    return {
        "exercise": "all",
        "passed": first is None,
        "checks": [
            {"id": g.exercise, "status": "PASS" if g.passed else "FAIL", "message": g.diagnosis or ""} for g in grades
        ],
        "diagnosis": f"{first.exercise}: {first.diagnosis}" if first else None,
        "exercises": [grade.to_dict() for grade in grades],
        "found_wrong": first is not None,
    }


VERB = Verb(name="check", summary="grade an exercise, and say what is wrong", options=options, run=run)
