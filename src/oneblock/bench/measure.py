"""The measurement: every arm in a process of its own, one at a time, round after round. Loads no torch."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import Any

from oneblock.bench.job import OURS, TRAIN, Arm, BenchError, Job
from oneblock.bench.process import DeadWorkerError, OrderError, Process
from oneblock.bench.rivals import check_expressible, our_arms, resolve, rival_arms
from oneblock.inspect.statistics import flops_per_token

FLOPS_TOLERANCE = 0.02
"""How much the FLOPs per token of two models may differ before their speeds are no longer compared."""

LIMITS_SECONDS = 0.4

Tell = Callable[[str], object]


@dataclass
class Entry:
    """An arm in the race: what its worker told, its tokens/s in every round; `why` it is out, if it is.

    later: tokens/s without each text's first, where that was seen, in every round
    limits: what the machine could do at that time: the peak of the round (FLOP/s), or the best of the readings from
        memory just before and just after its turn (bytes/s)
    """

    arm: Arm
    facts: dict[str, Any] = field(default_factory=dict)
    rates: list[float] = field(default_factory=list)
    later: list[float] = field(default_factory=list)
    limits: list[float] = field(default_factory=list)
    why: str | None = None
    wrong: bool = False
    process: Process | None = None

    def out(self, why: str, wrong: bool) -> None:
        """Take it out of the race; `wrong`: something is broken, not merely absent."""
        self.why, self.wrong = why, wrong
        for told in (self.rates, self.later, self.limits):
            told.clear()
        if self.process is not None:
            self.process.close()
            self.process = None


@dataclass
class Measured:
    """Everything that was measured. `peaks` in FLOP/s, one a round; `bandwidths` in bytes/s, every reading."""

    job: Job
    where: dict[str, Any]
    entries: list[Entry]
    peaks: list[float]
    bandwidths: list[float]

    def of(self, rival: str) -> list[Entry]:
        """The entries of one rival, or ours."""
        return [entry for entry in self.entries if entry.arm.rival == rival]


def measure(
    job: Job,
    against: Sequence[str],
    *,
    rounds: int,
    seconds: float,
    allocator: bool = False,
    tell: Tell = lambda words: None,
) -> Measured:
    """Race our arms against each rival's: in every round each arm has one turn of about `seconds`.

    BenchError for a rival that is not there, cannot express the model, or whose FLOPs per token differ by
    more than 2 %.
    """
    _ = job.model
    rivals = {}
    for name in against:
        rival, path = resolve(name)
        if rival in rivals:
            raise BenchError(f"--against {name}: {rival} is among the rivals already; give each once")
        check_expressible(rival, job.model)
        _ = job.of(rival).model
        rivals[rival] = path
    with ExitStack() as stack:
        gauge = stack.enter_context(Process(job.threads, cores=job.threads))
        where = _asked(gauge, "machine", job=job.to_dict())
        arms = our_arms(job.kind, allocator=allocator)
        for rival in rivals:
            arms += rival_arms(rival, job.kind, where["device"])
        entries = [Entry(arm) for arm in arms]
        for entry in entries:
            stack.callback(_close, entry)
            _prepare(entry, job, rivals.get(entry.arm.rival), where, tell)
        measured = Measured(job, where, entries, [], [])
        for number in range(1, rounds + 1):
            _round(measured, gauge, seconds)
            tell(_words(number, rounds, entries))
        return measured


def _asked(process: Process, do: str, **order: Any) -> dict[str, Any]:
    """An answer without which nothing can be measured."""
    try:
        return process.ask(do, **order)
    except (OrderError, DeadWorkerError) as failure:
        raise BenchError(f"the machine cannot be measured: {failure}") from None


def _prepare(entry: Entry, job: Job, path: str | None, where: dict[str, Any], tell: Tell) -> None:
    arm = entry.arm
    label = f"{arm.rival}, {arm.name}"
    if arm.compile and not where["compiler"]:
        entry.out("no C++ compiler is found, so nothing can be compiled", wrong=False)
        tell(f"{label}: left out: {entry.why}")
        return
    tell(f"{label}: preparing …")
    entry.process = Process(job.threads)
    given = job.of(arm.rival).to_dict() | {"path": path}
    try:
        entry.facts = entry.process.ask("prepare", job=given, arm=arm.to_dict())
    except DeadWorkerError as death:
        entry.out(str(death), wrong=True)
    except OrderError as failure:
        if failure.refused and arm.rival != OURS:
            raise BenchError(str(failure)) from None
        # A rival's further arms are tries, and left out where they fail. Ours must work, and it as it comes.
        entry.out(str(failure), wrong=arm.rival == OURS or arm.default)
    if entry.why:
        tell(f"{label}: left out: {entry.why}")
        return
    _check_flops(arm.rival, entry.facts["flops_per_token"], flops_per_token(job.config))


def _check_flops(rival: str, theirs: float, ours: float) -> None:
    if abs(theirs / ours - 1) > FLOPS_TOLERANCE:
        raise BenchError(
            f"{rival}'s model takes {theirs / 1e6:.2f} MFLOP a token and ours {ours / 1e6:.2f} "
            f"({theirs / ours - 1:+.1%}): beyond {FLOPS_TOLERANCE:.0%} their speeds say nothing about each "
            "other; choose another --preset, or change its shape with --set"
        )


def _round(measured: Measured, gauge: Process, seconds: float) -> None:
    limits = _asked(gauge, "limits", seconds=LIMITS_SECONDS)
    measured.peaks.append(limits["peak"])
    measured.bandwidths.append(limits["bandwidth"])
    for entry in measured.entries:
        if entry.process is None:
            continue
        try:
            turn = entry.process.ask("turn", seconds=seconds)
        except (OrderError, DeadWorkerError) as failure:
            entry.out(str(failure), wrong=True)
            continue
        entry.rates.append(turn["tokens_per_second"])
        if turn["later_per_second"] is not None:
            entry.later.append(turn["later_per_second"])
        entry.limits.append(_limit(measured, entry, gauge))


def _limit(measured: Measured, entry: Entry, gauge: Process) -> float:
    """What the machine can do now. Memory that others read too is read again beside each turn of ours."""
    if measured.job.kind == TRAIN:
        return measured.peaks[-1]
    before = measured.bandwidths[-1]
    if entry.arm.rival != OURS:
        return before
    measured.bandwidths.append(_asked(gauge, "bandwidth", seconds=LIMITS_SECONDS)["bandwidth"])
    return max(before, measured.bandwidths[-1])


def _words(number: int, rounds: int, entries: Sequence[Entry]) -> str:
    rates = (f"{entry.arm.rival} {entry.arm.name} {entry.rates[-1]:,.0f}" for entry in entries if entry.rates)
    return f"round {number} of {rounds}, tokens/s: {'; '.join(rates)}"


def _close(entry: Entry) -> None:
    if entry.process is not None:
        entry.process.close()
