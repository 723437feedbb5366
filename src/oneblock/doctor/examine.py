"""`examine(model)`: every check asked, every answer kept."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from dataclasses import replace
from os import PathLike
from typing import Any

import torch

from oneblock.doctor.checks import CHECKS
from oneblock.doctor.checks.check import EQUALITY
from oneblock.doctor.errors import DoctorError
from oneblock.doctor.factory import TookTooLong, within
from oneblock.doctor.finding import Finding, Report
from oneblock.doctor.locate import with_line
from oneblock.doctor.opening import open_target, wrap
from oneblock.doctor.patient import Patient, Told
from oneblock.doctor.probing import KINDS, recognise
from oneblock.doctor.restore import left_as_found
from oneblock.doctor.steady import COMPARE, blurred, unsteady

GROUPS = {
    "leak": ("C1", "C2"),
    "mask": ("C1", "C2", "C3", "C4", "C5", "P1", "P2"),
    "window": ("C4",),
    "packed": ("C5",),
    "cache": ("K1", "K2", "K3"),
    "padding": ("P1", "P2"),
    "batch": ("B1",),
    "position": ("R0", "R1", "R2", "R3", "K3", "D1"),
    "norm": ("N1", "N2"),
    "attention": ("A1", "A2", "A3", "A4", "A5", "G1"),
    "heads": ("G1", "A4", "A5"),
    "experts": ("M1", "D3"),
    "depth": ("H1",),
    "init": ("I1", "I2", "I3"),
    "weights": ("W1", "W2", "W3", "W4"),
    "loss": ("L1", "L2"),
    "modes": ("E1", "E2"),
    "precision": ("D1", "D2", "D3"),
    "step": ("O1", "O2"),
}
"""Words for `only` -> the checks they stand for; an id stands for itself."""
CONFIRMED = ("C1", "C2", "C3", "K1", "K2", "K3", "P1", "P2", "B1", "R1", "A5", "E1", "E2", "W1")
"""Checks whose FAIL in float64 is asked again in float32, whose answer counts."""
NORMS = ("pre", "post", "peri", "out", "none")
FLAGS = ("tied", "untied", "shared", "fresh", "nope", "relative", "packed", "unscaled", *KINDS)
AT_ODDS = (("tied", "untied"), ("nope", "relative"), KINDS)
CHANGES = "answers change from call to call, so there is nothing to compare: see E1 first"
ROUNDS = "something is computed in 16 bits, which explains what was seen: see D2 first"
SECONDS = 60.0
"""What one check may take, and what finding out how a model is called may."""


def examine(
    model: Any,
    *,
    only: Sequence[str] = (),
    expect: Sequence[str] = (),
    seed: int = 0,
    again: Callable[[], Any] | None = None,
    trust: bool = False,
    tell: Callable[[str], None] = lambda text: None,
    meet: Callable[[Patient], None] = lambda patient: None,
) -> Report:
    """Ask every check of a model, or those of `only` (ids or words as `leak`, `cache`); the model is left as it was.

    model: a module, an adapter with `logits(ids)`, or what `oneblock doctor` takes as TARGET, as text. expect: what
    is declared of it (`causal`, `encoder`, `norm=pre`, `window=128`, `tied`, `shared`, `nope`, `unscaled`, …: FLAGS).
    again: makes another one with fresh weights. trust: what is named may be unpickled and may bring code to run.
    DoctorError where it cannot be examined at all.
    """
    wanted = chosen(only)
    expectations(expect)
    opened = open_target(str(model), trust=trust) if isinstance(model, str | PathLike) else wrap(model)
    if again is not None:
        opened = replace(opened, again=again, guessed=False)
    declared = expectations([*opened.expects, *expect])
    with warnings.catch_warnings(), torch.random.fork_rng(devices=[]):
        warnings.simplefilter("ignore")
        try:
            with within(SECONDS):
                target = recognise(opened.thing, opened.name, declared)
        except TookTooLong as error:
            raise DoctorError(f"{opened.name} does not answer: {error}") from error
        told = Told(name=str(model) if isinstance(model, str | PathLike) else "", expect=tuple(expect), trust=trust)
        patient = Patient(target, seed=seed, expect=declared, again=opened.again, guessed=opened.guessed, told=told)
        meet(patient)
        findings = []
        with left_as_found(opened.thing if isinstance(opened.thing, torch.nn.Module) else target.module):
            shaky = any(name in COMPARE for name in wanted) and unsteady(patient)
            if shaky:
                wanted = ["E1", *(name for name in wanted if name != "E1")]
            for name in wanted:
                if shaky and name in COMPARE:
                    findings.append(Finding(id=name, status="SKIP", message=CHANGES))
                    continue
                tell(f"{name}: {CHECKS[name].question}")
                findings.append(ask(patient, name))
                if blurred(patient, findings[-1]):
                    findings[-1] = Finding(id=name, status="SKIP", message=ROUNDS)
                    findings = findings if "D2" in wanted else [*findings, ask(patient, "D2")]
                    wanted = [*wanted, "D2"]
    called = str(target.calling) + (f" ({opened.note})" if opened.note else "")
    return Report(target=opened.name, called=called, kind=target.kind, checks=tuple(findings))


def ask(patient: Patient, name: str) -> Finding:
    """The answer of one check; a check that cannot run on this model is a SKIP that says why."""
    torch.manual_seed(patient.seed)
    try:
        with torch.set_grad_enabled(CHECKS[name].gradients), within(SECONDS):
            found = asked(patient, name)
            if found.status == "FAIL" and name in CONFIRMED and patient.dtype == torch.float64:
                # Models with islands of float32 inside can break in float64 where they are well in their own format.
                again = CHECKS[name].run(patient.narrow())
                found = found if again.status == "FAIL" else again
            elif found.status == "WARN" and found.source == EQUALITY and patient.wide is not None:
                # Through many layers float32 rounds more than a difference that is none may be.
                again = CHECKS[name].run(patient.wide)
                found = again if again.status == "PASS" else found
    except (Exception, SystemExit, TookTooLong) as error:
        said = (str(error).strip().splitlines() or [""])[-1][:160]
        found = Finding(id=name, status="SKIP", message=f"could not be asked: {type(error).__name__}: {said}")
    where = with_line(patient.target.module, found.where) if found.status in ("FAIL", "WARN") else found.where
    return replace(found, id=name, seed=patient.seed, where=where, reproduce=patient.reproduce(name))


def asked(patient: Patient, name: str) -> Finding:
    """What a check finds; in float32 where its questions break in float64 alone (a written-out minimum of float32)."""
    try:
        return CHECKS[name].run(patient)
    except Exception:
        if patient.dtype != torch.float64:
            raise
        return CHECKS[name].run(patient.narrow())


def chosen(only: Sequence[str]) -> list[str]:
    """The checks that `only` names, in their order; all where it is empty."""
    named: set[str] = set()
    for word in only:
        if word in GROUPS:
            named.update(GROUPS[word])
        elif word in CHECKS:
            named.add(word)
        else:
            raise DoctorError(f"there is no check {word!r}; the words: {', '.join(GROUPS)}; ids: {', '.join(CHECKS)}")
    return [name for name in CHECKS if not only or name in named]


def expectations(words: Sequence[str]) -> dict[str, str]:
    """What a person declares of a model, as `kind`, `norm` and flags."""
    found: dict[str, str] = {}
    for word in words:
        key, _, value = word.partition("=")
        if key == "norm" and value in NORMS:
            found["norm"] = value
        elif key == "window" and value.isdigit() and int(value) > 0:
            found["window"] = value
        elif word in KINDS:
            found["kind"] = word
        elif word in FLAGS:
            found[word] = "yes"
        else:
            said = ", ".join([*FLAGS, *(f"norm={norm}" for norm in NORMS), "window=N"])
            raise DoctorError(f"{word!r} cannot be expected; what can: {said}")
    for words_at_odds in AT_ODDS:
        both = [word for word in words_at_odds if word in words]
        if len(both) > 1:
            raise DoctorError(f"{' and '.join(both)} cannot both be expected; declare one of them")
    return found
