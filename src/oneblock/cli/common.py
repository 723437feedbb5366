"""What every verb shares: its common options, and how a result leaves."""

from __future__ import annotations

import argparse
import json
import math
import os
import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, kw_only=True)
class Verb:
    """One verb: its options, and what runs it. `run` gives the JSON object; `words` prints it for a person.

    `run` imports what it needs, so that `--help` loads no torch. Exit status: 1 where the result has `found_wrong`.
    """

    name: str
    summary: str
    options: Callable[[argparse.ArgumentParser], None]
    run: Callable[[argparse.Namespace], dict[str, Any]]


def common_options(parser: argparse.ArgumentParser) -> None:
    """`--json` and `--set`, the same in every verb."""
    parser.add_argument(
        "--json", action="store_true", help="print the result as one JSON object, the last line of stdout"
    )
    parser.add_argument(
        "--set",
        dest="settings",
        action="append",
        default=[],
        metavar="PATH=VALUE",
        help="change the configuration, e.g. --set block.placement=peri (repeatable)",
    )


def say(*words: object) -> None:
    """Words for a person; stdout stays free for results."""
    print(*words, file=sys.stderr, flush=True)


def say_once(who: str, words: str) -> None:
    """What went wrong: of several processes the first says it, another only what the first does not, with its rank."""
    if int(os.environ.get("WORLD_SIZE", "1")) > 1:
        from oneblock.train.processes import first_says

        if first_says(words):
            return
        rank = os.environ.get("RANK", "0")
        who = who if rank == "0" else f"{who} (process {rank})"
    say(f"{who}: {words}")


def print_json(result: dict[str, Any]) -> None:
    """One object on one line; what JSON cannot hold (NaN, infinity) becomes null."""
    print(json.dumps(_plain(result), ensure_ascii=False), flush=True)


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {str(key): _plain(entry) for key, entry in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(entry) for entry in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value if isinstance(value, str | int | float | bool | None) else str(value)


def at_least(minimum: int) -> Callable[[str], int]:
    """A whole number of at least `minimum`, for argparse."""

    def parse(text: str) -> int:
        try:
            value = int(text)
        except ValueError:
            raise argparse.ArgumentTypeError(f"{text!r} is not a whole number") from None
        if value < minimum:
            raise argparse.ArgumentTypeError(f"{value} is below {minimum}")
        return value

    return parse


def above_zero(text: str) -> float:
    """A number above 0, for argparse."""
    try:
        value = float(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number") from None
    if not (value > 0 and math.isfinite(value)):
        raise argparse.ArgumentTypeError(f"{text} must be above 0")
    return value
