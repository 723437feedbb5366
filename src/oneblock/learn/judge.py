"""The judge: asks every check of an exercise through a desk, wherever that stands, and says what follows."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

import torch

from oneblock.learn.alike import distance
from oneblock.learn.asker import Asked, Asker, Failed, Raised, describe
from oneblock.learn.child.wire import Handle, Seeded
from oneblock.learn.exercise import Check, Exercise, Finding
from oneblock.learn.process import Ended

Desk = Callable[[dict[str, Any]], dict[str, Any]]

WORLD = {
    "seeded": "it sets a seed for everyone, so that the randomness of others changes; use a generator of your own",
    "dtype": "it changes torch's default dtype, for everyone: give dtype= where you make a tensor",
    "no_grad": "it turns gradients off for everyone and not on again: `with torch.no_grad():` does both",
    "patched": "it replaces functions of others",
    "profiler": "it uses torch's profiler, by which your calls are watched here: leave it out",
}


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """What came of one check. status: PASS, FAIL, or SKIP where something that it needs has not passed."""

    id: str
    status: str
    message: str = ""
    hints: tuple[str, ...] = ()
    finding: Finding | None = None


@dataclass(kw_only=True)
class Outcome:
    """All verdicts in the order in which they are shown, and every question that was asked for them."""

    verdicts: list[Verdict] = field(default_factory=list)
    calls: list[Asked] = field(default_factory=list)

    @property
    def passed(self) -> bool:
        """Everything was asked, and nothing failed."""
        return all(verdict.status == "PASS" for verdict in self.verdicts)

    @property
    def root(self) -> Verdict | None:
        """The failure that is shown: the first whose needs are met."""
        return next((verdict for verdict in self.verdicts if verdict.status == "FAIL"), None)


def judge(
    exercise: Exercise,
    desk: Desk,
    *,
    seed: int,
    dtype: torch.dtype = torch.float64,
    shortcuts: Iterable[dict[str, Any]] = (),
    opened: dict[str, Any] | None = None,
) -> Outcome:
    """Every check of an exercise. shortcuts: those in the source; opened: the answer to opening the file, if any."""
    outcome = Outcome()
    opened = opened or desk({"do": "names"})
    loads = _loads(exercise, opened)
    asked: list[Verdict] = []
    if loads is None:
        for at, check in enumerate(exercise.checks):
            asked.append(_ask(check, asked, desk, seed * 1009 + at, dtype, outcome.calls))
    else:
        asked = [Verdict(id=check.id, status="SKIP", message="waits for loads") for check in exercise.checks]
    right = all(verdict.status == "PASS" for verdict in asked)
    kept, more = _again(desk, outcome.calls) if right else (None, [])
    answers = [opened, *(call.answer for call in outcome.calls), *more]
    outcome.verdicts = [
        _verdict("loads", loads),
        _verdict("own_work", _own_work([*shortcuts, *(s for a in answers for s in a["after"].get("shortcuts", ()))])),
        _verdict("world", _world(answers)),
        # Before the others: numbers and gradients that are wrong may come of it.
        _verdict("inputs", _inputs(outcome.calls)),
        *asked,
        _verdict("again", kept) if right else Verdict(id="again", status="SKIP"),
    ]
    return outcome


def _ask(check: Check, before: list[Verdict], desk: Desk, seed: int, dtype: torch.dtype, calls: list[Asked]) -> Verdict:
    passed = {verdict.id for verdict in before if verdict.status == "PASS"}
    waits = [need for need in check.needs if need not in passed]
    if waits:
        return Verdict(id=check.id, status="SKIP", message=f"waits for {', '.join(waits)}")
    if any(verdict.finding is not None and verdict.finding.ended for verdict in before):
        return Verdict(id=check.id, status="SKIP", message="your process had ended")
    asker = Asker(desk, check=check.id, seed=seed, dtype=dtype, calls=calls)
    found: Finding | str | None
    try:
        found = check.run(asker)
    except Raised as error:
        found = Finding(message=str(error), line=error.line, asked=error.asked)
    except Failed as failure:
        found = failure.finding
    except Ended as end:
        found = Finding(message=str(end), line=end.line, ended=True)
    except Exception as error:
        found = _unfit(calls, error)
    finding = Finding(message=found) if isinstance(found, str) else found
    return _verdict(check.id, finding, check.hints)


def _unfit(calls: list[Asked], error: Exception) -> Finding:
    """Where a check stumbles over what it was given: right answers are proved not to do that."""
    if not calls or "value" not in calls[-1].answer:
        raise error
    target = calls[-1].order.get("target")
    name = target if isinstance(target, str) else f"your {target.kind}" if isinstance(target, Handle) else "your code"
    given = describe(calls[-1].answer["value"])
    message = f"{name} gives {given}, with which nothing can be done here ({type(error).__name__}: {error})"
    return Finding(message=message, asked=len(calls) - 1)


def _verdict(name: str, finding: Finding | None, hints: tuple[str, ...] = ()) -> Verdict:
    if finding is None:
        return Verdict(id=name, status="PASS")
    return Verdict(id=name, status="FAIL", message=finding.message, hints=hints, finding=finding)


def _loads(exercise: Exercise, opened: dict[str, Any]) -> Finding | None:
    if "error" in opened:
        error = Raised(opened["error"], "your file", 0)
        return Finding(message=str(error), line=error.line)
    missing = [name for name in exercise.names if name not in opened["value"]]
    if not missing:
        return None
    there = ", ".join(opened["value"]) or "nothing"
    return Finding(message=f"your file has no {', '.join(missing)}; it has {there}")


def _own_work(shortcuts: list[dict[str, Any]]) -> Finding | None:
    if not shortcuts:
        return None
    first = min(shortcuts, key=lambda entry: ("file" in entry, entry["line"] or 10**9))
    file = first.get("file", "")
    at = f"line {first['line']}: " if first["line"] else ""
    message = f"{file and f'{file}, '}{at}{first['name']} does what this exercise asks you to build; write it out"
    return Finding(message=message, line=0 if file else first["line"])


def _world(answers: list[dict[str, Any]]) -> Finding | None:
    for answer in answers:
        for name, says in WORLD.items():
            value = answer["after"].get(name)
            if value:
                return Finding(message=f"{says}: {', '.join(value)}" if isinstance(value, list) else says)
    return None


def _inputs(calls: list[Asked]) -> Finding | None:
    for at, call in enumerate(calls):
        paths = call.answer["after"].get("changed")
        if paths:
            name = call.order["target"] if isinstance(call.order["target"], str) else "your module"
            places = ", ".join(dict.fromkeys(map(_place, paths)))
            message = f"{name} changes its {places} in place: the caller still needs it; work on a copy"
            return Finding(message=message, asked=at)
    return None


def _place(path: str) -> str:
    where, rest = path.split(".")[:2]
    return f"argument {rest}" if where == "1" else f"argument number {int(rest) + 1}"


def _again(desk: Desk, calls: list[Asked]) -> tuple[Finding | None, list[dict[str, Any]]]:
    """One call of each check once more, with others in between: the same question has the same answer.

    The answers too: torch's operators are watched here, beneath all that a learner's code could switch off.
    """
    answers: list[dict[str, Any]] = []
    last: dict[str, Asked] = {}
    for call in calls:
        # What was loaded or set since then makes it another question.
        last[call.check] = call
    for call in last.values():
        given = _flat((call.order.get("args"), call.order.get("kwargs")))
        handles = any(isinstance(entry, Handle) or (isinstance(entry, Seeded) and entry.kept) for entry in given)
        if call.order["do"] != "call" or "value" not in call.answer or handles:
            continue
        try:
            # With another state of the global generator: who draws from it answers differently.
            answer = desk(call.order | {"seed": call.order["seed"] + 1, "below": True})
        except Ended as end:
            return Finding(message=f"asked a second time: {end}", line=end.line), answers
        answers.append(answer)
        if distance(call.order, call.answer, answer) > 1e-9:
            name = call.order["target"] if isinstance(call.order["target"], str) else "your module"
            says = f"{name} answers the same question differently the second time: something is kept"
            return Finding(message=says), answers
    return None, answers


def _flat(value: Any) -> list[Any]:
    if isinstance(value, list | tuple):
        return [leaf for entry in value for leaf in _flat(entry)]
    return [leaf for entry in value.values() for leaf in _flat(entry)] if isinstance(value, dict) else [value]
