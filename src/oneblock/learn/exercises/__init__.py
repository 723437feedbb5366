"""The exercises, a folder each: `stub.py`, `reference.py`, `twin.py`, `variants.py`, `checks.py`, `EXERCISE`."""

from __future__ import annotations

import ast
import functools
import importlib
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from oneblock.learn.exercise import Exercise

ORDER = (
    "lists", "softmax", "attention", "causal_mask", "multi_head", "norms", "block", "loss", "tiny_gpt", "fit", "sample",
    "cache", "llama", "experts", "cross_attention", "dit", "hunt",
)  # fmt: skip
"""The order in which they build on one another; the place here is an exercise's number, `lists` being exercise 0."""
HERE = Path(__file__).parent
NAMES = tuple(name for name in ORDER if (HERE / name / "__init__.py").is_file())
"""Those that are here."""
GRADUATION = "graduation"
"""What comes after them: graded in the same way, and no part of the order."""


def exercise_named(name: str) -> Exercise:
    """One exercise; loads torch."""
    exercise: Exercise = importlib.import_module(f"oneblock.learn.exercises.{name}").EXERCISE
    return exercise


def text_of(name: str, part: str) -> str:
    """The text of an exercise's `stub`, `reference` or `twin`."""
    return (HERE / name / f"{part}.py").read_text(encoding="utf-8")


@functools.cache
def title_of(name: str) -> str:
    """The `title` in an exercise's own `__init__.py`, read without loading it; its name where that cannot be read."""
    for node in ast.walk(ast.parse(text_of(name, "__init__"))):
        if isinstance(node, ast.keyword) and node.arg == "title" and isinstance(node.value, ast.Constant):
            return str(node.value.value)
    return name
