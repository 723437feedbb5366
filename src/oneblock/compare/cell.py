"""One cell: a configuration trained with one seed, and what is measured of it."""

from __future__ import annotations

import hashlib
import json
import math
import statistics
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from oneblock.compare import reversal, sequences
from oneblock.compare.faults import plant
from oneblock.compare.measures import AT_START, PROBES, flow
from oneblock.compare.measures.subject import Found, Points, Subject
from oneblock.config.config import Config
from oneblock.config.decoder import Decoder
from oneblock.config.serial import to_dict
from oneblock.inspect.statistics import cache_bytes_per_token
from oneblock.models.build import build
from oneblock.train.loop import Event
from oneblock.train.session import Session, start

VERSION = 1
"""Of the measures: a higher one makes every cell be run again."""
MOST_POINTS = 120
LATER = {"router_precision": "float32"}
"""Options that came when cells had been run, and what they are where all is as before: no part of a key then."""


@dataclass(frozen=True, kw_only=True)
class Cell:
    """What one training is: all that its result depends on.

    asked: the probes that measure it besides; fault: one that is planted before anything else
    """

    config: Config
    seed: int
    data_sha256: str
    asked: tuple[str, ...] = ()
    fault: str = ""
    trains: bool = True
    device: str = "cpu"

    @property
    def key(self) -> str:
        """The SHA-256 of its content; a name says nothing, so two experiments share what is the same."""
        content = {
            "config": _as_before(to_dict(self._seeded)) | {"name": ""},
            "data": self.data_sha256,
            "far": "far" in self.asked,
            "trains": self.trains,
            "device": self.device,
            "version": VERSION,
        }
        # Only where there are any: what was run before there were others keeps its key.
        if others := sorted(set(self.asked) - {"far"}):
            content["asked"] = others
        if self.fault:
            content["fault"] = self.fault
        return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()

    @property
    def _seeded(self) -> Config:
        return replace(self.config, recipe=replace(self.config.recipe, seed=self.seed))

    def run(self) -> dict[str, Any]:
        """The result: `measures`, name -> number (NaN where a run that diverged has none), `diverged`, `curve`, …

        `curve` is the training loss by step, `curves` are what probes give, name -> points.
        """
        if not self.trains:
            model = build(self._seeded, seed=self.seed)
            plant(model, self.fault)
            subject = Subject(model=model.to(self.device), config=self.config, tokens=self._random(), seed=self.seed)
            found = _probed(subject, flow.measure, *(PROBES[name] for name in self.asked))
            return {"diverged": False, "curve": [], **found}
        if task := reversal.named(self.config.recipe.data):
            return sequences.train(self._seeded, task, fault=self.fault, device=self.device)
        with tempfile.TemporaryDirectory(prefix="oneblock-compare-") as folder:
            return self._trained(Path(folder) / "run")

    def _random(self) -> Any:
        model = self.config.model
        assert isinstance(model, Decoder)
        generator = torch.Generator().manual_seed(self.seed)
        return torch.randint(model.vocab_size, (flow.ROWS * model.context,), generator=generator).numpy()

    def _trained(self, folder: Path) -> dict[str, Any]:
        seeded = self._seeded
        steps = seeded.recipe.steps
        # Looked at once, at the end; nothing is resumed inside a run.
        recipe = replace(seeded.recipe, evaluate_every=steps, checkpoint_every=steps, sample_every=steps)
        config = replace(seeded, recipe=recipe)
        events: list[Event] = []
        lost = False

        def hear(event: Event) -> None:
            nonlocal lost
            events.append(event)
            lost = lost or (event["event"] == "step" and not math.isfinite(event["loss"]))

        session = Session(*start(config, folder), device=self.device, listen=hear, stop=lambda: lost)
        plant(session.model, self.fault)
        validation = session.task.corpus.validation  # type: ignore[attr-defined]
        subject = Subject(model=session.model, config=session.config, tokens=validation, seed=self.seed)
        begun = _probed(subject, *(PROBES[name] for name in self.asked if name in AT_START))
        session.loop.sample = None
        session.loop.go()
        session.loop.log.close()
        taken = [event for event in events if event["event"] == "step"]
        found = [event for event in events if event["event"] == "evaluate"]
        losses = [event["loss"] for event in taken]
        later = taken[len(taken) // 10 :]
        measures = {
            "val_loss": found[-1]["val_loss"] if found else math.nan,
            "selection_loss": found[-1]["selection_loss"] if found else math.nan,
            "train_loss": float(np.mean(losses[-max(len(losses) // 10, 1) :])),
            "grad_norm": max(event["grad_norm"] for event in later),
            "cache_bytes": float(cache_bytes_per_token(self.config)),
            "step_seconds": statistics.median(session.loop.steps_timed),
        }
        diverged = lost or not math.isfinite(measures["val_loss"])
        subject = replace(subject, norms=[event["grad_norm"] for event in taken])
        ended = _probed(subject, flow.measure, *(PROBES[name] for name in self.asked if name not in AT_START))
        every = max(1, -(-len(taken) // MOST_POINTS))
        groups = [losses[at : at + every] for at in range(0, len(losses), every)]
        curve = [[at * every + len(group), float(np.mean(group))] for at, group in enumerate(groups)]
        return {
            "measures": measures | begun["measures"] | ended["measures"],
            "diverged": diverged,
            "curve": curve,
            "curves": begun["curves"] | ended["curves"],
            "seconds": session.loop.seconds,
        }


def _probed(subject: Subject, *probes: Callable[[Subject], Found]) -> dict[str, Any]:
    measures: dict[str, float] = {}
    curves: dict[str, Points] = {}
    for probe in probes:
        found = probe(subject)
        measures |= found.measures
        curves |= found.curves
    return {"measures": measures, "curves": curves}


def _as_before(plain: Any) -> Any:
    """A configuration in plain JSON without the options of `LATER` that change nothing."""
    if isinstance(plain, list):
        return [_as_before(entry) for entry in plain]
    if not isinstance(plain, dict):
        return plain
    kept = {name: value for name, value in plain.items() if name not in LATER or value != LATER[name]}
    return {name: _as_before(value) for name, value in kept.items()}
