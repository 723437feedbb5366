"""`Finding`: what one check says; `Report`: all of them."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

STATUSES = ("FAIL", "WARN", "INFO", "PASS", "SKIP")
"""Worst first. FAIL: a fault with evidence. WARN: unusual, may be meant. INFO: a convention. SKIP: could not ask."""


@dataclass(frozen=True, kw_only=True)
class Finding:
    """The answer of one check.

    value, threshold: what was measured, and what it was held against; source: where the threshold comes from.
    where: module or path; repair: what to do about a fault; reproduce: Python that asks this one thing again.
    """

    id: str
    status: str
    message: str
    value: float | str | None = None
    threshold: float | None = None
    source: str = ""
    seed: int | None = None
    where: str = ""
    repair: str = ""
    reproduce: str = ""


@dataclass(frozen=True, kw_only=True)
class Report:
    """What an examination found; `healthy` is that nothing failed."""

    target: str
    called: str
    kind: str
    checks: tuple[Finding, ...]

    @property
    def healthy(self) -> bool:
        """No FAIL, and at least one check that could be asked."""
        asked = [each for each in self.checks if each.status != "SKIP"]
        return bool(asked) and all(each.status != "FAIL" for each in asked)

    @property
    def failed(self) -> tuple[Finding, ...]:
        """The faults."""
        return tuple(each for each in self.checks if each.status == "FAIL")

    @property
    def leaks(self) -> bool:
        """Whether a token sees what comes after it."""
        return any(each.id in ("C1", "C2") for each in self.failed)

    def to_dict(self) -> dict[str, Any]:
        """As JSON has it."""
        return {
            "healthy": self.healthy,
            "leaks": self.leaks,
            "target": self.target,
            "called": self.called,
            "kind": self.kind,
            "checks": [asdict(each) for each in self.checks],
        }

    def __str__(self) -> str:
        head = f"{self.target}: {'healthy' if self.healthy else f'{len(self.failed)} faults'} ({self.kind})"
        lines = [head, f"called as {self.called}"]
        for each in sorted(self.checks, key=lambda each: STATUSES.index(each.status)):
            lines.append(f"{each.status:4}  {each.id:3} {each.message}")
            if each.status in ("FAIL", "WARN"):
                more = {"where": each.where, "repair": each.repair, "threshold from": each.source}
                lines += [f"          {name}: {text}" for name, text in more.items() if text]
        return "\n".join(lines)
