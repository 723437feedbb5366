"""Writes docs/results/doctor.md: what the doctor finds, and where it alarms. `python docs/make_doctor.py`.

With a file behind it (`python docs/make_doctor.py rows.json`) what is examined is kept there, and what is there already
is not examined again, so that a run which was cut short goes on. Words behind that: only what has one of them in its
source, host or name, and no page.
"""

from __future__ import annotations

import json
import logging
import sys
import time
import warnings
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import torch

ROOT = Path(__file__).resolve().parents[1]
TABLE = ROOT / "docs" / "results" / "doctor.md"
sys.path.insert(0, str(ROOT / "tests" / "shared"))

import doctor_proof as proof  # noqa: E402
import doctor_text as text  # noqa: E402

from oneblock.doctor import examine  # noqa: E402
from oneblock.doctor.checks import CHECKS  # noqa: E402

TRAINING = ("I3", "O1")
"""Checks that train, most of the time of an examination: asked of a fault of which the rest says nothing."""
LOUD = ("FAIL", "WARN")
Row = dict[str, Any]


def asked(case: proof.Proof, only: Iterable[str], expect: tuple[str, ...] = ()) -> list[list[str]]:
    """[check, status, message] of what alarms."""
    report = examine(case.make(), only=list(only), expect=expect, again=case.again)
    return [[each.id, each.status, each.message] for each in report.checks if each.status in LOUD]


def row_of(case: proof.Proof) -> Row:
    """What is told of one case, and in how many seconds."""
    start, quick = time.perf_counter(), [name for name in CHECKS if name not in TRAINING]
    row: Row = {"source": case.source, "host": case.host, "name": case.name, "wanted": case.wanted, "want": case.told}
    try:
        row["told"] = asked(case, quick)
        if case.told and not row["told"]:
            row["told"] = asked(case, TRAINING)
        if case.told and not row["told"] and case.declared:
            row["declared"] = asked(case, quick, case.declared)
    except Exception as error:  # whatever it stumbles over is a result
        row |= {"told": [], "broke": f"{type(error).__name__}: {error}"}
    return row | {"s": round(time.perf_counter() - start, 1)}


def examined(cases: list[proof.Proof], file: Path | None, words: list[str]) -> list[Row]:
    """A row for each case, those of the file as they stand there."""
    kept = json.loads(file.read_text(encoding="utf-8")) if file is not None and file.exists() else []
    known = {(r["source"], r["host"], r["name"], bool(r["wanted"])): r for r in kept}
    rows = []
    for case in cases:
        key = (case.source, case.host, case.name, bool(case.wanted))
        if words and not any(word in f"{case.source}: {case.host} {case.name}" for word in words):
            continue
        if key not in known:
            known[key] = row_of(case)
            said = ", ".join(f"{check} {status}" for check, status, _ in known[key]["told"])
            print(f"{known[key]['s']:5.1f} s  {case.source}: {case.host} {case.name}: {said or 'nothing'}", flush=True)
            if file is not None:
                file.write_text(json.dumps(list(known.values()), ensure_ascii=False, indent=0), encoding="utf-8")
        rows.append(known[key] | {"wanted": case.wanted, "want": case.told})
    return rows


def main(*given: str, write: Callable[[str], object] | None = None) -> None:
    """Examine everything, write the page."""
    warnings.simplefilter("ignore")
    logging.getLogger("transformers").setLevel(logging.ERROR)
    file, words = Path(given[0]) if given else None, list(given[1:])
    ill = examined(proof.faults(), file, words)
    well = examined(proof.healthy(weights=True), file, words)
    if not words:
        version = torch.__version__.split("+")[0]
        (write or (lambda page: TABLE.write_text(page, encoding="utf-8")))(text.page(ill, well, list(CHECKS), version))


if __name__ == "__main__":
    main(*sys.argv[1:])
