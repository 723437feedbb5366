"""Writes src/oneblock/learn/course/links.json: what lessons may link to. `python docs/make_course_links.py`.

The experiments of `oneblock compare` with what came of them in docs/results/compare/, and the checks of the doctor.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from oneblock.compare.experiments import EXPERIMENTS
from oneblock.doctor.checks import CHECKS

ROOT = Path(__file__).resolve().parents[1]
FILE = ROOT / "src" / "oneblock" / "learn" / "course" / "links.json"
RESULTS = ROOT / "docs" / "results" / "compare"
BUDGETS = ("full", "standard", "quick")
"""The largest comes first."""


def recorded(name: str) -> dict[str, str]:
    """The verdict of the largest budget run, and its sentence; nothing where none was run."""
    for budget in BUDGETS:
        path = RESULTS / f"{name}-{budget}.json"
        if path.is_file():
            result = json.loads(path.read_text(encoding="utf-8"))
            return {"budget": budget, "verdict": result["verdict"], "sentence": result["sentence"]}
    return {}


def made() -> str:
    """The file's text."""
    experiments: list[dict[str, Any]] = [
        {"name": found.name, "row": found.row, "claim": found.claim, **recorded(found.name)}
        for found in EXPERIMENTS.values()
    ]
    checks = [{"id": name, "title": check.question} for name, check in CHECKS.items()]
    return json.dumps({"experiments": experiments, "checks": checks}, ensure_ascii=False, indent=1) + "\n"


if __name__ == "__main__":
    FILE.write_text(made(), encoding="utf-8")
    print(FILE.relative_to(ROOT))
