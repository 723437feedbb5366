"""What `oneblock learn WORD` does: lessons, read, sources, cards, failures, and the site."""

from __future__ import annotations

import argparse
import difflib
import shutil
from typing import Any

from oneblock.cli.common import say
from oneblock.cli.recall import print_whole
from oneblock.config.errors import OneblockError

WORDS = {
    "lessons": (0, 0, "every lesson with its goal and time"),
    "read": (1, 1, "a lesson"),
    "sources": (0, 0, "what to read beside the course; --gaps: what nothing covers"),
    "cards": (0, 1, "formula cards, all or of a TOPIC"),
    "failures": (0, 0, "what goes wrong, what you see, what mends it"),
}
"""Word -> how many words follow it, at least and at most, and what it shows."""
OPTIONS = {
    "reference": "read", "questions": "read", "answers": "read", "gaps": "sources", "only": "--html", "html": "",
}  # fmt: skip
"""Option -> the word that it belongs to."""


def options(parser: argparse.ArgumentParser) -> None:
    """The arguments of the course."""
    known = "; ".join(f"{word}{' NAME' if least else ''}: {says}" for word, (least, _, says) in WORDS.items())
    parser.add_argument("words", nargs="*", metavar="WORD", help=f"{known}. Without a word: the exercises")
    parser.add_argument("--reference", action="store_true", help="read: the page to look things up in")
    parser.add_argument("--questions", action="store_true", help="read: its questions only")
    parser.add_argument("--answers", action="store_true", help="read: the model answers too")
    parser.add_argument("--gaps", action="store_true", help="sources: only what is thinly covered or not at all")
    parser.add_argument("--html", metavar="DIR", help="write the course as a site that needs no network")
    parser.add_argument("--only", metavar="LESSON", help="with --html: the pages of one lesson")


def wanted(args: argparse.Namespace) -> bool:
    """Whether the course is meant and not the exercises; OneblockError where words and options do not fit."""
    word = args.words[0] if args.words else ""
    if word and word not in WORDS:
        raise OneblockError(f"{word} is not something to learn; try {', '.join(_near(word))}")
    if word and args.html is not None:
        raise OneblockError(f"--html writes the whole course; leave {word} out, or --html")
    for option, owner in OPTIONS.items():
        if getattr(args, option) and owner and owner != (word or ("--html" if args.html is not None else "")):
            raise OneblockError(f"--{option} belongs to `oneblock learn {owner}`; leave it out")
    if word or args.html is not None:
        if args.progress:
            raise OneblockError("--progress says how the exercises stand; leave the rest out")
        least, most, _ = WORDS.get(word, (0, 0, ""))
        if word and not least <= len(args.words) - 1 <= most:
            given = ", ".join(args.words[1:]) or "none; `oneblock learn lessons` has them all"
            raise OneblockError(f"oneblock learn {word} takes {_count(least, most)}, and was given {given}")
    return bool(word) or args.html is not None


def run(args: argparse.Namespace) -> dict[str, Any]:
    """Show what was asked for; gives the object of `--json`."""
    if args.html is not None:
        return _site(args)
    word, *names = args.words
    if word == "read":
        return _read(args, names[0])
    from rich.text import Text

    from oneblock.learn.course.terminal import MOST, lessons, made_console, show
    from oneblock.learn.course.terminal_page import Page

    console = made_console(quiet=args.json)
    if word == "lessons":
        return lessons(console)
    width = shutil.get_terminal_size().columns
    if word == "sources":
        from oneblock.learn.course import sources

        print_ = say if args.json else print
        print_("\n".join(sources.lines(gaps=args.gaps, width=min(width, 100))))
        return sources.told(gaps=args.gaps)
    if word == "cards":
        from oneblock.learn.course import cards

        topic = names[0] if names else None
        found = cards.told(topic)
        show(console, *(Page(cards.markdown(card["id"]), {}) for card in found["cards"]))
        return found
    from oneblock.learn.course import failures

    show(console, Text("\n".join(failures.lines(width=min(console.width, MOST)))))
    return failures.told()


def _read(args: argparse.Namespace, name: str) -> dict[str, Any]:
    from oneblock.learn.course.terminal import made_console, read

    found = read(
        name, reference=args.reference, questions=args.questions, answers=args.answers,
        console=made_console(quiet=args.json),
    )  # fmt: skip
    if not args.json and not args.reference and not args.questions:
        _keep(args, name)
    return found


def _keep(args: argparse.Namespace, name: str) -> None:
    """That it was read, for `recall`; where it cannot be kept a person is told."""
    from oneblock.learn.grading import FOLDER
    from oneblock.learn.lab import Lab, here
    from oneblock.learn.recall.store import Journal
    from oneblock.learn.terminal import is_terminal

    if not is_terminal():
        return
    later = f"`oneblock recall --lesson {name}` begins its cards"
    try:
        lab = Lab(here(args.dir, FOLDER))
        if lab.folder.is_dir():
            Journal(lab.folder).add("read", name)
            return
        why = f"{lab.folder} is not here; once `oneblock learn` has made it, {later}"
    except OneblockError as error:
        # A folder that cannot be written is no reason not to read.
        why = f"{error}. Once that is put right, {later}"
    print_whole(f"not kept as read: {why}")


def _site(args: argparse.Namespace) -> dict[str, Any]:
    from pathlib import Path

    from oneblock.learn.course.site import build

    found = build(Path(args.html), args.only)
    (say if args.json else print)(f"{len(found['lessons'])} lessons in {found['folder']}: open {found['first']}")
    return found


def _near(word: str) -> list[str]:
    """What may have been meant: a lesson's own name too, which wants `read` before it."""
    from oneblock.learn.course.lesson import ALL

    near = [f"oneblock learn {each}" for each in difflib.get_close_matches(word, WORDS, n=2)]
    lessons = [f"oneblock learn read {each}" for each in difflib.get_close_matches(word, ALL, n=1, cutoff=0.8)]
    return [*lessons, *near] or [f"oneblock learn {each}" for each in WORDS]


def _count(least: int, most: int) -> str:
    return "no more words" if not most else "one name" if least else "at most one name"
