"""`oneblock train`: train a model and show how it goes."""

from __future__ import annotations

import argparse
import math
import os
import shlex
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Any

from oneblock.cli.common import Verb, above_zero, at_least, say
from oneblock.config import presets
from oneblock.config.config import Config
from oneblock.config.errors import OneblockError
from oneblock.config.lengths import for_length
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
    parser.add_argument(
        "--block", type=Path, metavar="DIR", help="blocks of your own: a folder of exercises (its block.py is run)"
    )
    parser.add_argument("--out", type=Path, metavar="DIR", help="the run's folder (default runs/PRESET-N)")


def run(args: argparse.Namespace) -> dict[str, Any]:
    """Train, and give the result."""
    settings = _settings(args)
    begun = _begun(args) if args.resume else None
    # Bad settings are refused before torch is loaded.
    config = None if begun else _long_enough(args.preset or DEFAULT, settings, args.block)
    own = _OwnBlock(args.block, begun)
    from oneblock.cli.progress import Display
    from oneblock.machine.device import pick_device
    from oneblock.train import session
    from oneblock.train.processes import joined, own_device

    device = own_device(pick_device(args.device))
    with _stoppable() as stop, joined(device) as processes:
        own.check(processes.world)
        if begun:
            made = session.reopen(begun, lambda old: override(old, *settings), processes)
        else:
            assert config is not None
            made = session.start(config, args.out, processes)
        own.keep(made[2])
        with made[2].lock() if processes.first else nullcontext():
            display = Display(sys.stderr) if processes.first else None
            with display or nullcontext():
                training = session.Session(
                    *made,
                    resume=begun is not None,
                    device=str(device),
                    listen=display or (lambda event: None),
                    stop=stop,
                    command=shlex.join(["oneblock", *sys.argv[1:]]),
                    processes=processes,
                    make=own.make,
                )
                result = training.train()
    if not processes.first:
        return {}
    more = f" --block {shlex.quote(str(args.block))}" if args.block else ""
    _words(result, training.task.try_it(training.run) + more, more)
    unusable = result["finished"] and not _is_number(result["val_loss"])
    return result | {"found_wrong": unusable or result["diverged"] is not None}


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


def _long_enough(name: str, settings: list[str], block: Path | None = None) -> Config:
    if block is not None:
        from oneblock.learn.own_block import FORM, in_form

        say(f"--block: {', '.join(FORM)} (a --set of your own comes after)")
        return in_form(presets.preset(name), *settings)
    config, added = for_length(name, *settings)
    if added:
        say(f"a run this long has {', '.join(added)} (a --set of your own comes after)")
    return config


class _OwnBlock:
    """What `--block` asks for: the files, which pass their exercise, and what builds a model with them."""

    def __init__(self, given: Path | None, begun: Run | None) -> None:
        self.make: Any = None
        self.files: list[Path] = []
        self.begun = begun
        if given is None:
            if begun is not None:
                from oneblock.runs.own_block import refuse_unasked

                refuse_unasked(begun.path)
            return
        from oneblock.learn.own_block import maker, passed
        from oneblock.runs.own_block import check_same

        if begun is None:
            file, more = passed(given)
            self.files = [file, *more]
        else:
            file = check_same(begun.path, given)
        self.make = maker(file)

    def check(self, processes: int) -> None:
        """OneblockError where several would train; before a run's folder is made."""
        if self.make is not None and processes > 1:
            raise OneblockError("--block trains in one process; leave torchrun out")

    def keep(self, run: Run) -> None:
        """Put the files into a new run."""
        if self.files:
            from oneblock.runs.own_block import keep

            keep(run, self.files[0], self.files[1:])


def _begun(args: argparse.Namespace) -> Run:
    from oneblock.runs.errors import RunError
    from oneblock.runs.folder import CONFIG, RUNS, Run

    if args.out is None:
        name = args.preset or DEFAULT
        begun = [path.parent for path in RUNS.glob(f"{name}-*/config.json")]
        begun = [path for path in begun if path.name.removeprefix(f"{name}-").isdigit()]
        return Run.open(max(begun, key=lambda path: path.stat().st_mtime) if begun else RUNS / f"{name}-1")
    run = Run.open(args.out)
    name = run.read_json(CONFIG).get("name")
    if args.preset is not None and presets.preset(args.preset).name != name:
        raise RunError(
            f"{args.out} is a run of {name}, not of {args.preset}; leave the preset out, or choose another --out"
        )
    return run


@contextmanager
def _stoppable() -> Iterator[Any]:
    """The first Ctrl-C or SIGTERM asks for a stop after the present step; a second one ends at once."""
    asked: list[str] = []

    def ask(number: int, frame: FrameType | None) -> None:
        if asked:
            raise KeyboardInterrupt
        asked.append(signal.Signals(number).name)
        words = f"\n{asked[0]}: saving after this step … (once more to stop at once, without saving)\n"
        # Not through sys.stderr: the signal may have come in the middle of a write to it.
        os.write(2, words.encode())

    before = {number: signal.signal(number, ask) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield lambda: bool(asked)
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _words(result: dict[str, Any], try_it: str, more: str) -> None:
    go_on = f"oneblock train --resume --out {shlex.quote(result['run'])}{more}"
    if result["diverged"]:
        say(f"training diverged: {result['diverged']}")
        return
    if not result["finished"]:
        say(f"stopped at step {result['steps']}; go on with: {go_on}")
        return
    if not _is_number(result["val_loss"]):
        say(
            f"after {result['steps']} steps no weights are kept: the loss on held-out text was never a number. "
            "Lower the learning rate (--set recipe.optimizer.learning_rate=…), and leave the guard on"
        )
        return
    say(
        f"validation loss {result['val_loss']:.4f}{_perplexity(result['val_perplexity'])}, whole split, "
        f"{result['kept_weights']} weights of step {result['kept_step']}\n"
        f"training loss   {result['train_loss']:.4f}{_perplexity(result['train_perplexity'])}"
    )
    for name, value in result.items():
        if name.endswith(("_accuracy", "_rate")) and _is_number(value):
            say(f"{name.replace('_', ' ')}: {value:.2%}")
    taken = f"{result['steps']} steps, {result['tokens']:,} tokens in {result['seconds']:.0f} s"
    if result["tokens_per_second"]:
        speed = f"{result['tokens_per_second']:,.0f} tokens/s, {result['peak_share']:.0%} of this machine's matrix peak"
        say(f"{taken}; {speed}")
    else:
        say(f"{taken}; all steps were taken before, to go further: {go_on} --steps N")
    say(f"report: {result['run']}/report.html\nnext:   {try_it}")


def _perplexity(value: float | None) -> str:
    return "" if value is None else f" (perplexity {value:.3f})"


def _is_number(value: float | None) -> bool:
    return value is not None and math.isfinite(value)


VERB = Verb(name="train", summary="train a model and show how it goes", options=options, run=run)
