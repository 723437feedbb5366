"""Writes docs/results/grader.md: the proof of the grader. `python docs/make_grader.py [--only NAME …] [--seeds N]`.

It takes hours on one core; `--jobs N` proves so many exercises at a time. What each came to is kept in
docs/results/grader.json with the SHA-256 of the exercise's files: --only proves some anew, and the page says which have
changed since they were proved.
"""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import functools
import hashlib
import json
import multiprocessing
import statistics
import sys
from pathlib import Path

import torch

from oneblock.learn.exercises import HERE, NAMES, exercise_named
from oneblock.learn.prove import Proof, in_processes, prove

PAGE = Path(__file__).resolve().parent / "results" / "grader.md"
KEPT = PAGE.with_suffix(".json")


def state(name: str) -> str:
    """The SHA-256 of an exercise's files."""
    found = hashlib.sha256()
    for path in sorted((HERE / name).glob("*.py")):
        found.update(path.name.encode() + path.read_bytes())
    return found.hexdigest()


def keep(proof: Proof, seeds: int, named: int | None) -> None:
    """What an exercise came to, beside what the others did."""
    kept = json.loads(KEPT.read_text(encoding="utf-8")) if KEPT.is_file() else {}
    kept[proof.exercise] = {
        "state": state(proof.exercise),
        "seeds": seeds,
        "named": named or seeds,
        "proof": dataclasses.asdict(proof),
    }
    KEPT.write_text(json.dumps(kept, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


def row(proof: Proof, seeds: int, named: int) -> str:
    """One exercise as a row of the table."""
    share = f"{100 * proof.diagnosed / proof.failed:.1f} %" if proof.failed else "–"
    seconds = f"{statistics.median(proof.child_seconds):.2f}" if proof.child_seconds else "–"
    cells = [
        proof.exercise, proof.wrong, proof.right, f"{seeds} ({named})", proof.runs, proof.false_accepts,
        proof.false_rejects, proof.other_check, share, f"{proof.child_runs - proof.child_wrong} of {proof.child_runs}",
        seconds,
    ]  # fmt: skip
    return "| " + " | ".join(map(str, cells)) + " |"


def page() -> str:
    """The whole page, of what is kept."""
    kept = json.loads(KEPT.read_text(encoding="utf-8"))
    found = {name: Proof(**kept[name]["proof"]) for name in NAMES if name in kept}
    proofs = list(found.values())
    missing = [name for name in NAMES if name not in kept]
    changed = [name for name in found if kept[name]["state"] != state(name)]
    runs, failed = sum(p.runs for p in proofs), sum(p.failed for p in proofs)
    diagnosed = sum(p.diagnosed for p in proofs)
    lines = [
        "# The grader",
        "",
        "Made by `python docs/make_grader.py --seeds 20 --named 1`, with `--only NAME` for some. Every wrong variant",
        "of an exercise, and every right one, is graded over so many seeds in float64 and float32 by the judge that",
        "grades a learner's file; what fails is diagnosed with those in brackets. A few run in processes of their own,",
        "as a learner's file does. Their median time is the last column: seconds of a grading in the loop of",
        "`oneblock learn`, where Python and torch have been started before.",
        "",
        f"{runs:,} gradings: {sum(p.false_accepts for p in proofs)} wrong ones accepted, "
        f"{sum(p.false_rejects for p in proofs)} right ones rejected, {sum(p.other_check for p in proofs)} dead by "
        "another check than the one meant for them; the misconception named rightly in "
        f"{100 * diagnosed / max(1, failed):.2f} %.",
        "",
        *([f"Not proved: {', '.join(missing)}.", ""] if missing else []),
        *([f"Changed since they were proved: {', '.join(changed)}.", ""] if changed else []),
        "| exercise | wrong | right | seeds | gradings | accepted | rejected | other check | named | in processes | "
        "seconds |",
        "|---|---|---|---|---|---|---|---|---|---|---|",
        *(row(proof, kept[name]["seeds"], kept[name]["named"]) for name, proof in found.items()),
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
    parser.add_argument(
        "--only", nargs="+", choices=NAMES, metavar="NAME", help="prove these; the others stay as they are"
    )
    parser.add_argument("--seeds", type=int, default=20, metavar="N")
    parser.add_argument("--named", type=int, metavar="N", help="seeds with which failures are diagnosed too (all)")
    parser.add_argument("--children", type=int, default=2, metavar="N", help="wrong variants in processes of their own")
    parser.add_argument("--jobs", type=int, default=1, metavar="N", help="exercises at a time")
    args = parser.parse_args()
    names = tuple(args.only or NAMES)
    proofs = []
    one = functools.partial(proved, seeds=args.seeds, named=args.named)
    with multiprocessing.get_context("spawn").Pool(args.jobs) if args.jobs > 1 else contextlib.nullcontext() as pool:
        for proof in pool.imap_unordered(one, names, chunksize=1) if pool else map(one, names):
            # In between, for these are timed.
            in_processes(exercise_named(proof.exercise), proof, args.children, 0)
            keep(proof, args.seeds, args.named)
            PAGE.write_text(page(), encoding="utf-8")
            proofs.append(proof)
            told = row(proof, args.seeds, args.named or args.seeds)
            print(
                f"{len(proofs)} of {len(names)}: {told}", *proof.cases[:20], sep="\n    ", file=sys.stderr, flush=True
            )
    return 0 if all(proof.good for proof in proofs) else 1


if __name__ == "__main__":
    sys.exit(main())
