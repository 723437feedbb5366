"""A small lesson on disk, whole and right, of which a test changes one thing."""

from __future__ import annotations

from pathlib import Path

HEAD = {
    "title": '"A lesson"', "tier": '"foundation"', "minutes": "20", "goal": '"After it you can add."', "needs": '["norm"]',
    "exercises": '["block"]', "experiments": '["residuals"]', "checks": '["C1"]', "next": '[["vaswani", "for the figure"]]',
}  # fmt: skip
BODY = """## The first part

Two and three are {{ n.total | num(2) }}.

{{ predict("guess") }}

## Limits

More is possible.
"""
REFERENCE = """## Adding

Add them. [why](#the-first-part)
"""
NUMBERS = '''"""Numbers."""

from oneblock.learn.course import figures

total = 2 + 3.25
rows = [[1.0, 2.0], [3.0, 4.5]]


def add(a: float = 2.0, b: float = 3.25) -> list[float]:
    """The sum, and the first."""
    return [a + b, a]


def figure_sums() -> str:
    """Sums, the last is {{ n.total | num(2) }}."""
    return figures.lines("Sums", {"": [1.0, 2.0, 5.25]})
'''
QUESTIONS = """
[[question]]
id = "guess"
kind = "predict"
prompt = "What is {{ n.rows[0][0] | num(1) }} and four?"
answer = "It is $5$."
number = "n.total - 0.25"

[[question]]
id = "choose"
kind = "completion"
part = "theory"
prompt = "Which?"
answer = "The second, {{ n.total | num(2) }}."
choices = ["{{ n.total | num(1) }}", "two"]
right = 1
"""


def write(
    folder: Path,
    *,
    head: dict[str, str | None] | None = None,
    body: str = BODY,
    reference: str = REFERENCE,
    numbers: str = NUMBERS,
    questions: str = QUESTIONS,
) -> Path:
    """The lesson's folder; head: fields that are other than in HEAD, None where one is left out."""
    folder.mkdir(exist_ok=True)
    fields = {**HEAD, **(head or {})}
    front = "\n".join(f"{field} = {value}" for field, value in fields.items() if value is not None)
    (folder / "lesson.md").write_text(f"+++\n{front}\n+++\n{body}", encoding="utf-8")
    (folder / "reference.md").write_text(reference, encoding="utf-8")
    (folder / "numbers.py").write_text(numbers, encoding="utf-8")
    (folder / "questions.toml").write_text(questions, encoding="utf-8")
    return folder
