"""The proof of the grader: every wrong variant dies by the check meant for it, every right one passes."""

from __future__ import annotations

import json
import tempfile
import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from oneblock.learn.child.desk import Desk
from oneblock.learn.child.watch import World
from oneblock.learn.diagnose import Diagnosis, diagnose
from oneblock.learn.exercise import Exercise, Right, Wrong
from oneblock.learn.exercises import text_of
from oneblock.learn.grade import Grade
from oneblock.learn.grading import PRELOAD, check
from oneblock.learn.judge import Outcome, judge
from oneblock.learn.process import Child
from oneblock.learn.source import ALWAYS

DTYPES = (torch.float64, torch.float32)


@dataclass(kw_only=True)
class Proof:
    """What came of one exercise: counts, and each case that went otherwise than it must, in words."""

    exercise: str
    wrong: int = 0
    right: int = 0
    runs: int = 0
    false_accepts: int = 0
    false_rejects: int = 0
    other_check: int = 0
    diagnosed: int = 0
    failed: int = 0  # of these a diagnosis was asked
    seconds: float = 0.0
    child_seconds: list[float] = field(default_factory=list)
    child_runs: int = 0
    child_wrong: int = 0
    cases: list[str] = field(default_factory=list)

    @property
    def good(self) -> bool:
        """No variant was taken for what it is not, each died as it should, and 95 % were named."""
        clean = not (self.false_accepts or self.false_rejects or self.other_check or self.child_wrong)
        return clean and self.diagnosed >= 0.95 * self.failed


def here(
    exercise: Exercise, switches: dict[str, Any], *, seed: int, dtype: torch.dtype = torch.float64
) -> tuple[Outcome, Diagnosis | None]:
    """A variant graded in this process, by the same judge: for proofs and tests."""
    outcome, desk = judged(exercise, switches, seed=seed, dtype=dtype)
    return outcome, diagnose(exercise, outcome, desk.answer, dtype=dtype)


def judged(
    exercise: Exercise, switches: dict[str, Any], *, seed: int, dtype: torch.dtype = torch.float64
) -> tuple[Outcome, Desk]:
    """The same without a diagnosis, which takes longest; and what answered for the variant."""
    folder = str(Path(exercise.make.__code__.co_filename).parent)
    # This process is not the learner's: what others have changed in it before is as it is.
    desk = Desk(exercise.make(**switches), World(), folder, (*ALWAYS, *exercise.forbids))
    return judge(exercise, desk.answer, seed=seed, dtype=dtype), desk


def prove(
    exercise: Exercise,
    *,
    seeds: Iterable[int],
    dtypes: Iterable[torch.dtype] = DTYPES,
    children: int = 2,
    named: int | None = None,
) -> Proof:
    """Every variant, over seeds and dtypes, here; and so many wrong ones in processes of their own (`in_processes`).

    named: with so many of the seeds what fails is diagnosed too; None: with all.
    """
    proof = Proof(exercise=exercise.name, wrong=len(exercise.wrong), right=len(exercise.right))
    began = time.perf_counter()
    seeds = list(seeds)
    for dtype in dtypes:
        for at, seed in enumerate(seeds):
            said = f"seed {seed}, {str(dtype)[6:]}"
            for wrong in (each for each in exercise.wrong if each.dtype in ("", str(dtype)[6:])):
                outcome, desk = judged(exercise, wrong.switches, seed=seed, dtype=dtype)
                _wrong(proof, wrong.name, wrong.dies, outcome, said)
                if outcome.root is not None and (named is None or at < named):
                    _named(proof, wrong.name, diagnose(exercise, outcome, desk.answer, dtype=dtype), said)
            for name, switches in (("the twin", {}), *((right.name, right.switches) for right in exercise.right)):
                outcome, _ = judged(exercise, switches, seed=seed, dtype=dtype)
                proof.runs += 1
                if not outcome.passed:
                    proof.false_rejects += 1
                    root = outcome.root
                    proof.cases.append(
                        f"{name} ({said}) is right and failed {root.id}: {root.message}" if root else name
                    )
    proof.seconds = time.perf_counter() - began
    in_processes(exercise, proof, children, seeds[0])
    return proof


def in_processes(exercise: Exercise, proof: Proof, count: int, seed: int) -> None:
    """So many wrong variants, and a right one, graded as a learner's file is."""
    every = max(1, len(exercise.wrong) // max(1, count))
    picked: tuple[Wrong | Right, ...] = (*exercise.wrong[::every][:count], *exercise.right[: min(1, count)])
    for variant in picked:
        grade = in_child(exercise, variant.switches, seed=seed)
        proof.child_runs += 1
        proof.child_seconds.append(grade.seconds)
        if grade.passed != (variant in exercise.right) or (not grade.passed and grade.named != (variant.name,)):
            proof.child_wrong += 1
            proof.cases.append(f"{variant.name} in a process of its own: {grade}")


def in_child(exercise: Exercise, switches: dict[str, Any], *, seed: int) -> Grade:
    """A variant graded as a learner's file is: the twin's text, and a line that sets the switches.

    Its time is that of a grading in the loop: the process had been started before.
    """
    with tempfile.TemporaryDirectory() as folder, Child(exercise.limits, PRELOAD.get(exercise.name, "")) as child:
        path = Path(folder) / f"{exercise.name}.py"
        set_them = f"\nimport json\nglobals().update(make(**json.loads({json.dumps(switches)!r})))\n"
        path.write_text(text_of(exercise.name, "twin") + set_them, encoding="utf-8")
        child.wait()
        return check(exercise.name, path, seed=seed, child=child)


def _wrong(proof: Proof, name: str, dies: tuple[str, ...], outcome: Outcome, said: str) -> None:
    proof.runs += 1
    root = outcome.root
    if root is None:
        proof.false_accepts += 1
        proof.cases.append(f"{name} ({said}) is wrong and passed")
    elif root.id not in dies:
        proof.other_check += 1
        proof.cases.append(f"{name} ({said}) failed {root.id}, not {' or '.join(dies)}: {root.message}")


def _named(proof: Proof, name: str, found: Diagnosis | None, said: str) -> None:
    proof.failed += 1
    if found is not None and found.named == (name,):
        proof.diagnosed += 1
    else:
        called = " and ".join(found.named) if found and found.named else "nothing"
        proof.cases.append(f"{name} ({said}) was taken for {called}")
