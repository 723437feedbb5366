"""A revision on a terminal: the rule, the questions one by one, the verdict. It may be left and gone on with."""

from __future__ import annotations

from oneblock.learn.course.question import Question
from oneblock.learn.recall import pages, revision
from oneblock.learn.recall.asking import Asking, Left, Reply
from oneblock.learn.recall.desk import Desk
from oneblock.learn.recall.face import of_question, shuffled
from oneblock.learn.recall.schedule import Rating
from oneblock.learn.terminal import Keys


class Exam:
    """Asks what a tier's revision still has to ask. `asked`: how many were answered in this sitting."""

    def __init__(self, desk: Desk, terminal: Keys, tier: str) -> None:
        self.desk, self.tier = desk, tier
        self.todo = revision.to_ask(desk, tier)
        self.total, self.asked, self.right = len(self.todo), 0, 0
        self.asking = Asking(terminal, self._head)

    def run(self) -> None:
        """Until all is asked, or the learner leaves."""
        try:
            rule = "\n".join(revision.rule(self.desk.course, self.tier))
            stands = "\n".join(revision.standing(self.desk, self.tier).lines())
            word = (
                f"Enter begins: {self.total} question{'s' * (self.total != 1)}" if self.todo else "Enter: the verdict"
            )
            self.asking.choose(lambda width: self._rule(rule, stands, width), [word, "q leaves"], "\n\r")
            for question in self.todo:
                self._one(question)
        except (Left, KeyboardInterrupt, EOFError):
            return

    def _one(self, question: Question) -> None:
        self.asking.show("one moment …")
        title = f"{self.desk.course.lessons[question.lesson].title}: {question.part}"
        front = of_question(self.desk.course.question(question.lesson, question.id), title)
        times = sum(event.of == revision.name(question) for event in self.desk.journal.of("asked"))
        front = shuffled(front, f"{self.desk.seed}/{revision.name(question)}/{times}")
        self.asking.ask(front, after=None, keep=lambda reply: self._keep(question, reply), undo=False)

    def _keep(self, question: Question, reply: Reply) -> None:
        right = reply.rating is not Rating.Again
        more = {"judged": False} if reply.said is None else {"judged": True, "given": reply.said.given}
        self.desk.journal.add(
            "asked", revision.name(question), right=right, seconds=round(min(reply.seconds, 1e6), 1), **more
        )
        self.asked += 1
        self.right += right

    def _head(self) -> str:
        return f"{self.tier}   {min(self.asked + 1, self.total)} of {self.total}   {self.right} right"

    @staticmethod
    def _rule(rule: str, stands: str, width: int) -> list[pages.Line]:
        lines = [line for row in rule.splitlines() for line in pages.said(row, width)]
        return [*lines, ("", ""), *(line for row in stands.splitlines() for line in pages.said(row, width))]
