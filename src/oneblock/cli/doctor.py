"""`oneblock doctor TARGET`: what is wrong with a transformer, and how one knows."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import Any

from oneblock.cli.common import Verb, at_least, say
from oneblock.config.errors import OneblockError


def options(parser: argparse.ArgumentParser) -> None:
    """The arguments of `oneblock doctor`."""
    parser.add_argument(
        "target",
        nargs="?",
        metavar="TARGET",
        help="a run, a model's folder, ckpt.pt, or path/to/file.py:factory (it is run)",
    )
    parser.add_argument(
        "--only", action="append", default=[], metavar="WORDS", help="some checks, e.g. leak,cache or C1,K1"
    )
    parser.add_argument(
        "--expect",
        action="append",
        default=[],
        metavar="WORDS",
        help="what is declared, e.g. causal,norm=pre,window=128,tied",
    )
    parser.add_argument(
        "--log",
        metavar="FILE",
        help="what happened in a training: metrics.jsonl, CSV, W&B, TensorBoard; with its run as TARGET also a replay",
    )
    parser.add_argument("--trust", action="store_true", help="unpickle, and run code that came with the weights")
    parser.add_argument("--html", metavar="FILE", help="write the report as a page with pictures, readable offline")
    parser.add_argument(
        "--depth-report", action="store_true", help="the same model with 12, 24 and 36 layers: what depth does to it"
    )
    parser.add_argument(
        "--against", metavar="REF", help="a model it should agree with: where they part, and what change explains it"
    )
    parser.add_argument("--seed", type=at_least(0), default=0, metavar="N", help="of inputs and noise (0)")


def run(args: argparse.Namespace) -> dict[str, Any]:
    """Examine, print the report, and give it."""
    if args.settings:
        raise OneblockError("--set changes nothing here: a model is examined as it is; leave it out")
    if args.html and not Path(args.html).absolute().parent.is_dir():
        raise OneblockError(f"--html {args.html}: its folder is not there; make it first")
    if args.against:
        return _against(args)
    if args.log:
        return _log(args)
    if args.target is None:
        raise OneblockError("give a TARGET (a run, a model's folder, file.py:factory), or a log by --log FILE")
    from oneblock.doctor.examine import examine
    from oneblock.doctor.pages import as_text, write_report

    patients: list[Any] = []
    report = examine(
        args.target,
        only=_words(args.only),
        expect=_words(args.expect),
        seed=args.seed,
        trust=args.trust,
        tell=say if args.json else _no,
        meet=patients.append,
    )
    show = say if args.json else print
    show(as_text(report))
    deep = _deep(patients[0], show) if args.depth_report else None
    if args.html:
        write_report(Path(args.html), report, patients[0], deep)
        say(f"the page: {args.html}")
    more = {"depth_report": deep.to_dict()} if deep else {}
    return report.to_dict() | more | {"found_wrong": not report.healthy or bool(deep and deep.failed)}


def _against(args: argparse.Namespace) -> dict[str, Any]:
    """Two models that should agree, on the same tokens."""
    if args.target is None:
        raise OneblockError("--against compares two models: give the other one as TARGET")
    if args.only or args.expect or args.log or args.depth_report:
        raise OneblockError("--against compares two models and asks no checks: leave --only, --expect, … out")
    from oneblock.doctor.parity import against

    met: list[Any] = []
    found = against(
        args.target,
        args.against,
        seed=args.seed,
        trust=args.trust,
        tell=say if args.json else _no,
        meet=lambda *patients: met.extend(patients),
    )
    (say if args.json else print)(found)
    if args.html:
        from oneblock.doctor.pages import write_parity

        write_parity(Path(args.html), found, met[1])
        say(f"the page: {args.html}")
    return found.to_dict() | {"found_wrong": not found.agree}


def _log(args: argparse.Namespace) -> dict[str, Any]:
    """What a log shows; with a run of ours as TARGET its steps around the onset are taken once more."""
    if args.only or args.expect or args.depth_report:
        raise OneblockError("--log reads a log and asks no checks: leave --only, --expect, --depth-report out")
    from oneblock.doctor.logs.examine import examine_log

    report = examine_log(args.log, run=args.target, tell=say)
    (say if args.json else print)(report)
    if args.html:
        from oneblock.doctor.pages import write_log

        write_log(Path(args.html), report, args.target)
        say(f"the page: {args.html}")
    return report.to_dict() | {"found_wrong": not report.healthy}


def _deep(patient: Any, show: Callable[[object], None]) -> Any:
    """The depth report, shown."""
    from oneblock.doctor.depth import depth_report
    from oneblock.doctor.pages import deep_text

    deep = depth_report(patient, tell=lambda text: say(f"depth report: {text}"))
    show(f"\n{deep_text(deep)}")
    return deep


def _words(given: list[str]) -> list[str]:
    return [word.strip() for text in given for word in text.split(",") if word.strip()]


def _no(text: str) -> None:
    """A report that a person reads comes at once."""


VERB = Verb(name="doctor", summary="what is wrong with a transformer, and how one knows", options=options, run=run)
