"""Where two models part: the first module whose inputs are found in the other model and whose output is not.

Modules are matched by what they give, not by name: two tensors are one where their numbers, sorted, are the same, so
that another layout, a split or a view hides nothing.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import asdict, dataclass
from typing import Any

from torch import Tensor

from oneblock.doctor.parity.norms import gap
from oneblock.doctor.parity.trace import Call, Trace


@dataclass(frozen=True, kw_only=True)
class Parting:
    """The place: modules of both models, by path and class, and by how much their outputs differ (max|Δ| / max|ref|).

    inside: the reference's module has parts that all agree, so that it is what stands between them that differs.
    seen_at: the first of its parts whose output differs, where it is given what already differs; "" where there is none
    """

    reference: str
    reference_class: str
    target: str
    target_class: str
    difference: float
    inside: bool = False
    seen_at: str = ""

    def to_dict(self) -> dict[str, Any]:
        """As JSON has it."""
        return asdict(self)

    def __str__(self) -> str:
        other = f"{self.target or 'the model'} ({self.target_class})" if self.target_class else "nothing like it"
        own = f"{self.reference or 'the model'} ({self.reference_class})"
        between = "; its parts agree, so it is what it does between them" if self.inside else ""
        first = f"; seen first at {self.seen_at}" if self.seen_at else ""
        off = f"outputs differ by {self.difference:.2g} of the largest"
        return f"{other} against the reference's {own}: {off}{between}{first}"


@dataclass(frozen=True, kw_only=True)
class Walked:
    """One call of a module of the reference: whether what it is given and what it gives are among the target's tensors.

    difference: of what it gives from the nearest of the target's tensors of that size, both sorted; "given" is True
    where a module takes no numbers.
    """

    reference: str
    reference_class: str
    given: bool
    gives: bool
    difference: float

    def to_dict(self) -> dict[str, Any]:
        """As JSON has it."""
        return asdict(self)


class Pool:
    """All tensors of a trace, to be asked for by value."""

    def __init__(self, trace: Trace, enough: float) -> None:
        self.enough = enough
        self.by_size: dict[int, list[Tensor]] = defaultdict(list)
        for tensor in [*trace.pool, *(out for call in trace.calls for out in call.out)]:
            if tensor.is_floating_point():
                self.by_size[tensor.numel()].append(tensor.flatten().double().sort().values)

    def has(self, tensor: Tensor) -> bool:
        """Whether there is one with the same numbers."""
        return self.nearest(tensor) <= self.enough

    def nearest(self, tensor: Tensor) -> float:
        """How far the nearest of that size is; the first that is near enough will do."""
        numbers = tensor.flatten().double().sort().values
        off = float("inf")
        for each in self.by_size[tensor.numel()]:
            off = min(off, gap(each, numbers))
            if off <= self.enough:
                break
        return off

    def knows(self, tensor: Tensor) -> bool:
        """Whether there is one of that size at all."""
        return bool(self.by_size[tensor.numel()])


def walk(reference: Trace, target: Trace, enough: float) -> tuple[Parting, tuple[Walked, ...]]:
    """The place where they part, the whole model where every module of the reference is found; every call asked."""
    pool = Pool(target, enough)
    calls = [call for call in reference.calls if call.out and pool.knows(call.out[0])]
    off = {id(call): pool.nearest(call.out[0]) for call in calls}
    given = {id(call): all(pool.has(each) for each in call.given[:1]) for call in calls}
    walked = tuple(
        Walked(
            reference=call.path,
            reference_class=call.module,
            given=given[id(call)],
            gives=off[id(call)] <= enough,
            difference=off[id(call)],
        )
        for call in calls
    )
    found = {id(call): off[id(call)] <= enough for call in calls}
    return _parting(calls, found, given, (reference, target), enough), walked


def _parting(
    calls: list[Call], found: dict[int, bool], given: dict[int, bool], traces: tuple[Trace, Trace], enough: float
) -> Parting:
    reference, target = traces
    apart = [call for call in calls if not found[id(call)]]
    entered = [call for call in apart if given[id(call)]]
    if not apart:
        assert reference.logits is not None and target.logits is not None
        names = [type(trace.module).__name__ for trace in (reference, target)]
        return Parting(
            reference="",
            reference_class=names[0],
            target="",
            target_class=names[1],
            difference=gap(target.logits, reference.logits),
            inside=True,
        )
    call = (entered or apart)[0]
    below = [found[id(each)] for each in calls if each.path.startswith(f"{call.path}.".lstrip("."))]
    other, off = _counterpart(call, target, enough)
    return Parting(
        reference=call.path,
        reference_class=call.module,
        target=other.path if other is not None else "",
        target_class=other.module if other is not None else "",
        difference=off,
        inside=bool(below) and all(below),
        seen_at="" if call is apart[0] else apart[0].path,
    )


def _counterpart(call: Call, target: Trace, enough: float) -> tuple[Call | None, float]:
    """The target's module that is given the same and gives something of that size; else the nearest of that size."""
    wanted = call.out[0]
    sized = [each for each in target.calls if each.out and each.out[0].numel() == wanted.numel()]
    same = [each for each in sized if _given_alike(call, each, enough)]
    scored = [(_apart(each.out[0], wanted), i) for i, each in enumerate(same or sized)]
    off, place = min(scored, default=(float("inf"), -1))
    return ((same or sized)[place] if place >= 0 else None), off


def _given_alike(a: Call, b: Call, enough: float) -> bool:
    if not a.given or not b.given:
        return not a.given and not b.given
    return a.given[0].numel() == b.given[0].numel() and _sorted_gap(a.given[0], b.given[0]) <= enough


def _apart(found: Tensor, wanted: Tensor) -> float:
    return gap(found, wanted) if found.shape == wanted.shape else _sorted_gap(found, wanted)


def _sorted_gap(found: Tensor, wanted: Tensor) -> float:
    return gap(found.flatten().double().sort().values, wanted.flatten().double().sort().values)
