"""Writes docs/claims.md: every claim, what was run here, and what came of it. `python docs/make_claims.py [FOLDER …]`.

FOLDER is an --out of `oneblock compare`: its results are taken over into docs/results/compare/ first, one file for each
experiment and budget, and stay there. The claims are those of docs/claims.json, each with a `reason` where it was
refuted or has no experiment; the reasons of the other verdicts are written here, from the numbers.
"""

from __future__ import annotations

import json
import math
import shlex
import sys
from pathlib import Path
from typing import Any

from oneblock.compare.experiment import INSIDE, REFUTED, SUPPORTED, UNTESTABLE, Alike, Comparison
from oneblock.compare.experiments import EXPERIMENTS
from oneblock.compare.verdict import LEVEL, worded
from oneblock.compare.words import probability
from oneblock.runs.jsonform import from_words, to_words

DOCS = Path(__file__).resolve().parent
PAGE, CLAIMS, KEPT = DOCS / "claims.md", DOCS / "claims.json", DOCS / "results" / "compare"
BUDGETS = ("quick", "standard", "full")
NOT_RUN, OLDER = "not run here", "not among what was compared"
DROPPED = ("report", "command")
"""What a result says of the machine it was made on."""

INTRODUCTION = """# Claims

```sh
oneblock compare NAME --budget quick          # each experiment of the table; then:
python docs/make_claims.py runs/compare
```

Every claim that the course and its papers make, what was run here to see it, and what came of it: {judged} of
{all} have been judged. A claim that was not run, or did not come out as claimed, stays in the table with the reason.
Reasons for what was refuted are written by hand, and say what was tested and what was not.

The verdict is that of the one comparison which says the claim; the experiment as a whole may have others. The
difference is what is named first less what is named second, or less the bound, in the measure's unit. It, the reason
and the command are those of the largest budget. How it is judged is in [decision 019](decisions/019-compare.md):

* **supported**, **refuted**: the difference is larger than the noise floor (how much two sets of runs of one variant
  differ through their seeds alone), and p is at most 1 % after Holm's correction for all comparisons of the
  experiment. That two variants lie within a margin needs the p alone.
* **inside the noise**: one of the two is not so: the difference is not larger than the noise floor, or p after
  correction is above 1 %.
* **not testable at this scale**: the same, and these seeds would miss a difference of the size that is claimed more
  often than once in five.

The 99 % interval in brackets is of that one comparison alone, not corrected for the others: it may leave 0 out where
the verdict is `inside the noise`.
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
    judged = sum(f"| {NOT_RUN} |" not in row for row in rows)
    lines = [INTRODUCTION.format(judged=judged, all=len(claims))]
    if late := undecided(found):
        lines.append(f"Should decide at the quick budget, and did not: {', '.join(late)}.\n")
    lines += ["| row | claim | verdict | difference | reason | run |", "|---|---|---|---|---|---|", *rows, ""]
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


def unexplained(claims: list[dict[str, str]], found: dict[str, dict[str, dict[str, Any]]]) -> list[str]:
    """Claims that did not come out as claimed, or have no experiment, and of which nobody says why."""
    return [
        claim["claim"] for claim in claims if reason(claim, found.get(claim.get("experiment", ""), {})) == _UNEXPLAINED
    ]


def reason(claim: dict[str, str], of: dict[str, dict[str, Any]]) -> str:
    """Why a claim is not supported by the largest budget; nothing where it is."""
    if "experiment" not in claim:
        return claim.get("reason", _UNEXPLAINED)
    if not of:
        return "no result has been taken over yet"
    judged = judgement(claim, of)
    if judged is None:
        return "what was run is older than this comparison: run it again"
    result, found = judged
    if found["verdict"] == SUPPORTED:
        return ""
    return claim.get("reason", _UNEXPLAINED) if found["verdict"] == REFUTED else _by_numbers(claim, result, found)


def judgement(claim: dict[str, str], of: dict[str, dict[str, Any]]) -> tuple[dict[str, Any], dict[str, Any]] | None:
    """The result of the largest budget that has the claim's comparison, and that comparison's finding.

    Where no one comparison says the claim: the first which has the verdict of the whole.
    """
    for result in reversed(of.values()):
        for finding in result["comparisons"]:
            said = finding["words"] == claim.get("comparison") or (
                "comparison" not in claim and finding["verdict"] == result["verdict"]
            )
            if said:
                return result, finding
    return None


_UNEXPLAINED = "nobody has said why"


def _by_numbers(claim: dict[str, str], result: dict[str, Any], found: dict[str, Any]) -> str:
    """Why it is `inside the noise` or `not testable at this scale`, by the numbers of the comparison."""
    if not math.isfinite(found["difference"]):
        return "a run that diverged has no such number"
    seeds, rule = f"{len(result['seeds'])} seeds", _rule(claim["experiment"], found["words"])
    find, floor = f"{found['detectable']:.3g}", f"{found['noise_floor']:.3g}"
    p, sure = _corrected(found["p"], len(result["comparisons"])), found["p"] <= LEVEL
    if isinstance(rule, Alike):
        margin = f"±{rule.within:g}"
        shown = f"where there is no difference {seeds} show ±{find} four times in five"
        if found["verdict"] == UNTESTABLE:
            return f"{shown}, and the claim is of {margin}"
        if sure:
            return f"beyond {margin}, but not larger than the noise floor of {floor}; {p}"
        return f"shown neither to lie within {margin} nor beyond: {p}; {shown}"
    means, stated = f"{seeds} find {find} four times in five", getattr(rule, "expects", None)
    if found["verdict"] == UNTESTABLE:
        return means + (f", and the claim is of {stated:g}" if stated is not None else "")
    if abs(found["difference"]) > found["noise_floor"]:
        return f"larger than the noise floor of {floor}, but the seeds differ too much among themselves: {p}; {means}"
    return f"not larger than the noise floor of {floor}{f', though {p}' * sure}; {means}"


def _rule(experiment: str, words: str) -> Comparison | None:
    return next((rule for rule in EXPERIMENTS[experiment].rule if worded(rule) == words), None)


def _corrected(p: float, comparisons: int) -> str:
    after = f" after correction for {comparisons} comparisons" if comparisons > 1 else ""
    return f"p {probability(p) if p < LEVEL else f'= {p:.2g}'}{after}"


def _row(claim: dict[str, str], of: dict[str, dict[str, Any]]) -> str:
    judged, verdict, difference, run = judgement(claim, of), NOT_RUN, "–", "–"
    if judged is not None:
        result, found = judged
        verdict = _verdicts(claim, of)
        if "comparison" in claim:
            low, high = (_number(end) for end in found["interval"])
            difference = f"{_number(found['difference'])} ({low} to {high})"
        kept = f"{claim['experiment']}-{result['budget']}"
        run = f"`{result['command']}` ([result](results/compare/{kept}.json))"
    elif "experiment" in claim:
        run = f"`oneblock compare {claim['experiment']}`"
    words = f"{claim['claim']} *{claim['source']}*"
    why = "; ".join(said for said in (reason(claim, of), claim.get("remark", "")) if said) or "–"
    return f"| {claim['row']} | {_cell(words)} | {verdict} | {difference} | {_cell(why)} | {run} |"


def _verdicts(claim: dict[str, str], of: dict[str, dict[str, Any]]) -> str:
    """What each budget says: named together where they agree."""
    said: dict[str, list[str]] = {}
    for budget, result in of.items():
        judged = judgement(claim, {budget: result})
        said.setdefault(judged[1]["verdict"] if judged else OLDER, []).append(budget)
    return "; ".join(f"{', '.join(budgets)}: {verdict}" for verdict, budgets in said.items())


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
    for words in unexplained(json.loads(CLAIMS.read_text(encoding="utf-8")), results()):
        print(f"did not come out as claimed, and docs/claims.json gives no reason: {words}", file=sys.stderr)
