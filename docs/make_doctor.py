"""Writes docs/results/doctor.md: what the doctor finds, and where it alarms. `python docs/make_doctor.py`."""

from __future__ import annotations

import sys
from collections import Counter
from pathlib import Path

import torch

ROOT = Path(__file__).resolve().parents[1]
TABLE = ROOT / "docs" / "results" / "doctor.md"
sys.path.insert(0, str(ROOT / "tests" / "shared"))

import doctor_zoo as zoo  # noqa: E402

from oneblock.doctor import examine  # noqa: E402
from oneblock.doctor.checks import CHECKS  # noqa: E402

INTRODUCTION = """# Doctor

```sh
python docs/make_doctor.py
```

Small models written for the purpose (`tests/shared/doctor_hosts.py`), each with one fault, and healthy ones: the same
without a fault, their healthy variants, every preset at a small size with fresh weights, and options of `nano` that
look like faults. Each is examined with every check but I3 and O1, which train and are asked in the tests. "By the
check that should" means that one of the checks named for the fault answers FAIL; faults that only half precision
shows are answered by WARN. The faults were written together with the checks, so the shares say that the checks work,
not how many faults nobody has thought of they would find. Classes of transformers are examined in
`tests/doctor/test_peers.py`.
"""


def made() -> str:
    """The page."""
    quick = [name for name in CHECKS if name not in zoo.TRAINING]
    rows, right, counts = [], 0, Counter[str]()
    for host, fault, wanted in zoo.FAULTS:
        report = examine(zoo.ill(host, fault), only=quick)
        status = "WARN" if fault in zoo.WARNED else "FAIL"
        found = [each.id for each in report.checks if each.status == status]
        hit = bool(set(found) & set(wanted.split()))
        right += hit
        counts.update(found)
        rows.append(f"| {host} | {fault} | {wanted} | {', '.join(found) or 'nothing'} | {'yes' if hit else '**no**'} |")
    healthy = [(f"{host} {variant}".strip(), zoo.ill(host, variant)) for host, variant in zoo.HEALTHY]
    healthy += [(name, zoo.preset(name)) for name in zoo.PRESETS]
    healthy += [(f"nano, {name}", zoo.variant(name)) for name in zoo.VARIANTS]
    wells, alarms, warned = [], 0, 0
    for name, model in healthy:
        report = examine(model, only=quick)
        fails = [each.id for each in report.checks if each.status == "FAIL"]
        warns = [each.id for each in report.checks if each.status == "WARN"]
        alarms, warned = alarms + bool(fails), warned + bool(warns)
        wells.append(f"| {name} | {', '.join(fails) or '–'} | {', '.join(warns) or '–'} |")
    total = len(zoo.FAULTS)
    return "\n".join(
        [
            INTRODUCTION,
            f"torch {torch.__version__.split('+')[0]}, CPU.",
            "",
            f"**{right} of {total} faults found by the check that should; {alarms} false alarms in "
            f"{len(healthy)} healthy models** ({warned} with a WARN).",
            "",
            "| host | fault | should be found by | alarms | found |",
            "|---|---|---|---|---|",
            *rows,
            "",
            "Alarms by check: " + ", ".join(f"{name} {counts[name]}" for name in CHECKS if counts[name]) + ".",
            "",
            "| healthy model | FAIL | WARN |",
            "|---|---|---|",
            *wells,
            "",
        ]
    )


if __name__ == "__main__":
    TABLE.write_text(made(), encoding="utf-8")
