"""Writes what the doctor says of models it was not written for: `python docs/make_doctor_unseen.py ROWS.json TABLE.md`.

The cases are those of tests/shared/doctor_unseen.py. With words behind, only cases whose host or name has one of them
are examined; cases that ROWS.json has already are not examined again. A fault of which nothing was said is examined
once more with what its maker would declare of it (`causal`, `encoder`). `--list unseen_second` before all takes the
cases of another file of tests/shared.
"""

from __future__ import annotations

import importlib
import json
import re
import sys
import time
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests" / "shared"))


def said(case: Any, expect: tuple[str, ...]) -> dict[str, Any]:
    """What is told of one case: the lines of FAIL and WARN, and the seconds."""
    from oneblock.doctor import examine

    start = time.perf_counter()
    try:
        report = examine(case.model(), expect=expect)
    except Exception as error:  # whatever it stumbles over is a result here
        return {"FAIL": [], "WARN": [], "broke": f"{type(error).__name__}: {error}", "s": time.perf_counter() - start}
    lines = {s: [[c.id, c.message] for c in report.checks if c.status == s] for s in ("FAIL", "WARN")}
    return {**lines, "healthy": report.healthy, "s": time.perf_counter() - start}


def turns(faults: list[Any], healthy: list[Any]) -> list[Any]:
    """The cases host by host in turn, four faults to a healthy one, so that a run cut short is a fair sample."""
    order = []
    for cases in (faults, healthy):
        hosts = dict.fromkeys(c.host for c in cases)
        of = {h: [c for c in cases if c.host == h] for h in hosts}
        order.append(sorted(cases, key=lambda c: of[c.host].index(c) / len(of[c.host])))
    ranked = [(i / 4, c) for i, c in enumerate(order[0])] + [(float(i), c) for i, c in enumerate(order[1])]
    return [c for _, c in sorted(ranked, key=lambda pair: pair[0])]


def same(check: str, message: str) -> str:
    """A line without its figures: what two reports say alike."""
    return f"{check} {re.sub(r'[0-9][0-9.e+%-]*', '#', message)}"


def verdict(row: dict[str, Any], plain: set[str]) -> tuple[str, str]:
    """How a case was told, and the first lines of it; what the host itself is told of (plain) does not count."""
    for seen in (row, row.get("declared", {})):
        for status in ("FAIL", "WARN"):
            new = [line for line in seen.get(status, []) if same(*line) not in plain]
            if new:
                how = status if seen is row else f"{status} once declared"
                return how, "; ".join(f"{check}: {message}" for check, message in new[:2])
    return ("broke", row["broke"]) if "broke" in row else ("silent", "")


def table(rows: list[dict[str, Any]], total: int, name: str) -> str:
    """The Markdown page: sums, what was missed, healthy models alarmed, then every fault."""
    plain = {r["host"]: {same(*x) for s in ("FAIL", "WARN") for x in r[s]} for r in rows if r["name"] == "plain"}
    told = [(r, *verdict(r, plain.get(r["host"], set()))) for r in rows if r["told"]]
    fine = [(r, *verdict(r, set())) for r in rows if not r["told"]]

    def lines(some: list[Any]) -> str:
        head = "| host | case | wanted | told | first lines |\n|---|---|---|---|---|\n"
        cut = ((r, how, text.replace("|", "/").replace("\n", " ")) for r, how, text in some)
        return head + "\n".join(
            f"| {r['host']} | {r['name']} | {r['told'] or 'healthy'} | {how} | {text[:230]} |" for r, how, text in cut
        )

    count = {how: sum(h == how for _, h, _ in told) for how in dict.fromkeys(h for _, h, _ in told)}
    soft = [x for x in told if x[0]["told"] == "FAIL" and x[1].startswith("WARN")]
    missed = [x for x in told if x[1] in ("silent", "broke")]
    alarms = [x for x in fine if x[1] != "silent"]
    return f"""# Models it was not written for

The cases of tests/shared/{name}.py were written without a look at the checks; this is the first run over them.
{len(rows)} of {total} cases were examined: {len(told)} faults, {len(fine)} healthy variants.

Faults: {", ".join(f"{how} {n}" for how, n in count.items())}. Of {sum(r["told"] == "FAIL" for r, _, _ in told)} that
call for a FAIL {len(soft)} got a WARN alone. Healthy variants: {sum(h == "FAIL" for _, h, _ in fine)} with a FAIL,
{sum(h == "WARN" for _, h, _ in fine)} with a WARN alone.

## Missed

{lines(missed)}

## Told more softly than wanted

{lines(soft)}

## Healthy variants with an alarm

{lines(alarms)}

## All faults

{lines(told)}
"""


def main(where: str, page: str, *words: str, name: str = "doctor_unseen") -> None:
    of = importlib.import_module(name)
    faults, healthy = of.cases()
    file = Path(where)
    rows = json.loads(file.read_text()) if file.exists() else []
    done = {(row["host"], row["name"]) for row in rows}
    for case in turns(faults, healthy):
        if (case.host, case.name) in done or (words and not any(w in f"{case.host} {case.name}" for w in words)):
            continue
        row = {"host": case.host, "name": case.name, "told": case.told, **said(case, ())}
        if case.told and of.DECLARED[case.host] and not row["FAIL"] and not row["WARN"]:
            row["declared"] = said(case, of.DECLARED[case.host])
        rows.append(row)
        first = (row["FAIL"] or row["WARN"] or [[row.get("broke", "")]])[0]
        print(f"{row['s']:.1f} s  {case.told or 'ok':4}  {case.host} {case.name}: {': '.join(first)}"[:230], flush=True)
        file.write_text(json.dumps(rows, indent=1, ensure_ascii=False))
    Path(page).write_text(table(rows, len(faults) + len(healthy), name))


if __name__ == "__main__":
    given = sys.argv[1:]
    if given[:1] == ["--list"]:
        main(*given[2:], name=given[1])
    else:
        main(*given)
