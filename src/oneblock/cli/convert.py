"""`oneblock convert SRC DST`: other people's models in, ours out."""

from __future__ import annotations

import argparse
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any

from oneblock.cli.common import Verb, above_zero, say
from oneblock.config.errors import OneblockError

DTYPES = ("float32", "bfloat16", "float16", "float64")


def options(parser: argparse.ArgumentParser) -> None:
    """The arguments of `oneblock convert`."""
    parser.add_argument(
        "source",
        metavar="SRC",
        type=Path,
        help="a model's folder as Hugging Face lays it out, a GGUF file, nanoGPT's ckpt.pt, a run of ours, "
        "or smollm2-135m, minilm: real weights, fetched once",
    )
    parser.add_argument("target", metavar="DST", type=Path, help="the folder to make; nothing may be in it yet")
    parser.add_argument(
        "--to",
        choices=("oneblock", "hf"),
        help="a folder of ours (default for others' models), or Hugging Face's layout (default for a run)",
    )
    parser.add_argument("--dtype", choices=DTYPES, help="the numbers' format (default: as they are)")
    parser.add_argument(
        "--shard-gb", type=above_zero, metavar="N", help="with --to hf: gigabytes a file at most (default: 5)"
    )


def run(args: argparse.Namespace) -> dict[str, Any]:
    """Convert, and say what was made of what."""
    with _ended_by_sigterm():
        return _convert(args)


@contextmanager
def _ended_by_sigterm() -> Iterator[None]:
    """SIGTERM ends it as Ctrl-C does, what is half-written taken away; the exit status is 143, as of a killed one."""

    def end(number: int, frame: FrameType | None) -> None:
        # A second one must not break off the tidying up.
        signal.signal(number, signal.SIG_IGN)
        raise SystemExit(128 + number)

    before = signal.signal(signal.SIGTERM, end)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _convert(args: argparse.Namespace) -> dict[str, Any]:
    if args.settings:
        raise OneblockError("--set changes nothing here: weights fit the configuration they came with; leave it out")
    from oneblock.data.known_models import model_path
    from oneblock.runs.convert import CONVERTERS, is_run
    from oneblock.weights.source import as_dtype

    args.source = model_path(args.source)
    to = args.to or ("hf" if is_run(args.source) else "oneblock")
    more: dict[str, Any] = {}
    if args.shard_gb is not None:
        if to != "hf":
            raise OneblockError("--shard-gb is for --to hf: a folder of ours has one file; leave it out")
        more["shard_bytes"] = round(args.shard_gb * 1e9)
    made = CONVERTERS[to](args.source, args.target, dtype=as_dtype(args.dtype), **more)
    say(f"wrote {args.target}: {made.family}, {made.parameters:,} parameters")
    if made.left_aside:
        say(f"left aside, as this model has no use for it: {', '.join(made.left_aside[:8])}")
    if made.unread:
        say(f"fields of its configuration that nothing here reads: {', '.join(made.unread)}")
    if not made.tokenizer:
        say("there is no tokenizer with it: the model takes token ids")
    return {
        "family": made.family,
        "parameters": made.parameters,
        "missing": [],
        "unexpected": made.left_aside,
        "unread": made.unread,
        "tokenizer": made.tokenizer,
        "path": str(args.target),
    }


VERB = Verb(name="convert", summary="other people's models in, ours out", options=options, run=run)
