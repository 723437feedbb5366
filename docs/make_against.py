"""Writes docs/results/doctor-against.md: planted differences, and what names them. `python docs/make_against.py`."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import torch

ROOT = Path(__file__).resolve().parents[1]
TABLE = ROOT / "docs" / "results" / "doctor-against.md"
sys.path.insert(0, str(ROOT / "tests" / "shared"))

import parity_hosts as hosts  # noqa: E402
import parity_zoo as zoo  # noqa: E402

from oneblock.doctor import against  # noqa: E402

INTRODUCTION = """# Doctor, two models compared

```sh
python docs/make_against.py
```

`oneblock doctor TARGET --against REF` on two small decoders written for the purpose (`tests/shared/parity_hosts.py`:
`Gpt` in nanoGPT's manner, `Llama` in Llama's). The reference is the plain one, the target the same weights with one or
two things otherwise. "Right" means that the explanation names exactly what was planted, and no other change. The
differences were written together with the search, so the shares say that it works, not how many differences nobody has
thought of it would find. Classes of transformers, with and without a model of ours on the other side, are compared in
`tests/doctor/parity/test_peers.py`.
"""


def row(host: str, on: dict[str, Any], wanted: dict[str, Any], target: Any, reference: Any) -> tuple[str, bool]:
    """One line of a table, and whether the explanation is right."""
    found = against(target, reference)
    right = zoo.named(found.explanation, wanted)
    planted = ", ".join(_planted(name, value) for name, value in on.items())
    named = "; ".join(f"{change.what}: {_said(change.target)}" for change in found.explanation) or "nothing"
    place = found.first_difference.reference or "the whole model" if found.first_difference else "–"
    return f"| {host} | {planted} | {place} | {named} | {'yes' if right else '**no**'} |", right


def _planted(name: str, value: Any) -> str:
    return name if value is True else f"{name} {value:.6g}" if isinstance(value, float) else f"{name} {value}"


def _said(value: Any) -> str:
    return f"{value:.6g}" if isinstance(value, float) else str(value)


def table(cases: list[tuple[str, dict[str, Any], dict[str, Any], Any, Any]]) -> tuple[list[str], int]:
    """The lines, and how many are right."""
    lines = ["| host | planted in the target | first module that differs | named | right |", "|---|---|---|---|---|"]
    made = [row(*case) for case in cases]
    return lines + [line for line, _ in made], sum(right for _, right in made)


def made() -> str:
    """The page."""
    singles, right = table([(host, on, wanted, *zoo.pair(host, on)) for host, on, wanted in zoo.SINGLES])
    pairs, both = table([(host, on, wanted, *zoo.pair(host, on)) for host, on, wanted in zoo.PAIRS])
    hidden, found = table([("Gpt", on, wanted, hosts.opaque(**on), hosts.Gpt()) for on, wanted in zoo.UNREADABLE])
    total = f"**{right} of {len(zoo.SINGLES)} single differences and {both} of {len(zoo.PAIRS)} pairs named correctly; "
    total += f"{found} of {len(zoo.UNREADABLE)} where the target's attention cannot be looked into.**"
    return "\n".join(
        [
            INTRODUCTION,
            f"torch {torch.__version__.split('+')[0]}, CPU.",
            "",
            total,
            "",
            "## One difference",
            "",
            *singles,
            "",
            "## Two differences",
            "",
            *pairs,
            "",
            "## A target that cannot be read",
            "",
            "Its attention runs where nothing sees it, as a kernel of one's own does; single changes of the reference,",
            "then pairs, are tried until one gives the target's answer.",
            "",
            *hidden,
            "",
        ]
    )


if __name__ == "__main__":
    TABLE.write_text(made(), encoding="utf-8")
