"""What there is to learn: one file for each objective, and the table of them."""

from __future__ import annotations

from oneblock.config.objective import NextToken, Objective
from oneblock.train.tasks.next_token import NextTokenTask
from oneblock.train.tasks.task import Task

TASKS: dict[type[Objective], type[Task]] = {NextToken: NextTokenTask}
"""Objective -> how it is learned."""

__all__ = ["TASKS", "Task"]
