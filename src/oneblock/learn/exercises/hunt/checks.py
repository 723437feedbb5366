"""What a test must do: pass every right implementation, and fail every wrong one."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from oneblock.learn.asker import Asker, Failed, Raised, describe
from oneblock.learn.exercise import Check, Exercise, Finding, Right, Wrong
from oneblock.learn.exercises import exercise_named

HUNTED = {"attention": "attention", "softmax": "softmax", "causal_mask": "causal_mask"}
"""Exercises of one function: name -> the function's."""
UNSEEN = {"inputs", "again", "world", "gradient", "empty_gradient", "float32"}
"""Checks whose subject does not show in the numbers of one call."""
RARE = {"long", "hidden"}
"""Checks of lengths and scores that a fair test need not think of."""

DOUBTFUL = ("added", "renormalised")
"""Right by exercise 2, yet a fair test may fail them: the one gives a row with nothing to attend to weights that are
neither zero nor equal, the other loses all weights where scores are large under a mask."""


class Stand:
    """An implementation that is lent. odd: it has raised, or given something of another form than the right one."""

    def __init__(self, exercise: Exercise, name: str, switches: dict[str, Any]) -> None:
        self.run, self.right = exercise.make(**switches)[name], exercise.make()[name]
        self.odd, self.calls = False, 0

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        self.calls += 1
        try:
            value = self.run(*args, **kwargs)
        except Exception:
            self.odd = True
            raise
        self.odd |= _form(value) != _form(self.right(*args, **kwargs))
        return value


def _form(value: Any) -> Any:
    if isinstance(value, Tensor):
        finite = bool(torch.isfinite(value).all()) if value.dtype.is_floating_point else True
        return value.shape, value.dtype, finite
    return [_form(entry) for entry in value] if isinstance(value, tuple | list) else type(value)


def hunted(a: Asker) -> Exercise:
    """Which exercise is tested: EXERCISE in the learner's file, attention where that is not there."""
    name = a.ask("get", "EXERCISE", target="EXERCISE", name="")
    if name is None:
        name = "attention"
    if name not in HUNTED:
        raise Failed(a.found(f"EXERCISE is {describe(name)}; it can be one of {', '.join(HUNTED)}"))
    return exercise_named(name)


def prey(exercise: Exercise) -> tuple[list[Wrong], list[Right]]:
    """The wrong variants that show in the numbers of a call, and all right ones."""
    wrong = [each for each in exercise.wrong if not each.dtype and not (UNSEEN | RARE) & set(each.dies)]
    return wrong, [Right(name="reference", says="the plain reference", switches={}), *exercise.right]


def tried(a: Asker, variants: list[Wrong | Right]) -> dict[str, tuple[Stand, Any]]:
    """What the learner's test does with each, in a random order: None or what it raises."""
    exercise, found = hunted(a), {}
    for at in torch.randperm(len(variants), generator=a.generator).tolist():
        stand = Stand(exercise, HUNTED[exercise.name], variants[at].switches)
        raised: Any = None
        try:
            a.call("test", a.lend(stand))
        except Raised as error:
            raised = error
        found[variants[at].name] = (stand, raised)
    return found


def spares(a: Asker) -> Finding | None:
    wrong, right = prey(hunted(a))
    # Some wrong ones between them, so that nothing is told by the order.
    found = tried(a, [*right, *wrong[::4]])
    for each in right:
        stand, raised = found[each.name]
        if raised is not None and each.name not in DOUBTFUL:
            said = f" ({raised.error['message']})" if raised.error["message"] else ""
            at = f", line {raised.line}" if raised.line else ""
            message = f"your test fails something right: {each.says}. It raised {raised.error['type']}{said}{at}"
            return a.found(message, line=raised.line)
        if not stand.calls:
            return a.found("your test never calls the implementation")
    return None


def kills(a: Asker) -> Finding | None:
    wrong, right = prey(hunted(a))
    found = tried(a, [*wrong, *right[:3]])
    alive = [each for each in wrong if found[each.name][1] is None]
    if alive:
        more = f"; {len(alive)} of {len(wrong)} wrong ones pass it" if len(alive) > 1 else ""
        return a.found(f"your test passes something wrong: {alive[0].says}{more}")
    for each in wrong:
        stand, raised = found[each.name]
        if raised.error["type"] != "AssertionError" and "AssertionError" not in raised.error["kinds"] and not stand.odd:
            return a.found(f"your test raises {raised.error['type']} for {each.says}; AssertionError is asked")
    return None


CHECKS = (
    Check(
        id="spares",
        run=spares,
        hints=(
            "A right implementation passes, however it is written.",
            "Look at the tolerance, at what you ask of a query that may attend to nothing, and at your own reference.",
            "assert largest error < 1e-9; leave out rows where the rules give a choice, but ask that they are finite",
        ),
    ),
    Check(
        id="kills",
        run=kills,
        needs=("spares",),
        hints=(
            "Every wrong implementation fails with an AssertionError.",
            "Look for a rule that you never ask for, sizes that are equal, shapes that are not compared, and NaN.",
            "for each rule: inputs of different sizes; got = implementation(…); assert shape; assert error < 1e-9",
        ),
    ),
)
