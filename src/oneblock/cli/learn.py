"""`oneblock learn`: a transformer built by hand, graded on every save, and the course that goes with it."""

from __future__ import annotations

import argparse
import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from oneblock.cli import course
from oneblock.cli.common import Verb, say
from oneblock.cli.recall import print_whole
from oneblock.config.errors import OneblockError

if TYPE_CHECKING:
    from oneblock.learn.lab import Lab


def options(parser: argparse.ArgumentParser) -> None:
    """The arguments of `oneblock learn`."""
    parser.add_argument(
        "--dir", type=Path, metavar="DIR", help="the folder of exercises, made or continued (my_transformer)"
    )
    parser.add_argument("--progress", action="store_true", help="say how far you are, and leave")
    course.options(parser)


def run(args: argparse.Namespace) -> dict[str, Any]:
    """Make or continue the folder, and stay with the learner; or only say how it stands."""
    if args.settings:
        raise OneblockError("--set changes nothing here: exercises are as they are; leave it out")
    if course.wanted(args):
        return course.run(args)
    from oneblock.learn.grading import FOLDER
    from oneblock.learn.lab import Lab, here
    from oneblock.learn.terminal import is_terminal

    lab = Lab(here(args.dir, FOLDER))
    if args.progress and not lab.folder.is_dir():
        raise OneblockError(f"{lab.folder} is not there yet: `oneblock learn` begins it, or give --dir")
    made = [] if args.progress else lab.make()
    if args.progress or args.json or not is_terminal():
        tell = say if args.json else print_whole
        found = _told(lab, made, tell)
        return found | _recalled(lab, tell) if args.progress else found
    _stay(lab)
    return {}


def _stay(lab: Lab) -> None:
    """The loop; torch is loaded here while the first process starts."""
    from oneblock.learn.loop import Grader, Loop
    from oneblock.learn.sandbox import NO_SANDBOX, bubblewrap
    from oneblock.learn.terminal import Terminal

    say("starting …")
    note = "" if bubblewrap() else NO_SANDBOX
    grader = Grader(lab.first())
    try:
        with Terminal() as terminal:
            Loop(lab, terminal, grader, note).run()
    finally:
        grader.close()
    done = sum(step.state == "right" for step in lab.steps())
    print(f"{done} of {len(lab.names)} are right; `oneblock learn` goes on from here")


def _told(lab: Lab, made: list[str], tell: Any) -> dict[str, Any]:
    """How it stands, for a person and a script."""
    from oneblock.learn.course.drawings import desk
    from oneblock.learn.lab import STATES
    from oneblock.learn.screen import row

    steps = lab.steps()
    done = sum(step.state == "right" for step in steps)
    where = lab.folder if lab.folder.name else lab.folder.absolute().name
    if made:
        tell(f"{where}: {len(made)} exercises made")
    tell(f"{where}: {done} of {len(steps)} are right")
    # In a terminal the last column of a list is as far as there is room.
    width = shutil.get_terminal_size((100, 24)).columns if sys.stdout.isatty() else 100
    for step in steps:
        tell(row(step, width)[0])
    following = lab.first()
    if done < len(steps):
        tell(
            f"next: {lab.path(following)}; `oneblock check {following}` grades it, `oneblock learn` in a terminal stays"
        )
    drawings = desk.told(lab.folder)
    tell(f"{where}/{desk.summary(lab.folder)}")
    for drawing in drawings:
        tell(f"  {drawing['exercise']:<22}{drawing['title']} ({STATES[drawing['state']]})")
    return {
        "folder": str(lab.folder),
        "done": done,
        "total": len(steps),
        "next": following if done < len(steps) else None,
        "exercises": [
            {"exercise": step.name, "title": step.title, "state": step.state, "right_since": step.since or None,
             "hints": step.hints}
            for step in steps
        ],
        "drawings": drawings,
    }  # fmt: skip


def _recalled(lab: Lab, tell: Any) -> dict[str, Any]:
    """Lessons, cards, days and tiers: what `oneblock recall` keeps in the same folder."""
    from oneblock.learn.recall.progress import told

    lines, found = told(lab)
    tell("\n".join(lines))
    return found


VERB = Verb(name="learn", summary="build a transformer by hand, and read why it is so", options=options, run=run)
