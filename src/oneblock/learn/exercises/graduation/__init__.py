"""Graduation: a learner's own block carries a real model. It is no exercise of the order, and has no variants."""

from oneblock.learn.exercise import Exercise
from oneblock.learn.exercises.graduation.checks import CHECKS
from oneblock.learn.process import Limits

EXERCISE = Exercise(
    name="graduation",
    title="your own block with real weights",
    names=("LlamaBlock",),
    checks=CHECKS,
    make=lambda **switches: {},
    wrong=(),
    right=(),
    worked=(),
    limits=Limits(seconds=20.0, total=300.0, memory=4 * 2**30),
)
