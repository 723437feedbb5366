"""`oneblock train`: train a model and show how it goes."""

from __future__ import annotations

import argparse
import shlex
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Any

from oneblock.cli.common import Verb, above_zero, at_least, say
from oneblock.config import presets
from oneblock.config.config import Config
from oneblock.config.override import override

if TYPE_CHECKING:
    from oneblock.runs.folder import Run

DEFAULT = "nano"


def options(parser: argparse.ArgumentParser) -> None:
    """The options of `oneblock train`."""
    parser.add_argument(
        "preset", nargs="?", metavar="PRESET", help=f"what to train (default {DEFAULT}): {', '.join(presets.PRESETS)}"
    )
    parser.add_argument(
        "--data", metavar="NAME|PATH", help="shakespeare, pattern, a text file or a folder (default: the preset's)"
    )
    parser.add_argument("--tokenizer", metavar="KIND", help="chars, bytes or bpe:SIZE (default: the preset's)")
    length = parser.add_mutually_exclusive_group()
    length.add_argument("--minutes", type=above_zero, metavar="M", help="how long; the schedule fits it")
    length.add_argument("--steps", type=at_least(1), metavar="N", help="how many steps")
    parser.add_argument("--batch", type=at_least(1), metavar="N", help="sequences a step")
    parser.add_argument("--seed", type=at_least(0), metavar="N", help="weights, data order and dropout follow from it")
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda, mps")
    parser.add_argument("--no-guard", action="store_true", help="never skip a step or roll back")
    parser.add_argument("--resume", action="store_true", help="go on with the run in --out (default: the newest)")
    parser.add_argument("--out", type=Path, metavar="DIR", help="the run's folder (default runs/PRESET-N)")


def run(args: argparse.Namespace) -> dict[str, Any]:
    """Train, and give the result."""
    settings = _settings(args)
    begun = _begun(args) if args.resume else None
    # Bad settings are refused before torch is loaded.
    config = None if begun else override(presets.preset(args.preset or DEFAULT), *settings)
    from oneblock.cli.progress import Display
    from oneblock.train import session

    with _stoppable() as stop:
        if begun:
            made = session.reopen(begun, lambda old: override(old, *settings))
        else:
            assert config is not None
            made = session.start(config, args.out)
        with made[2].lock():
            display = Display(sys.stderr)
            with display:
                training = session.Session(
                    *made,
                    resume=begun is not None,
                    device=args.device,
                    listen=display,
                    stop=stop,
                    command=shlex.join(["oneblock", *sys.argv[1:]]),
                )
                result = training.train()
    _words(result)
    return result | {"found_wrong": result["finished"] and result["val_loss"] is None}


def _settings(args: argparse.Namespace) -> list[str]:
    """The options that have names of their own are settings too."""
    named = {
        "recipe.data": args.data,
        "recipe.tokenizer": args.tokenizer,
        "recipe.minutes": args.minutes,
        "recipe.steps": args.steps,
        "recipe.batch_size": args.batch,
        "recipe.seed": args.seed,
        "recipe.guard": False if args.no_guard else None,
    }
    return [*args.settings, *(f"{path}={value}" for path, value in named.items() if value is not None)]


def _begun(args: argparse.Namespace) -> Run:
    from oneblock.runs.folder import RUNS, Run

    if args.out is not None:
        return Run.open(args.out)
    name = args.preset or DEFAULT
    begun = [path.parent for path in RUNS.glob(f"{name}-*/config.json")]
    return Run.open(max(begun, key=lambda path: path.stat().st_mtime) if begun else RUNS / f"{name}-1")


@contextmanager
def _stoppable() -> Iterator[Any]:
    """The first Ctrl-C or SIGTERM asks for a stop after the present step; a second one ends at once."""
    asked: list[str] = []

    def ask(number: int, frame: FrameType | None) -> None:
        if asked:
            raise KeyboardInterrupt
        asked.append(signal.Signals(number).name)
        say(f"\n{asked[0]}: saving after this step … (once more to stop at once, without saving)")

    before = {number: signal.signal(number, ask) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield lambda: bool(asked)
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _words(result: dict[str, Any]) -> None:
    if not result["finished"]:
        say(f"stopped at step {result['steps']}; go on with: oneblock train --resume --out {result['run']}")
        return
    say(
        f"validation loss {result['val_loss']:.4f} (perplexity {result['val_perplexity']:.3f}), whole split, "
        f"{result['kept_weights']} weights of step {result['kept_step']}\n"
        f"training loss   {result['train_loss']:.4f} (perplexity {result['train_perplexity']:.3f})\n"
        f"{result['steps']} steps, {result['tokens']:,} tokens in {result['seconds']:.0f} s; "
        f"{result['tokens_per_second']:,.0f} tokens/s, {result['peak_share']:.0%} of this machine's matrix peak\n"
        f"report: {result['run']}/report.html\n"
        f"next:   oneblock generate {result['run']} --prompt \"ROMEO:\""
    )


VERB = Verb(name="train", summary="train a model and show how it goes", options=options, run=run)
