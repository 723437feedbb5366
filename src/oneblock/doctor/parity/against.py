"""`against(model, reference)`: do two models answer the same, where do they part, and what would make them agree?"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import dataclass, field
from os import PathLike
from typing import Any

import torch
from torch import Tensor

from oneblock.doctor.errors import DoctorError
from oneblock.doctor.factory import SECONDS, TookTooLong, within
from oneblock.doctor.opening import open_target, wrap
from oneblock.doctor.parity.anatomy import Unreadable
from oneblock.doctor.parity.change import Change
from oneblock.doctor.parity.configured import explain_by_fields
from oneblock.doctor.parity.explain import explain, search
from oneblock.doctor.parity.norms import gap
from oneblock.doctor.parity.reading import read
from oneblock.doctor.parity.trace import Trace, record
from oneblock.doctor.parity.twin import Reading
from oneblock.doctor.parity.walk import Parting, Walked, walk
from oneblock.doctor.patient import Patient
from oneblock.doctor.probing import recognise
from oneblock.doctor.restore import left_as_found
from oneblock.doctor.target import Target

ENOUGH = {torch.float64: 1e-7, torch.float32: 1e-5}
"""Relative difference up to which two models agree. A model in float64 with parts that compute in float32 (norms,
rotations, a softmax) is held against the second one."""
SHORT, LONG = 13, 140
"""Tokens that are walked through; what differs only beyond them (a window) is looked for at the longer length."""
SEARCH = 60.0
"""How long single changes and pairs are searched for a model that cannot be read."""


@dataclass(frozen=True, kw_only=True)
class Parity:
    """What a comparison found.

    difference: max|Δ| / max|reference| of the answers, held against `threshold`. explanation: the fewest changes that
    turn the reference into the target, [] where none were found. unread: "target" or "reference" -> why its choices
    could not be read. walked: the reference's modules in the order they were called; () where both agree.
    """

    target: str
    reference: str
    agree: bool
    difference: float
    threshold: float
    tokens: int
    first_difference: Parting | None = None
    explanation: tuple[Change, ...] = ()
    unread: dict[str, str] = field(default_factory=dict)
    walked: tuple[Walked, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """As JSON has it."""
        return {
            "agree": self.agree,
            "target": self.target,
            "reference": self.reference,
            "difference": self.difference,
            "threshold": self.threshold,
            "tokens": self.tokens,
            "first_difference": self.first_difference.to_dict() if self.first_difference else None,
            "explanation": [change.to_dict() for change in self.explanation],
            "unread": self.unread,
            "walked": [each.to_dict() for each in self.walked],
        }

    def __str__(self) -> str:
        word = "agrees with" if self.agree else "differs from"
        off = f"{self.difference:.2g} of the largest logit over {self.tokens} tokens, threshold {self.threshold:g}"
        lines = [f"{self.target} {word} {self.reference}: {off}"]
        if self.agree:
            return lines[0]
        lines.append(f"first difference: {self.first_difference}")
        count = len(self.explanation)
        if count:
            lines.append(
                f"explained by {'one change' if count == 1 else f'{count} changes'}, proved by making the change:"
            )
            lines += [f"  {change}" for change in self.explanation]
        else:
            lines.append("no explanation was found: none of the changes that are known makes them agree")
            lines += [f"  the {side} could not be read: {why}" for side, why in self.unread.items()]
        return "\n".join(lines)


def against(
    model: Any,
    reference: Any,
    *,
    seed: int = 0,
    trust: bool = False,
    seconds: float = SEARCH,
    tell: Callable[[str], None] = lambda text: None,
    meet: Callable[[Patient, Patient], None] = lambda target, reference: None,
) -> Parity:
    """Compare a model with one it should agree with; both are left as they were.

    model, reference: a module, an adapter, or what `oneblock doctor` takes as TARGET, as text. trust: what is named may
    be unpickled and may bring code to run. seconds: for a search where one of the two cannot be read. meet: is given
    both. DoctorError where they cannot be compared: other vocabularies, inputs, shapes.
    """
    with warnings.catch_warnings(), torch.random.fork_rng(devices=[]), torch.no_grad():
        warnings.simplefilter("ignore")
        patients = [_patient(each, seed, trust) for each in (model, reference)]
        meet(*patients)
        with left_as_found(patients[0].target.module), left_as_found(patients[1].target.module):
            return _compared(patients[0], patients[1], seed, seconds, tell)


def _patient(thing: Any, seed: int, trust: bool) -> Patient:
    opened = open_target(str(thing), trust=trust) if isinstance(thing, str | PathLike) else wrap(thing)
    try:
        with within(SECONDS):
            target = recognise(opened.thing, opened.name, {})
    except TookTooLong as error:
        raise DoctorError(f"{opened.name} does not answer: {error}") from error
    return Patient(target, seed=seed, expect={}, again=None)


def _compared(a: Patient, b: Patient, seed: int, seconds: float, tell: Callable[[str], None]) -> Parity:
    _comparable(a.target, b.target)
    wide = torch.float64 if a.dtype == b.dtype == torch.float64 else torch.float32
    target, reference = ((p if p.dtype == wide else p.narrow()).plain for p in (a, b))
    longest = min(a.target.max_len, b.target.max_len)
    x = reference.sample(1, min(SHORT, longest), seed)
    islands = any(record(each, x).islands for each in (target, reference))
    enough = ENOUGH[torch.float32 if islands else wide]
    lengths = dict.fromkeys([min(SHORT, longest), min(LONG, longest)])
    off, floor, x = 0.0, 0.0, torch.empty(0)
    for length in lengths:
        tell(f"{length} tokens")
        x = reference.sample(2, length, seed)
        ours, theirs = target(x), reference(x)
        if ours.shape != theirs.shape:
            raise DoctorError(f"{_name(target)} answers {_size(ours)} and {_name(reference)} {_size(theirs)}")
        off, floor = gap(ours, theirs), max(gap(target(x), ours), gap(reference(x), theirs))
        if off > max(enough, 100 * floor):
            break
    said: dict[str, Any] = {
        "target": _name(target),
        "reference": _name(reference),
        "difference": off,
        "threshold": max(enough, 100 * floor),
        "tokens": x.numel(),
    }
    if off <= max(enough, 100 * floor):
        return Parity(agree=True, **said)
    tell("they differ: walking through both")
    if gap(target(x[:1]), reference(x[:1])) > said["threshold"]:
        # One row will do, and has no batch that could be laid out otherwise.
        x = x[:1]
    traces = record(target, x), record(reference, x)
    parting, walked = walk(traces[1], traces[0], enough)
    readings, unread = _readings(*traces) if target.takes == "tokens" else ([None, None], {})
    tell("looking for what explains it")
    explanation = _explained(readings, traces, enough, seconds)
    if not explanation:
        explanation = explain_by_fields(reference, target, x, target(x), 3 * enough)
    more: dict[str, Any] = {"explanation": tuple(explanation), "unread": unread, "walked": walked}
    return Parity(agree=False, first_difference=parting, **more, **said)


def _readings(target: Trace, reference: Trace) -> tuple[list[Reading | None], dict[str, str]]:
    found: list[Reading | None] = [None, None]
    unread: dict[str, str] = {}
    for place, side, trace in ((1, "reference", reference), (0, "target", target)):
        try:
            found[place] = read(trace, found[1])
        except Unreadable as reason:
            unread[side] = str(reason)
    return found, unread


def _explained(
    readings: list[Reading | None], traces: tuple[Trace, Trace], enough: float, seconds: float
) -> list[Change]:
    ours, theirs = readings
    tokens, (wanted, known) = traces[0].tokens, (trace.logits for trace in traces)
    assert wanted is not None and known is not None
    close = 3 * enough
    if ours is not None and theirs is not None:
        return explain(theirs, ours, tokens, close)
    if theirs is not None:
        return search(theirs, tokens, wanted, close, seconds, flipped=False)
    return search(ours, tokens, known, close, seconds, flipped=True) if ours is not None else []


def _comparable(a: Target, b: Target) -> None:
    if a.takes != b.takes:
        raise DoctorError(f"{_name(a)} takes {a.takes} and {_name(b)} {b.takes}: they cannot be given the same")
    if a.takes == "tokens" and a.vocab_size != b.vocab_size:
        raise DoctorError(f"{_name(a)} knows {a.vocab_size} tokens and {_name(b)} {b.vocab_size}; give two of one size")
    if (a.width, a.shape) != (b.width, b.shape):
        raise DoctorError(f"{_name(a)} takes {a.width or a.shape} and {_name(b)} {b.width or b.shape} of {a.takes}")


def _name(target: Target) -> str:
    return target.name or type(target.thing).__name__


def _size(tensor: Tensor) -> str:
    return " × ".join(map(str, tensor.shape))
