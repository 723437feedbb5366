"""What there is to learn: one file for each objective, and the table of them."""

from __future__ import annotations

from oneblock.config.objective import Denoise, Masked, NextToken, Objective, Pairs
from oneblock.train.tasks.denoise import DenoiseTask
from oneblock.train.tasks.masked import MaskedTask
from oneblock.train.tasks.next_token import NextTokenTask
from oneblock.train.tasks.pairs import PairsTask
from oneblock.train.tasks.task import Task

TASKS: dict[type[Objective], type[Task]] = {
    NextToken: NextTokenTask,
    Masked: MaskedTask,
    Pairs: PairsTask,
    Denoise: DenoiseTask,
}
"""Objective -> how it is learned."""

__all__ = ["TASKS", "Task"]
