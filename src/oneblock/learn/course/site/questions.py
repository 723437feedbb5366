"""A lesson's questions as templates want them: their texts as HTML, and what a browser needs to grade them."""

from __future__ import annotations

import json
from dataclasses import dataclass

from markupsafe import Markup

from oneblock.learn.course.lesson import Question
from oneblock.learn.course.site.address import address, seen_from
from oneblock.learn.course.site.markdown import Writer

PARTS = (
    ("exercise", "exercises", "Exercises", "On paper, from easy to hard. Write before you look."),
    ("retrieval", "memory", "From memory", "Close the page above. Say the answer, then open it."),
    (
        "completion",
        "ready",
        "Are you done?",
        "Theory, practice and design. If one is missing, the lesson says where to look.",
    ),
    (
        "interview",
        "interview",
        "In an interview",
        "Answer aloud in two minutes; then hold it against the model answer.",
    ),
)
"""Kind -> anchor, title, and words of its part of a lesson's page, in their order."""
TAGS = {
    "easy": "Easy",
    "medium": "Medium",
    "hard": "Hard",
    "drawing": "Drawing",
    "theory": "Theory",
    "practice": "Practice",
    "design": "Design",
}


@dataclass(frozen=True, kw_only=True)
class Asked:
    """A question on a page."""

    anchor: str
    kind: str
    tag: str
    prompt: Markup
    answer: Markup
    choices: tuple[Markup, ...]
    right: int | None
    numbers: str
    count: int
    tolerance: float
    exercise: str
    drawing: str
    drawing_at: str

    @property
    def graded(self) -> bool:
        """Whether the browser can grade it."""
        return bool(self.choices or self.numbers)


def asked(question: Question, page: str, own: str, anchor: str = "") -> Asked:
    """A filled question on a page. own: the lesson's page, which a link `#slug` means."""
    writer = Writer(page, own)
    numbers = question.number
    if isinstance(numbers, float | int):
        numbers = (float(numbers),)
    return Asked(
        anchor=anchor or f"q-{question.id}",
        kind=question.kind,
        tag=TAGS.get(
            question.level or question.part, "Predict before you read on" if question.kind == "predict" else ""
        ),
        prompt=Markup(writer.html(question.prompt)),
        answer=Markup(writer.html(question.answer)),
        choices=tuple(Markup(writer.words(choice)) for choice in question.choices),
        right=question.right,
        numbers=json.dumps(list(numbers)) if isinstance(numbers, tuple) else "",
        count=len(numbers) if isinstance(numbers, tuple) else 0,
        tolerance=question.tolerance,
        exercise=question.exercise,
        drawing=question.drawing,
        drawing_at=seen_from(page, address(f"drawing:{question.drawing}")) if question.drawing else "",
    )
