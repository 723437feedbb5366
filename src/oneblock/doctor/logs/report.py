"""`LogReport`: observed, consistent with, ruled out, not logged; the timeline, and the four questions."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from oneblock.doctor.logs.causes import IN_WORDS, judged
from oneblock.doctor.logs.evidence import Evidence
from oneblock.doctor.logs.log import Log
from oneblock.doctor.logs.questions import answers

WANTED = {
    "learning_rate": "learning rate",
    "grad_norm": "gradient norm",
    "max_logit": "largest attention logit",
    "stream": "norm of the residual stream",
    "updates": "update over weight",
    "loss_scale": "loss scale",
    "val_loss": "held-out loss",
    "seconds": "a clock (restarts cannot be seen but by steps that go back)",
    "router_entropy": "router's entropy and load (where there are experts)",
}
"""What a log should have, quantity -> words."""
NEVER = ("positions in a decoding cache", "what the batches held", "the optimiser's moments")
MOST_EVENTS = 12


@dataclass(frozen=True, kw_only=True)
class LogReport:
    """What a log shows. `observed` is in the order of time; `consistent_with` has the most likely cause first.

    log: what was read, for pictures.
    """

    name: str
    points: int
    first: float
    last: float
    onset_step: float | None
    observed: tuple[str, ...]
    consistent_with: tuple[str, ...]
    ruled_out: tuple[str, ...]
    not_logged: tuple[str, ...]
    causes: tuple[str, ...] = ()
    questions: dict[str, str] = field(default_factory=dict)
    timeline: tuple[dict[str, Any], ...] = ()
    notes: tuple[str, ...] = ()
    replay: dict[str, Any] | None = None
    log: Log | None = field(default=None, repr=False)

    @property
    def healthy(self) -> bool:
        """Whether nothing begins that should not."""
        return self.onset_step is None

    def to_dict(self) -> dict[str, Any]:
        """As JSON has it."""
        return {
            "healthy": self.healthy,
            "log": self.name,
            "onset_step": self.onset_step,
            "observed": list(self.observed),
            "consistent_with": list(self.consistent_with),
            "ruled_out": list(self.ruled_out),
            "not_logged": list(self.not_logged),
            "causes": list(self.causes),
            "questions": self.questions,
            "timeline": list(self.timeline),
            "notes": list(self.notes),
            "replay": self.replay,
        }

    def __str__(self) -> str:
        said = "nothing begins that should not" if self.healthy else f"trouble begins at step {self.onset_step:g}"
        lines = [f"{self.name}: {self.points:,} losses, steps {self.first:g} to {self.last:g}: {said}"]
        lines += self._timeline()
        columns = {
            "observed": self.observed,
            "consistent with (most likely first)": self.consistent_with,
            "ruled out": self.ruled_out,
            "not logged": self.not_logged,
            "about the log": self.notes,
        }
        for title, entries in columns.items():
            if entries:
                lines += ["", title, *(f"  - {entry}" for entry in entries)]
        lines += ["", "four questions", *(f"  {question}? {answer}" for question, answer in self.questions.items())]
        if self.replay is not None:
            lines += ["", "replay", *(f"  {line}" for line in self.replay["words"])]
        return "\n".join(lines)

    def _timeline(self) -> list[str]:
        """A line of 60 places for each quantity, its onsets marked."""
        if not self.timeline:
            return []
        span = max(self.last - self.first, 1e-9)
        rows: dict[str, list[str]] = {}
        for each in self.timeline:
            row = rows.setdefault(each["quantity"], ["·"] * 60)
            row[min(59, max(0, int(60 * (each["step"] - self.first) / span)))] = "▲"
        return ["", *(f"  {name:16} {''.join(row)}" for name, row in rows.items())]


def report_of(e: Evidence) -> LogReport:
    """The report of what was found."""
    loss = e.log.series["loss"]
    left, out = judged(e)
    shown = _shown(e)
    named = [f"{IN_WORDS.get(name, name)}: {answer.why}" for name, answer in left]
    missing = [words for quantity, words in WANTED.items() if quantity not in e.log.series]
    return LogReport(
        name=e.log.name,
        points=len(loss),
        first=float(loss.steps[0]),
        last=float(loss.steps[-1]),
        onset_step=_whole(e.main.step) if e.main is not None else None,
        observed=tuple(shown),
        consistent_with=tuple(named),
        ruled_out=tuple(f"{IN_WORDS.get(name, name)}: {why}" for name, why in out),
        not_logged=(*missing, *NEVER),
        causes=tuple(name for name, _ in left),
        questions=answers(e),
        timeline=tuple(
            {"step": _whole(each.step), "quantity": each.quantity, "kind": each.kind, "words": each.words}
            for each in e.onsets
        ),
        notes=tuple(e.log.notes),
        log=e.log,
    )


def _shown(e: Evidence) -> list[str]:
    """Onsets as the log shows them, around the main one where there are many; what stays the same beside them."""
    events = e.onsets
    if len(events) > MOST_EVENTS:
        near = sorted(events, key=lambda each: abs(each.step - e.step))[:MOST_EVENTS]
        events = [each for each in events if each in near]
    shown = [(each.step, each.words) for each in events]
    if len(e.onsets) > len(events):
        shown.append((float("inf"), f"{len(e.onsets) - len(events)} more onsets, see the timeline"))
    for step in e.log.restarts:
        shown.append((step, f"the log is begun again at step {step:g}"))
    for step in e.log.gaps:
        shown.append((step, f"the clock stands still, or is set back, before step {step:g}"))
    for step, reason in list(e.log.skips.items())[:5]:
        shown.append((step, f"step {step:g} was refused: {reason}"))
    if e.main is not None:
        shown += _unchanged(e)
    return [words for _, words in sorted(shown, key=lambda pair: pair[0])]


def _unchanged(e: Evidence) -> list[tuple[float, str]]:
    """The learning rate and the gradient norm around the onset, in plain numbers."""
    found = []
    rates = e.log.get("learning_rate")
    if rates is not None:
        around = rates.between(e.step - 20 * e.apart, e.step + 20 * e.apart)
        if len(around) > 3:
            found.append((e.step, f"{rates.name} is {around.min():.4g} to {around.max():.4g} within 20 points of it"))
    norms = e.log.get("grad_norm")
    if norms is not None and e.main is not None and e.main.quantity == "loss":
        before, now = norms.between(e.step - 32 * e.apart, e.step - 0.5 * e.apart), norms.at(e.step)
        if len(before) > 3 and now is not None:
            words = f"{norms.name} is {now:.4g} at step {e.step:g}, {np.median(before):.4g} in the median of the "
            found.append((e.step, words + f"{len(before)} points before"))
    return found


def _whole(step: float) -> float | int:
    return int(step) if float(step).is_integer() else step
