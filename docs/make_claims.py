"""Writes docs/claims.md: every claim, what was run here, and what came of it. `python docs/make_claims.py [FOLDER …]`.

FOLDER is an --out of `oneblock compare`: its results are taken over into docs/results/compare/ first, one file for each
experiment and budget, and stay there. The claims are those of docs/claims.json.
"""

from __future__ import annotations

import json
import math
import shlex
import sys
from pathlib import Path
from typing import Any

from oneblock.compare.experiment import INSIDE, UNTESTABLE
from oneblock.compare.experiments import EXPERIMENTS
from oneblock.runs.jsonform import from_words, to_words

DOCS = Path(__file__).resolve().parent
PAGE, CLAIMS, KEPT = DOCS / "claims.md", DOCS / "claims.json", DOCS / "results" / "compare"
BUDGETS = ("quick", "standard", "full")
NOT_RUN = "not run here"
DROPPED = ("report", "command")
"""What a result says of the machine it was made on."""

INTRODUCTION = """# Claims

```sh
oneblock compare NAME --budget quick          # each experiment of the table; then:
python docs/make_claims.py runs/compare
```

Every claim that the course and its papers make, what was run here to see it, and what came of it: {judged} of
{all} have been judged. A claim that was not run stays in the table. The verdict is that of the one comparison which
says the claim; the experiment as a whole may have others. The difference is what is named first less what is named
second, or less the bound, in the measure's unit, of the largest budget, with its 99 % interval; how it is judged is in
[decision 019](decisions/019-compare.md). The models are small and the trainings short: `not testable at this scale`
means that these seeds could not have seen the size which is claimed, and `inside the noise` that another seed changes
as much.
"""


def take(folder: Path) -> list[Path]:
    """Take over every result of an --out; the files written."""
    written = []
    for path in sorted(folder.glob("*/results.json")):
        result = from_words(json.loads(path.read_text(encoding="utf-8")))
        asked = json.loads(path.with_name("asked.json").read_text(encoding="utf-8"))
        budget = asked["budget"] or "quick"
        if result["experiment"] not in EXPERIMENTS or budget not in BUDGETS:
            continue
        kept = {name: value for name, value in result.items() if name not in DROPPED}
        kept |= {"budget": budget, "settings": asked["settings"], "command": command(result["experiment"], asked)}
        KEPT.mkdir(parents=True, exist_ok=True)
        written.append(KEPT / f"{result['experiment']}-{budget}.json")
        written[-1].write_text(json.dumps(to_words(kept), ensure_ascii=False, indent=1) + "\n", encoding="utf-8")
    return written


def command(name: str, asked: dict[str, Any]) -> str:
    """What a person types to have the same, without the places of the machine it was made on."""
    words = ["oneblock", "compare", name, "--budget", asked["budget"] or "quick"]
    for option, given in (("--seeds", asked["seeds"]), ("--seed", asked["seed"])):
        words += [option, str(given)] if given is not None else []
    return shlex.join([*words, *(word for setting in asked["settings"] or [] for word in ("--set", setting))])


def results() -> dict[str, dict[str, dict[str, Any]]]:
    """Experiment -> budget -> its result, the budgets in order."""
    found: dict[str, dict[str, dict[str, Any]]] = {}
    for budget in BUDGETS:
        for path in sorted(KEPT.glob(f"*-{budget}.json")):
            result = from_words(json.loads(path.read_text(encoding="utf-8")))
            found.setdefault(result["experiment"], {})[budget] = result
    return found


def undecided(found: dict[str, dict[str, dict[str, Any]]]) -> list[str]:
    """Experiments that must decide at the quick budget, and did not."""
    quick = {name: of["quick"]["verdict"] for name, of in found.items() if "quick" in of}
    return [name for name, verdict in quick.items() if EXPERIMENTS[name].decides and verdict in (INSIDE, UNTESTABLE)]


def made() -> str:
    """The page."""
    claims, found = json.loads(CLAIMS.read_text(encoding="utf-8")), results()
    rows = [_row(claim, found.get(claim.get("experiment", ""), {})) for claim in claims]
    judged = sum(NOT_RUN not in row for row in rows)
    lines = [INTRODUCTION.format(judged=judged, all=len(claims))]
    if late := undecided(found):
        lines.append(f"Should decide at the quick budget, and did not: {', '.join(late)}.\n")
    lines += ["| row | claim | verdict | difference | run |", "|---|---|---|---|---|", *rows, ""]
    runs = [(result["command"], result) for of in found.values() for result in of.values()]
    if runs:
        lines += [
            "## What was run",
            "",
            "| command | seeds | verdict of the whole | in a sentence |",
            "|---|---|---|---|",
        ]
        lines += [
            f"| `{words}` | {len(result['seeds'])} | {result['verdict']} | {_cell(result['sentence'])} |"
            for words, result in runs
        ]
    return "\n".join(lines).rstrip() + "\n"


def _row(claim: dict[str, str], of: dict[str, dict[str, Any]]) -> str:
    words = _cell(f"{claim['claim']} *{claim['source']}*")
    if not of:
        named = f"`{claim['experiment']}`: " if "experiment" in claim else ""
        remark = claim.get("remark", "" if "experiment" in claim else "no experiment for it yet")
        return f"| {claim['row']} | {words} | {NOT_RUN} | – | {_cell(named + remark).rstrip(': ') or '–'} |"
    verdicts, difference = [], "–"
    for budget, result in of.items():
        verdict, difference = _judged(claim, result)
        verdicts.append(f"{budget}: {verdict}")
    run = f"`{claim['experiment']}`" + (f"; {claim['remark']}" if "remark" in claim else "")
    return f"| {claim['row']} | {words} | {'; '.join(verdicts)} | {difference} | {_cell(run)} |"


def _judged(claim: dict[str, str], result: dict[str, Any]) -> tuple[str, str]:
    """The verdict on a claim, and its difference; of the whole experiment where no one comparison says it."""
    if "comparison" not in claim:
        return result["verdict"], "–"
    for comparison in result["comparisons"]:
        if comparison["words"] == claim["comparison"]:
            low, high = (_number(end) for end in comparison["interval"])
            return comparison["verdict"], f"{_number(comparison['difference'])} ({low} to {high})"
    return "not among what was compared; run it again", "–"


def _number(value: float) -> str:
    return f"{value:+.3g}".replace("-", "−") if math.isfinite(value) else "–"


def _cell(words: str) -> str:
    return words.replace("|", "\\|").replace("\n", " ")


if __name__ == "__main__":
    for given in sys.argv[1:]:
        for path in take(Path(given)):
            print(path.relative_to(DOCS.parent))
    PAGE.write_text(made(), encoding="utf-8")
    print(PAGE.relative_to(DOCS.parent))
    if late := undecided(results()):
        print(f"should decide at the quick budget, and did not: {', '.join(late)}", file=sys.stderr)
