"""Writes docs/results/doctor.md: what the doctor finds, and where it alarms. `python docs/make_doctor.py`."""

from __future__ import annotations

import sys
from collections import Counter
from pathlib import Path

import torch

ROOT = Path(__file__).resolve().parents[1]
TABLE = ROOT / "docs" / "results" / "doctor.md"
sys.path.insert(0, str(ROOT / "tests" / "shared"))

import doctor_blind as blind  # noqa: E402
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
SECOND = """## A second list

{count} faults in other hosts (`tests/shared/doctor_modern.py`: RoPE or ALiBi, grouped heads, SwiGLU, experts, windows,
a cache; and PyTorch's encoder-decoder layers), none of them in the zoo above. The list is not blind: it was written by
somebody who knew the checks, and several questions (rows without gradient, slopes, texts cut short, tokens answered
alike) were added while it was written, before it was first run.

At that first run 67 of the 76 were told by a check named for them, 71 raised some alarm, and one of six healthy hosts
drew a WARN (experts whose router computes in bfloat16). Not told by the check that should: angles computed in half
precision; pads of one row used for all (K1 alone alarmed); pads zeroed and not masked; rounding to bfloat16 inside; an
embedding of zeros; a random table outside the state dict; probabilities given to the loss (a WARN alone); a causal
mask over the memory; `batch_first` forgotten in an encoder. Checks were then made to ask more, and the table is of
after that: for faults that nobody has thought of the first figures say more than the last.

A table outside the state dict shows only where a second model can be made (`file.py:factory`, `examine(again=…)`).
What behaviour alone cannot show, and a reference could (`--against`): GELU forms, eps and its place, unbiased variance,
SiLU on the other half, half-split RoPE against neighbours, a wrong base of RoPE that is used consistently.
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
    healthy += [(f"Modern {options or ''}".strip(), blind.ill("", **options)) for options in blind.HEALTHY]
    healthy += [("Pair", blind.ill_pair(""))]
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
            *second(quick),
        ]
    )


def second(quick: list[str]) -> list[str]:
    """The table of the faults thought of apart."""
    made_with = [("Modern", *row) for row in blind.FAULTS] + [("Pair", *row, {}) for row in blind.PAIRS]
    rows, right, some = [], 0, 0
    for host, fault, wanted, options in made_with:
        model = blind.ill_pair(fault) if host == "Pair" else blind.ill(fault, **options)
        checks = examine(model, only=quick, again=blind.again(fault, options)).checks
        statuses = ("FAIL", "WARN") if fault in blind.WARNED else ("FAIL",)
        found = [each.id for each in checks if each.status in statuses]
        hit, some = bool(set(found) & set(wanted.split())), some + bool(found)
        right += hit
        rows.append(f"| {host} | {fault} | {wanted} | {', '.join(found) or 'nothing'} | {'yes' if hit else '**no**'} |")
    return [
        SECOND.format(count=len(made_with)),
        f"**{right} of {len(made_with)} told by a check named for them, {some} raise some alarm**; a WARN counts for "
        f"{len(blind.WARNED)} faults that may be meant or that only half precision shows.",
        "",
        "| host | fault | should be found by | alarms | found |",
        "|---|---|---|---|---|",
        *rows,
        "",
    ]


if __name__ == "__main__":
    TABLE.write_text(made(), encoding="utf-8")
