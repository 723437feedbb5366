"""A run's own `metrics.jsonl`: events with the steps they speak of."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from oneblock.doctor.logs.log import Log, Series, from_rows
from oneblock.runs.jsonform import from_words

EVENTS = ("step", "skip", "look", "evaluate", "experts", "start", "resume", "rollback", "stopped", "end", "horizon")
LOOKS = ("stream", "max_logit", "entropy", "grad_norms", "updates", "router_entropy", "router_load")


def is_ours(rows: Sequence[Mapping[str, Any]]) -> bool:
    """Whether rows are the events of a run."""
    known = sum(row.get("event") in EVENTS and "step" in row for row in rows)
    return known > len(rows) // 2 and any(row.get("event") == "step" for row in rows)


def of_run(path: Path, rows: Sequence[Mapping[str, Any]], notes: Sequence[str]) -> Log:
    """The log of a run. Steps that a rollback undid are left out, as in the run itself; the rollback is noted.

    What the guard refused is kept, also where a rollback then took other batches at the same steps: it is what went
    wrong. That it was refused stands in `skips`.
    """
    flat: list[dict[str, Any]] = []
    restarts: list[float] = []
    skips: dict[float, str] = {}
    facts: dict[str, Any] = {}
    refused: dict[float, tuple[Any, Any]] = {}
    said = list(notes)
    for row in (from_words(dict(row)) for row in rows):
        kind, step = row.get("event"), row.get("step")
        if not isinstance(step, int):
            continue
        kept: dict[str, Any] = {"step": step}
        if kind in ("step", "skip"):
            names = ("loss", "grad_norm", "rate_factor", "seconds")
            kept |= {name: row[name] for name in names if row.get(name) is not None}
            if kind == "skip":
                skips[step] = str(row.get("reason", "no reason said"))
                refused[step] = (row.get("loss"), row.get("grad_norm"))
        elif kind == "look":
            kept |= {name: row[name] for name in LOOKS if row.get(name) is not None}
        elif kind == "evaluate":
            kept |= {"val_loss": row["val_loss"]} if row.get("val_loss") is not None else {}
        elif kind in ("resume", "rollback"):
            # A rollback restores the moments too; only a resume is a new beginning.
            restarts += [float(step)] * (kind == "resume")
            why = row.get("reason") or "on request"
            said.append(f"{kind} at step {step}" + (f": {why}" if kind == "rollback" else ""))
            facts["rollbacks"] = facts.get("rollbacks", 0) + (kind == "rollback")
        elif kind == "start":
            facts |= {name: row[name] for name in ("precision", "compiled", "name") if name in row}
        if len(kept) > 1:
            flat.append(kept)
    log = from_rows(str(path), flat, said)
    for quantity, place in (("loss", 0), ("grad_norm", 1)):
        if quantity in log.series:
            log.series[quantity] = _with_refused(log.series[quantity], {s: pair[place] for s, pair in refused.items()})
    log.restarts = sorted(set(restarts))
    log.skips, log.facts = skips, {**facts, "ours": True}
    return log


def _with_refused(series: Series, refused: Mapping[float, Any]) -> Series:
    known = dict(zip(series.steps.tolist(), series.values.tolist(), strict=True))
    known |= {step: float(value) for step, value in refused.items() if value is not None}
    steps = sorted(known)
    return Series(name=series.name, steps=np.array(steps, dtype=float), values=np.array([known[s] for s in steps]))
