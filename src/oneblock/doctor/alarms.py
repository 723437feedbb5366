"""What a watch warns of: each kind once for a layer, from one record and those before it."""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterator, Sequence
from typing import Any

LOGIT, SHARP, FEW = 100.0, 0.02, 5
GREW, BURST, MOVED = 3.0, 30.0, 0.3
"""The stream against its largest so far; a gradient against the median of its looks; a step against its weights."""
LISTS = ("stream", "max_logit", "entropy", "grad_norms", "updates")


class Alarms(list[str]):
    """All that was told, in order."""

    def __init__(self) -> None:
        super().__init__()
        self._told: set[tuple[str, int]] = set()

    def of(self, record: dict[str, Any], records: Sequence[dict[str, Any]]) -> list[str]:
        """What is to be told of the newest record; `records` ends with it."""
        new = []
        for kind, layer, words in self._found(record, records[:-1]):
            if (kind, layer) not in self._told:
                self._told.add((kind, layer))
                new.append(words)
        self += new
        return new

    def _found(self, record: dict[str, Any], past: Sequence[dict[str, Any]]) -> Iterator[tuple[str, int, str]]:
        loss = record.get("loss")
        if loss is not None and not math.isfinite(loss):
            yield "loss", 0, f"the loss is {loss}"
        for name in LISTS:
            bad = [n for n, value in enumerate(record.get(name, ())) if not math.isfinite(value)]
            if bad:
                yield f"{name} not finite", -1, f"{name} is not finite, first at {_place(name, bad[0], record)}"
        for n, value in enumerate(record.get("max_logit", ())):
            if value > LOGIT:
                words = f"largest attention logit {value:.3g} in attention {n}, beyond {LOGIT:g}, a convention"
                yield (
                    "logit",
                    n,
                    f"{words} (they grow: Dehghani et al. 2023); a norm on queries and keys holds them",
                )
        for n, value in enumerate(record.get("entropy", ())):
            if value < SHARP:
                yield "entropy", n, f"attention {n} looks at one token only: entropy {value:.1%} of uniform"
        lasts = [row["stream"][-1] for row in past if row.get("stream")]
        last = record["stream"][-1] if record.get("stream") else 0.0
        if len(lasts) >= FEW and last > GREW * max(lasts) > 0:
            words = f"the stream after the last block is {last / max(lasts):.3g} times as large as it ever was"
            yield "stream", -1, f"{words} ({max(lasts):.3g} → {last:.3g})"
        for n, value in enumerate(record.get("grad_norms", ())):
            seen = [row["grad_norms"][n] for row in past if n < len(row.get("grad_norms", ()))]
            usual = statistics.median(seen) if len(seen) >= FEW else 0.0
            if usual > 0 and value > BURST * usual:
                words = f"gradient of {_place('grad_norms', n, record)} is {value / usual:.3g} times its usual size"
                yield "gradient", n, words
        for n, value in enumerate(record.get("updates", ())):
            if len(past) >= FEW and value > MOVED:
                words = f"one step moves {_place('updates', n, record)} by {value:.0%} of its size"
                yield "update", n, f"{words}: the learning rate is too large for it, or its weights are tiny"


def _place(name: str, n: int, record: dict[str, Any]) -> str:
    """What an entry of a list is about."""
    if name == "stream":
        return f"block {n - 1}" if n else "what enters the first block"
    if name in ("max_logit", "entropy"):
        return f"attention {n}"
    return f"block {n}" if n < len(record[name]) - 1 else "what is outside the blocks"
