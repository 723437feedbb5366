"""What an exercise is: checks in a graph, wrong and right variants, hints, and an example for paper."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from torch import Tensor

from oneblock.learn.process import Limits

if TYPE_CHECKING:
    from oneblock.learn.asker import Asker

Steps = Callable[[], dict[str, Tensor]]
"""The right intermediates of one call, in the order in which they arise: name -> value."""


@dataclass(frozen=True, kw_only=True)
class Finding:
    """What a check has found wrong.

    steps: the right intermediates of the call `asked`, to find where yours part; ended: the process is gone.
    """

    message: str
    steps: Steps | None = None
    asked: int | None = None
    line: int = 0
    ended: bool = False


@dataclass(frozen=True, kw_only=True)
class Check:
    """One property. run asks the learner's code and gives a finding, its message, or None where all is well.

    needs: checks that must pass before this one means anything. Each run makes what it needs anew (modules too).
    hints: in which property to look, at which place, and the pseudocode.
    """

    id: str
    run: Callable[[Asker], Finding | str | None]
    needs: tuple[str, ...] = ()
    hints: tuple[str, str, str]


@dataclass(frozen=True, kw_only=True)
class Wrong:
    """One misconception. says: completes "your answer equals …"; dies: the checks meant for it; switches: of the twin.

    repair: what to do, in a sentence. dtype: the only one in which it is wrong, if there is but one.
    """

    name: str
    says: str
    dies: tuple[str, ...]
    switches: dict[str, Any]
    repair: str = ""
    dtype: str = ""


@dataclass(frozen=True, kw_only=True)
class Right:
    """Something that looks different and is right too. says: what it is; switches: of the twin."""

    name: str
    says: str
    switches: dict[str, Any]


@dataclass(frozen=True, kw_only=True)
class Worked:
    """An example small enough for paper. run gives the learner's number, right is what paper gives."""

    says: str
    run: Callable[[Asker], Any]
    right: Any


@dataclass(frozen=True, kw_only=True)
class Exercise:
    """One exercise. names: what a learner's file must have; make: the twin, `make(**switches) -> {name: object}`.

    The twin without switches is right; each wrong and right variant is a set of switches, a pair their union.
    forbids: last names of torch functions that would do this exercise, beside those that no exercise allows.
    packages: root packages that neither the learner's file nor one that it imports may import.
    worked: on a failure the first is shown on which the learner's number is not right.
    """

    name: str
    title: str
    names: tuple[str, ...]
    checks: tuple[Check, ...]
    make: Callable[..., dict[str, Any]]
    wrong: tuple[Wrong, ...]
    right: tuple[Right, ...]
    worked: tuple[Worked, ...]
    forbids: tuple[str, ...] = ()
    packages: tuple[str, ...] = ()
    limits: Limits = field(default_factory=Limits)

    def __post_init__(self) -> None:
        known: list[str] = []
        for check in self.checks:
            assert set(check.needs) <= set(known), f"{self.name}: {check.id} needs what does not stand before it"
            assert check.id not in known, f"{self.name}: two checks {check.id}"
            known.append(check.id)
        variants: tuple[Wrong | Right, ...] = (*self.wrong, *self.right)
        names = [variant.name for variant in variants]
        assert len(names) == len(set(names)), f"{self.name}: two variants of one name"
