"""`examine(model)`: every check asked, every answer kept."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import torch

from oneblock.doctor.checks import CHECKS
from oneblock.doctor.errors import DoctorError
from oneblock.doctor.finding import Finding, Report
from oneblock.doctor.opening import open_target, wrap
from oneblock.doctor.patient import Patient
from oneblock.doctor.probing import KINDS, recognise
from oneblock.doctor.restore import left_as_found

GROUPS = {
    "leak": ("C1", "C2"),
    "mask": ("C1", "C2", "P1", "P2"),
    "cache": ("K1", "K2", "K3"),
    "padding": ("P1", "P2"),
    "batch": ("B1",),
    "position": ("R0",),
    "norm": ("N1", "N2"),
    "attention": ("A1", "A2", "A3", "A4"),
    "depth": ("H1",),
    "init": ("I1", "I2", "I3"),
    "weights": ("W1", "W2", "W3", "W4"),
    "loss": ("L1", "L2"),
    "modes": ("E1", "E2"),
    "precision": ("D2",),
    "step": ("O1",),
}
"""Words for `only` -> the checks they stand for; an id stands for itself."""
CONFIRMED = ("C1", "C2", "K1", "K2", "K3", "P1", "P2", "B1", "E1", "E2", "W1")
"""Checks whose FAIL in float64 is asked again in float32, whose answer counts."""
NORMS = ("pre", "post", "peri", "out", "none")
FLAGS = ("tied", "untied", "shared", "fresh", "nope", "unscaled", *KINDS)


def examine(
    model: Any,
    *,
    only: Sequence[str] = (),
    expect: Sequence[str] = (),
    seed: int = 0,
    again: Callable[[], Any] | None = None,
    tell: Callable[[str], None] = lambda text: None,
) -> Report:
    """Ask every check of a model, or those of `only` (ids or words as `leak`, `cache`); the model is left as it was.

    model: a module, an adapter with `logits(ids)`, or what `oneblock doctor` takes as TARGET, as text. expect: what
    is declared of it (`causal`, `encoder`, `norm=pre`, `tied`, `shared`, `nope`, `unscaled`, `fresh`). again: makes
    another one with fresh weights. DoctorError where it cannot be examined at all.
    """
    opened = open_target(model) if isinstance(model, str) else wrap(model)
    if again is not None:
        opened = replace(opened, again=again)
    declared, wanted = expectations(expect), chosen(only)
    with warnings.catch_warnings(), torch.random.fork_rng(devices=[]):
        warnings.simplefilter("ignore")
        target = recognise(opened.thing, opened.name, declared)
        patient = Patient(target, seed=seed, expect=declared, again=opened.again)
        findings = []
        with left_as_found(target.module):
            for name in wanted:
                tell(f"{name}: {CHECKS[name].question}")
                findings.append(ask(patient, name))
    return Report(target=opened.name, called=str(target.calling), kind=target.kind, checks=tuple(findings))


def ask(patient: Patient, name: str) -> Finding:
    """The answer of one check; a check that cannot run on this model is a SKIP that says why."""
    torch.manual_seed(patient.seed)
    try:
        with torch.set_grad_enabled(CHECKS[name].gradients):
            found = CHECKS[name].run(patient)
            if found.status == "FAIL" and name in CONFIRMED and patient.dtype == torch.float64:
                # Models with islands of float32 inside can break in float64 where they are well in their own format.
                found = CHECKS[name].run(patient.narrow())
    except Exception as error:
        said = (str(error).strip().splitlines() or [""])[-1][:160]
        found = Finding(id=name, status="SKIP", message=f"could not be asked: {type(error).__name__}: {said}")
    return replace(found, id=name, seed=patient.seed, reproduce=patient.reproduce(name))


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
        elif word in KINDS:
            found["kind"] = word
        elif word in FLAGS:
            found[word] = "yes"
        else:
            said = ", ".join([*FLAGS, *(f"norm={norm}" for norm in NORMS)])
            raise DoctorError(f"{word!r} cannot be expected; what can: {said}")
    return found
