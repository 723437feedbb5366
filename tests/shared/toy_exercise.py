"""The smallest exercise: a line, wrong in two ways."""

import functools

import torch

from oneblock.learn.exercise import Check, Exercise, Right, Worked, Wrong

HINTS = ("property", "place", "way")


def line(x, *, slope=2.0, offset=1.0, extra=0.0):
    """2 x + 1, with switches."""
    return slope * x + offset + extra


def values(a):
    x = a.randn(3, 5)
    got = a.call("line", x)
    return a.same(got, 2 * x + 1, "line(x)", steps=lambda: {"2 x": 2 * x, "2 x + 1": 2 * x + 1})


def zero(a):
    return a.same(a.call("line", a.randn(3) * 0), torch.ones(3, dtype=a.dtype), "line(0)")


def make_exercise():
    return Exercise(
        name="line",
        title="a line",
        names=("line",),
        checks=(
            Check(id="zero", run=zero, hints=HINTS),
            Check(id="values", run=values, needs=("zero",), hints=HINTS),
        ),
        make=lambda **switches: {"line": functools.partial(line, **switches)},
        wrong=(
            Wrong(name="flat", says="the line with slope 1", dies=("values",), switches={"slope": 1.0}, repair="Turn."),
            Wrong(name="low", says="the line without its offset", dies=("zero",), switches={"offset": 0.0}),
        ),
        right=(Right(name="same", says="the same", switches={"extra": 0.0}),),
        worked=(Worked(says="x = 3.", run=lambda a: a.call("line", a.tensor([3.0])), right=torch.tensor([7.0])),),
    )
