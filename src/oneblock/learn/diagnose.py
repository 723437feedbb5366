"""From a failure to what is wrong: the answer held against each wrong variant, then against the right intermediates."""

from __future__ import annotations

import itertools
import math
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from oneblock.learn.alike import distance, tallied
from oneblock.learn.asker import Asked, Asker, Failed, Raised, describe, differs
from oneblock.learn.child.desk import Desk
from oneblock.learn.child.wire import Handle
from oneblock.learn.exercise import Exercise, Finding, Wrong
from oneblock.learn.judge import Outcome, Verdict
from oneblock.learn.process import Ended

EQUAL = {torch.float64: 1e-9, torch.float32: 2e-5}
"""A difference below this is rounding."""
PATIENCE = 1.5
"""Processor seconds after which no more combinations are tried; each wrong variant by itself always is."""


@dataclass(frozen=True, kw_only=True)
class Diagnosis:
    """What is wrong, in a sentence or two. named: the variants that answer the same; whole: to every question."""

    sentence: str
    named: tuple[str, ...] = ()
    whole: bool = False
    difference: float | None = None
    line: int = 0
    worked: str = ""


def diagnose(
    exercise: Exercise, outcome: Outcome, desk: Callable[[dict[str, Any]], dict[str, Any]], *, dtype: torch.dtype
) -> Diagnosis | None:
    """What the shown failure comes from; None where nothing has failed."""
    root = outcome.root
    if root is None:
        return None
    finding = root.finding or Finding(message=root.message)
    named = match(exercise, outcome, root, dtype)
    parts, line = _parting(finding, outcome.calls, desk)
    worked = (
        _worked(exercise, desk, dtype, root.message) if any(root.id == check.id for check in exercise.checks) else ""
    )
    sentence = root.message
    if named is not None:
        variants, difference, whole = named
        # Where the call that is shown raised, there is no number to compare.
        answered = finding.asked is None or "value" in outcome.calls[finding.asked].answer
        shown = f" (difference {difference:.1g})" if answered else ""
        says = " and, at the same time, ".join(variant.says for variant in variants)
        where = "your answer equals" if whole else "here your answer equals"
        repair = " ".join(variant.repair for variant in variants if variant.repair)
        sentence = f"{where} {says}{shown}. {repair}".strip()
        names = tuple(variant.name for variant in variants)
        return Diagnosis(
            sentence=sentence, named=names, whole=whole, difference=difference, line=finding.line or line, worked=worked
        )
    if parts:
        sentence = f"{sentence}. {parts}"
    return Diagnosis(sentence=sentence, line=finding.line or line, worked=worked)


def match(
    exercise: Exercise, outcome: Outcome, root: Verdict, dtype: torch.dtype
) -> tuple[tuple[Wrong, ...], float, bool] | None:
    """The wrong variants, one or two, that answer as the learner does: everywhere, or where the failure is."""
    ids = list(dict.fromkeys(call.check for call in outcome.calls))
    # A failure outside the checks (inputs changed in place) is in all the answers.
    where = [root.id] if root.id in ids else ids
    if not where or root.id in ("loads", "own_work", "world", "again"):
        return None
    allowed = EQUAL[dtype]
    partly: list[tuple[int, tuple[Wrong, ...], float]] = []
    began = time.process_time()
    for count, (variants, switches) in enumerate(_candidates(exercise, root.id)):
        if count > len(exercise.wrong) and time.process_time() - began > PATIENCE:
            break
        try:
            replay = Replay(exercise, switches)
            if len(where) == 1 and not any(root.id in variant.dies for variant in variants):
                # It counts only if it answers everything alike: the quick questions are asked first.
                if not all(replay.check(outcome.calls, name, allowed) < allowed for name in ids if name not in where):
                    continue
                replay = Replay(exercise, switches)
            here = 0.0
            for name in where:
                here = max(here, replay.check(outcome.calls, name, allowed))
                if not here < allowed:
                    break
            if not here < allowed:
                continue
            rest = {name: replay.check(outcome.calls, name, allowed) for name in ids if name not in where}
        except Exception:  # A pair of switches that cannot be had together.
            continue
        if all(value < allowed for value in rest.values()):
            return variants, max([here, *rest.values()]), True
        # One that is meant to die elsewhere only raises as this does.
        if all(root.id in variant.dies for variant in variants):
            partly.append((sum(value < allowed for value in rest.values()) - 100 * len(variants), variants, here))
    if not partly:
        return None
    _, variants, here = max(partly, key=lambda entry: entry[0])
    return variants, here, False


def _candidates(exercise: Exercise, root: str) -> Iterator[tuple[tuple[Wrong, ...], dict[str, Any]]]:
    """Each wrong variant by itself, then on each right one, then each pair that can be had.

    Of many the time suffices for the first: those come first that are meant to die of the failure that is shown.
    """

    def elsewhere(variants: tuple[Wrong, ...]) -> int:
        return sum(root not in variant.dies for variant in variants)

    yield from (((wrong,), wrong.switches) for wrong in exercise.wrong)
    on_right = [
        ((wrong,), right.switches | wrong.switches)
        for right in exercise.right
        for wrong in exercise.wrong
        if not right.switches.keys() & wrong.switches.keys()
    ]
    pairs = [
        ((one, two), one.switches | two.switches)
        for one, two in itertools.combinations(exercise.wrong, 2)
        if not one.switches.keys() & two.switches.keys()
    ]
    for likely in (True, False):
        yield from (entry for entry in on_right if (not elsewhere(entry[0])) is likely)
        near = [entry for entry in pairs if (elsewhere(entry[0]) < 2) is likely]
        yield from sorted(near, key=lambda entry: elsewhere(entry[0]))


class Replay:
    """The learner's questions put to a variant; objects that stand there are told apart by the order they came in."""

    def __init__(self, exercise: Exercise, switches: dict[str, Any]) -> None:
        self.desk = Desk(exercise.make(**switches))

    def check(self, calls: list[Asked], name: str, allowed: float) -> float:
        """The largest distance over one check's questions; ends at the first that is not equal."""
        table: dict[int, Any] = {}
        largest = 0.0
        for call in calls:
            if call.check != name:
                continue
            answer = self.desk.answer(_translated(call.order, table) | {"watch": False})
            if call.judged:
                apart = tallied(call.answer, answer, call.drawn) if call.drawn else None
                largest = max(largest, distance(call.order, call.answer, answer) if apart is None else apart)
                if not largest < allowed:
                    return math.inf
            if "value" in answer and "value" in call.answer:
                _pair(call.answer["value"], answer["value"], table)
        return largest


def _translated(value: Any, table: dict[int, Any]) -> Any:
    if isinstance(value, Handle):
        return table.get(value.number, value)
    if isinstance(value, list | tuple):
        return type(value)(_translated(entry, table) for entry in value)
    return {key: _translated(entry, table) for key, entry in value.items()} if isinstance(value, dict) else value


def _pair(learner: Any, variant: Any, table: dict[int, Any]) -> None:
    if isinstance(learner, Handle):
        table[learner.number] = variant
    elif isinstance(learner, list | tuple) and isinstance(variant, list | tuple):
        for one, two in zip(learner, variant, strict=False):
            _pair(one, two, table)


def _parting(finding: Finding, calls: list[Asked], desk: Callable[[dict[str, Any]], dict[str, Any]]) -> tuple[str, int]:
    """The first right intermediate that the learner's code never has, and the line of the last that it has."""
    if finding.steps is None or finding.asked is None:
        return "", 0
    order = {key: value for key, value in calls[finding.asked].order.items() if key not in ("weigh", "of", "keep")}
    try:
        answer = desk(order | {"do": "trace"})
    except Ended:
        return "", 0
    made = answer.get("value") or []
    last, line, missing = "", 0, ""
    for name, right in finding.steps().items():
        found = next((entry for entry in made if _same_numbers(entry["value"], right)), None)
        if found is not None:
            last, line, missing = name, found["line"], ""
        elif not missing:
            missing = name
    if not missing:
        return "", line
    if not last:
        return f"Already the first step, {missing}, is nowhere among the numbers you compute", 0
    at = f" (line {line})" if line else ""
    return f"Up to {last} your numbers are right{at}; {missing} is nowhere among them", line


def _same_numbers(a: Tensor, b: Tensor) -> bool:
    """By value alone: another order of axes is no other number."""
    if a.numel() != b.numel():
        return False
    one, two = a.double().flatten().sort().values, b.double().flatten().sort().values
    return torch.allclose(one, two, rtol=1e-5, atol=1e-7)


def _worked(exercise: Exercise, desk: Callable[[dict[str, Any]], dict[str, Any]], dtype: torch.dtype, said: str) -> str:
    """The first example for paper on which the learner's number is not right; none where it says only what is said."""
    for example in exercise.worked:
        right = example.right.to(dtype) if example.right.dtype.is_floating_point else example.right
        try:
            got = example.run(Asker(desk, check="worked", seed=0, dtype=dtype, calls=[]))
        except (Raised, Failed) as error:
            if str(error).endswith("is yours to write"):
                continue  # It is not begun; what is shown has failed in another.
            return "" if str(error) == said else f"{example.says} On paper: {numbers(right)}. Yours: {error}"
        except Exception:  # The process has ended, or what came cannot even be looked at.
            return ""
        if differs(got, right, "it") is not None:
            return f"{example.says} On paper: {numbers(right)}. Yours: {numbers(got)}"
    return ""


def numbers(value: Any) -> str:
    """A small tensor as a person writes it."""
    if not isinstance(value, Tensor):
        return describe(value)
    if value.numel() > 40:
        return describe(value)
    return str(_rounded(value.tolist()))


def _rounded(value: Any) -> Any:
    if isinstance(value, list):
        return [_rounded(entry) for entry in value]
    return float(f"{value:.4g}") if isinstance(value, float) else value
