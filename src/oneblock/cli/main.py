"""The `oneblock` command. Exit status: 0 well, 1 found something wrong, 2 bad input."""

from __future__ import annotations

import argparse
import contextlib
import importlib
import io
import os
import sys
from collections.abc import Callable, Sequence

from oneblock import __version__
from oneblock.cli.common import Verb, common_options, print_json, say, say_once
from oneblock.config.errors import OneblockError

VERBS = {
    "train": "train a model and show how it goes",
    "generate": "make something with a run's model: text, phonemes, images",
    "convert": "other people's models in, ours out",
    "show": "draw a model: dataflow, formula, parameters, FLOPs, cache",
    "compare": "run an experiment: a claim, its variants, a verdict",
    "doctor": "what is wrong with a transformer, and how one knows",
    "learn": "build a transformer by hand, and read why it is so",
    "check": "grade an exercise, and say what is wrong",
    "recall": "keep in mind what you learnt; ready for more?",
    "bench": "measure speed against peers and against this machine's limits",
}
"""Verb -> summary; each is the `VERB` of a file of its name in this folder."""


def main(arguments: Sequence[str] | None = None, ready: Callable[[], object] = lambda: None) -> int:
    """Run the command; gives the exit status. ready: called before the verb begins its work."""
    arguments = sys.argv[1:] if arguments is None else list(arguments)
    parser = _parser(next((word for word in arguments if word in VERBS), None))
    args = _parsed(parser, arguments)
    if args.verb is None:
        parser.print_help()
        return 0
    verb: Verb = args.of_verb
    try:
        ready()
        result = verb.run(args)
    except OneblockError as error:
        say_once(f"oneblock {verb.name}", str(error))
        return 2
    except BrokenPipeError:
        # The reader went away (`| head`): that is no error of ours; keep Python from complaining at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except KeyboardInterrupt:
        say("\nstopped")
        return 130
    # Of several processes one speaks.
    if args.json and result:
        print_json({key: value for key, value in result.items() if key != "found_wrong"})
    return 1 if result.get("found_wrong") else 0


def _parsed(parser: argparse.ArgumentParser, arguments: Sequence[str]) -> argparse.Namespace:
    # All processes that torchrun starts are given the same words: what is wrong with them, one of a machine says.
    if os.environ.get("LOCAL_RANK", "0") == "0":
        return _in_any_order(parser, arguments)
    with contextlib.redirect_stderr(io.StringIO()):
        return _in_any_order(parser, arguments)


def _in_any_order(parser: argparse.ArgumentParser, arguments: Sequence[str]) -> argparse.Namespace:
    """`learn read --reference norm` as `learn read norm --reference`: argparse takes words in one row only."""
    args, rest = parser.parse_known_args(arguments)
    words = getattr(args, "words", None)
    unknown = rest if words is None else [word for word in rest if word.startswith("-")]
    if unknown:
        parser.error(f"unrecognized arguments: {' '.join(unknown)}")
    if words is not None:
        args.words = [*words, *rest]
    return args


def _parser(wanted: str | None) -> argparse.ArgumentParser:
    """All verbs by name; only the wanted one is loaded."""
    parser = argparse.ArgumentParser(
        prog="oneblock", description="One readable transformer block from which every transformer is made."
    )
    parser.add_argument("--version", action="version", version=f"oneblock {__version__}")
    verbs = parser.add_subparsers(dest="verb", metavar="VERB")
    for name, summary in VERBS.items():
        sub = verbs.add_parser(name, help=summary, description=summary[0].upper() + summary[1:] + ".")
        if name == wanted:
            verb: Verb = importlib.import_module(f"oneblock.cli.{name}").VERB
            verb.options(sub)
            common_options(sub)
            sub.set_defaults(of_verb=verb)
    return parser
