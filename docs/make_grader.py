"""Writes docs/results/grader.md: the proof of the grader. `python docs/make_grader.py [--only NAME …] [--seeds N]`.

It takes hours on one core; `--jobs N` proves so many exercises at a time.
"""

from __future__ import annotations

import argparse
import contextlib
import functools
import multiprocessing
import statistics
import sys
from pathlib import Path

import torch

from oneblock.learn.exercises import NAMES, exercise_named
from oneblock.learn.prove import Proof, in_processes, prove

PAGE = Path(__file__).resolve().parent / "results" / "grader.md"


def row(proof: Proof) -> str:
    """One exercise as a row of the table."""
    share = f"{100 * proof.diagnosed / proof.failed:.1f} %" if proof.failed else "–"
    seconds = f"{statistics.median(proof.child_seconds):.2f}" if proof.child_seconds else "–"
    cells = [
        proof.exercise, proof.wrong, proof.right, proof.runs, proof.false_accepts, proof.false_rejects,
        proof.other_check, share, f"{proof.child_runs - proof.child_wrong} of {proof.child_runs}", seconds,
    ]  # fmt: skip
    return "| " + " | ".join(map(str, cells)) + " |"


def page(proofs: list[Proof], seeds: int, named: int | None = None) -> str:
    """The whole page."""
    more = f" --named {named}" if named else ""
    runs, failed = sum(p.runs for p in proofs), sum(p.failed for p in proofs)
    diagnosed = sum(p.diagnosed for p in proofs)
    lines = [
        "# The grader",
        "",
        f"Made by `python docs/make_grader.py --seeds {seeds}{more}`. Every wrong variant of every exercise, and",
        f"every right one, is graded over {seeds} seeds in float64 and float32 by the judge that grades a learner's",
        f"file; what fails is diagnosed with {named or 'all'} of them. A few run in processes of their own, as a",
        "learner's file does. Their median time is the last column: seconds of a grading in the loop of",
        "`oneblock learn`, where Python and torch have been started before.",
        "",
        f"{runs} gradings: {sum(p.false_accepts for p in proofs)} wrong ones accepted, "
        f"{sum(p.false_rejects for p in proofs)} right ones rejected, {sum(p.other_check for p in proofs)} dead by "
        "another check than the one meant for them; the misconception named rightly in "
        f"{100 * diagnosed / max(1, failed):.2f} %.",
        "",
        "| exercise | wrong | right | gradings | accepted | rejected | other check | named | in processes | seconds |",
        "|---|---|---|---|---|---|---|---|---|---|",
        *map(row, proofs),
        "",
    ]
    cases = [f"- {proof.exercise}: {case}" for proof in proofs for case in proof.cases]
    return "\n".join([*lines, *(["## What went otherwise", "", *cases, ""] if cases else [])])


def proved(name: str, seeds: int, named: int | None = None) -> Proof:
    """One exercise's proof, in this process alone."""
    torch.set_num_threads(1)
    return prove(exercise_named(name), seeds=range(seeds), children=0, named=named)


def main() -> int:
    """Prove, write or print; 1 where something is not proved."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", nargs="+", choices=NAMES, metavar="NAME", help="print these; the page stays as it is")
    parser.add_argument("--seeds", type=int, default=20, metavar="N")
    parser.add_argument("--named", type=int, metavar="N", help="seeds with which failures are diagnosed too (all)")
    parser.add_argument("--children", type=int, default=2, metavar="N", help="wrong variants in processes of their own")
    parser.add_argument("--jobs", type=int, default=1, metavar="N", help="exercises at a time")
    args = parser.parse_args()
    names = tuple(args.only or NAMES)
    proofs = []
    one = functools.partial(proved, seeds=args.seeds, named=args.named)
    with multiprocessing.get_context("spawn").Pool(args.jobs) if args.jobs > 1 else contextlib.nullcontext() as pool:
        # The longest are the last in the order.
        for proof in pool.imap_unordered(one, reversed(names), chunksize=1) if pool else map(one, names):
            proofs.append(proof)
            print(f"{len(proofs)} of {len(names)}: {row(proof)}", file=sys.stderr, flush=True)
    proofs.sort(key=lambda proof: names.index(proof.exercise))
    for proof in proofs:
        # Not beside others, for these are timed.
        in_processes(exercise_named(proof.exercise), proof, args.children, 0)
        print(row(proof), *proof.cases[:20], sep="\n    ", file=sys.stderr, flush=True)
    if not args.only:
        PAGE.write_text(page(proofs, args.seeds, args.named), encoding="utf-8")
    return 0 if all(proof.good for proof in proofs) else 1


if __name__ == "__main__":
    sys.exit(main())
