"""`oneblock doctor TARGET`: what is wrong with a transformer, and how one knows."""

from __future__ import annotations

import argparse
from typing import Any

from oneblock.cli.common import Verb, at_least, say
from oneblock.config.errors import OneblockError


def options(parser: argparse.ArgumentParser) -> None:
    """The arguments of `oneblock doctor`."""
    parser.add_argument(
        "target", metavar="TARGET", help="a run, a model's folder, or path/to/file.py:factory (a file is run)"
    )
    parser.add_argument(
        "--only", action="append", default=[], metavar="WORDS", help="some checks, e.g. leak,cache or C1,K1"
    )
    parser.add_argument(
        "--expect", action="append", default=[], metavar="WORDS", help="what is declared, e.g. causal,norm=pre,tied"
    )
    parser.add_argument("--seed", type=at_least(0), default=0, metavar="N", help="of inputs and noise (0)")


def run(args: argparse.Namespace) -> dict[str, Any]:
    """Examine, print the report, and give it."""
    if args.settings:
        raise OneblockError("--set changes nothing here: a model is examined as it is; leave it out")
    from oneblock.doctor.examine import examine

    report = examine(
        args.target, only=_words(args.only), expect=_words(args.expect), seed=args.seed, tell=say if args.json else _no
    )
    (say if args.json else print)(report)
    return report.to_dict() | {"found_wrong": not report.healthy}


def _words(given: list[str]) -> list[str]:
    return [word.strip() for text in given for word in text.split(",") if word.strip()]


def _no(text: str) -> None:
    """A report that a person reads comes at once."""


VERB = Verb(name="doctor", summary="what is wrong with a transformer, and how one knows", options=options, run=run)
