"""`oneblock recall`: asks again before it is forgotten, and says whether one is ready for the next tier."""

from __future__ import annotations

import argparse
import shutil
import sys
import textwrap
from pathlib import Path
from typing import TYPE_CHECKING, Any

from oneblock.cli.common import Verb, above_zero, at_least, say
from oneblock.config.errors import OneblockError

if TYPE_CHECKING:
    from oneblock.learn.recall.desk import Desk
    from oneblock.learn.recall.session import Session

MINUTES = 5.0


def options(parser: argparse.ArgumentParser) -> None:
    """The arguments of `oneblock recall`."""
    parser.add_argument("--dir", type=Path, metavar="DIR", help="the folder of `oneblock learn` (my_transformer)")
    parser.add_argument("--minutes", type=above_zero, metavar="M", help="for today, all sittings together (5)")
    parser.add_argument("--tier", metavar="T", help="only cards of this tier")
    parser.add_argument(
        "--lesson", action="append", default=[], metavar="L", help="begin this lesson's cards (repeatable)"
    )
    parser.add_argument("--revision", metavar="TIER", help="decide whether this tier is done: rule, questions, verdict")
    parser.add_argument("--seed", type=at_least(0), metavar="N", help="of the order of cards and choices (the day's)")


def run(args: argparse.Namespace) -> dict[str, Any]:
    """Sit with the learner where there is a terminal; else say what is due."""
    if args.settings:
        raise OneblockError("--set changes nothing here: cards are as they are; leave it out")
    if args.revision and (args.tier or args.lesson or args.minutes):
        raise OneblockError("--revision asks a tier's own questions; leave --tier, --lesson and --minutes out")
    from oneblock.learn.grading import FOLDER
    from oneblock.learn.lab import PROGRESS, Lab, here
    from oneblock.learn.recall.course import course
    from oneblock.learn.recall.desk import Desk
    from oneblock.learn.recall.store import Journal
    from oneblock.learn.terminal import is_terminal

    lab = Lab(here(args.dir, FOLDER))
    if not lab.folder.is_dir():
        raise OneblockError(f"{lab.folder} is not there yet: `oneblock learn` begins it, or give --dir")
    if not (lab.folder / PROGRESS).is_file():
        raise OneblockError(f"{lab.folder} has no {PROGRESS}: `oneblock learn` makes such a folder; give it with --dir")
    tiers, lessons = list(course().tiers), list(course().lessons)
    for option, given, known in (("--tier", args.tier, tiers), ("--revision", args.revision, tiers)):
        if given and given not in known:
            raise OneblockError(f"{option} {given}: there is no such tier; there are {', '.join(known)}")
    for given in args.lesson:
        if given not in lessons:
            raise OneblockError(f"--lesson {given}: there is no such lesson; there are {', '.join(lessons)}")
    journal = Journal(lab.folder)
    desk = Desk(lab, journal, course(), tier=args.tier or "", seed=args.seed, lessons=args.lesson)
    sits = is_terminal() and not args.json
    if args.minutes and not sits:
        raise OneblockError("--minutes is for a sitting in a terminal; here cards are only listed: leave it out")
    try:
        return _run(args, desk, sits)
    finally:
        # At the end: a sitting clears the screen.
        for note in journal.notes:
            say(note)


def _run(args: argparse.Namespace, desk: Desk, sits: bool) -> dict[str, Any]:
    if args.revision:
        return _revision(desk, args.revision, sits, say if args.json else print_whole)
    if not sits:
        return _listed(desk, say if args.json else print_whole)
    _sit(desk, args.minutes)
    return {}


def _sit(desk: Desk, minutes: float | None) -> None:
    from oneblock.learn.grading import check
    from oneblock.learn.recall.session import Session
    from oneblock.learn.terminal import Terminal

    with desk.journal.alone():
        known = {event.of for event in desk.journal.of("begin", "read")}
        for lesson in desk.lessons:
            if lesson not in known:
                desk.journal.add("begin", lesson)
        if minutes is None and desk.spent() >= 60 * MINUTES and _anything(desk):
            print_whole(f"today's {MINUTES:g} minutes are done; `oneblock recall --minutes {2 * MINUTES:g}` goes on")
            return
        if not _anything(desk):
            print_whole(_nothing(desk))
            return
        with Terminal() as terminal:
            session = Session(desk, terminal, check, minutes=minutes or MINUTES)
            session.run()
    _end(session)


def _anything(desk: Desk) -> bool:
    due = desk.due()
    return bool(due.reviews or due.new or due.writes)


def _end(session: Session) -> None:
    """How it went, and when to come again."""
    from oneblock.learn.recall.progress import due_in_words
    from oneblock.learn.recall.session import tally

    left = session.left
    count = len(session.given)
    went = f"{count} card{'s' * (count != 1)}" + (f": {tally(session.given)}" if count else "")
    print_whole(f"{went}. All of it is kept.")
    if session.missing:
        print_whole(f"no longer in the course, and left out: {', '.join(sorted(session.missing))}")
    if session.stopped == "time":
        print_whole("that was today's time; the rest can wait")
    if left.reviews or left.new or left.writes:
        print_whole(f"still: {due_in_words(left)}; `oneblock recall` goes on")
    else:
        print_whole(_nothing(session.desk))


def print_whole(words: object) -> None:
    """Lines as they are; in a terminal no word is cut in two."""
    width = max(20, shutil.get_terminal_size().columns)
    for line in str(words).splitlines():
        further = " " * (2 + len(line) - len(line.lstrip()))
        print(textwrap.fill(line, width, subsequent_indent=further) if sys.stdout.isatty() else line)


def _nothing(desk: Desk) -> str:
    """Why nothing is due, and what to do."""
    from oneblock.learn.recall.pages import span

    due, memory, now = desk.due(), desk.memory(), desk.now()
    if not desk.deck():
        return (
            "no lesson is begun: `oneblock learn read NAME` reads one, `oneblock recall --lesson NAME` begins its cards"
        )
    of_tier = {card.id for card in desk.deck() if not desk.tier or card.tier == desk.tier}
    times = [each.due - now for card, each in memory.items() if card in of_tier and each.due > now]
    following = f"; the next comes in {span(min(times))}" if times else ""
    new = f", {due.later} new ones wait for tomorrow" if due.later else ""
    return f"nothing is due{following}{new}"


def _listed(desk: Desk, tell: Any) -> dict[str, Any]:
    """What is due, where nobody can be asked."""
    due, memory = desk.due(), desk.memory()
    shown = (*due.reviews, *due.new, *due.writes)
    for card in shown:
        state = f"due since {memory[card.id].due.astimezone():%Y-%m-%d}" if card.id in memory else "new"
        tell(f"  {card.id}  ({state})")
    if due.gone:
        tell(f"answered once and no longer in the course: {', '.join(due.gone)}")
    tell(f"{len(due.reviews)} due, {len(due.new)} new today; in a terminal `oneblock recall` asks them" if shown
         else _nothing(desk))  # fmt: skip
    return {
        "folder": str(desk.lab.folder),
        "tier": desk.tier or None,
        "due": [card.id for card in due.reviews],
        "new": [card.id for card in due.new],
        "write": [card.of for card in due.writes],
        "counts": {"due": len(due.reviews), "new": len(due.new), "write": len(due.writes), "later": due.later,
                   "asked_once": len(memory)},
        "gone": list(due.gone),
        "lessons_begun": [name for name in desk.course.lessons if name in desk.begun()],
        "minutes_today": round(desk.spent() / 60, 2),
        "notes": desk.journal.notes,
    }  # fmt: skip


def _revision(desk: Desk, tier: str, sits: bool, tell: Any) -> dict[str, Any]:
    """The rule, the questions where there is a terminal, and the verdict."""
    from oneblock.learn.recall import revision

    if sits:
        from oneblock.learn.recall.exam import Exam
        from oneblock.learn.terminal import Terminal

        with desk.journal.alone():
            with Terminal() as terminal:
                Exam(desk, terminal, tier).run()
            found = revision.standing(desk, tier)
            desk.journal.add("verdict", tier, ready=found.ready, todo=list(found.todo))
    else:
        for line in revision.rule(desk.course, tier):
            tell(line)
        found = revision.standing(desk, tier)
    own = f"; of {found.self_total} open ones {found.self_right} by your own word" if found.self_total else ""
    tell(f"questions: {found.right} of {found.asked} right{own}")
    drawings = f"; drawings: {found.drawings_right} of {found.drawings} right" if found.drawings else ""
    tell(f"exercises: {found.practice_right} of {found.practice} right{drawings}")
    for line in found.lines():
        tell(line)
    return found.to_dict() | {"found_wrong": not found.ready}


VERB = Verb(
    name="recall",
    summary="keep in mind what you learnt; ready for more?",
    options=options,
    run=run,
)
