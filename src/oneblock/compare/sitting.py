"""A text cell's training from its session to its result: what is measured before it, what it told, what came of it."""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from oneblock.compare.faults import plant
from oneblock.compare.measures import AT_START, PROBES, TIMED, flow
from oneblock.compare.measures.subject import Found, Points, Subject
from oneblock.config.config import Config
from oneblock.inspect.statistics import cache_bytes_per_token
from oneblock.machine.device import describe
from oneblock.train.loop import Event
from oneblock.train.session import Session, start

MOST_POINTS = 120


class Sitting:
    """One seed's training, by its own loop (`train`) or beside others (`Together`); then its `result`.

    config: with the seed in its recipe; asked: the probes that measure it besides; lost: whether a loss of a step was
    not finite, after which nothing more is learned
    """

    def __init__(self, config: Config, folder: Path, *, asked: Sequence[str], fault: str, device: str) -> None:
        steps = config.recipe.steps
        # Looked at once, at the end; nothing is resumed inside a run.
        recipe = replace(config.recipe, evaluate_every=steps, checkpoint_every=steps, sample_every=steps)
        self.asked, self.lost, self.events = asked, False, list[Event]()
        begun = start(replace(config, recipe=recipe), folder)
        self.session = Session(*begun, device=device, listen=self._hear, stop=lambda: self.lost)
        self.session.loop.sample = None
        plant(self.session.model, fault)
        self.subject = Subject(
            model=self.session.model,
            config=self.session.config,
            tokens=self.session.task.corpus.validation,  # type: ignore[attr-defined]
            seed=config.recipe.seed,
        )
        self.begun: dict[str, Any] = {"measures": {}, "curves": {}}

    def _hear(self, event: Event) -> None:
        self.events.append(event)
        self.lost = self.lost or (event["event"] == "step" and not math.isfinite(event["loss"]))

    def begin(self) -> None:
        """Measure what is to be measured before the training."""
        self.begun = probed(self.subject, *(PROBES[name] for name in self.asked if name in AT_START))

    def train(self) -> None:
        """What is left of the training and of its evaluation, alone."""
        self.session.loop.go()

    def result(self) -> dict[str, Any]:
        """`measures`, name -> number (NaN where a run that diverged has none), `diverged`, `curve`, `curves`."""
        loop = self.session.loop
        loop.log.close()
        taken = [event for event in self.events if event["event"] == "step"]
        found = [event for event in self.events if event["event"] == "evaluate"]
        losses = [event["loss"] for event in taken]
        later = taken[len(taken) // 10 :]
        measures = {
            "val_loss": found[-1]["val_loss"] if found else math.nan,
            "selection_loss": found[-1]["selection_loss"] if found else math.nan,
            "train_loss": float(np.mean(losses[-max(len(losses) // 10, 1) :])),
            "grad_norm": max(event["grad_norm"] for event in later),
            "cache_bytes": float(cache_bytes_per_token(self.session.config)),
            "step_seconds": statistics.median(loop.steps_timed),
        }
        diverged = self.lost or not math.isfinite(measures["val_loss"])
        subject = replace(self.subject, norms=[event["grad_norm"] for event in taken])
        ended = probed(subject, flow.measure, *(PROBES[name] for name in self.asked if name not in AT_START))
        every = max(1, -(-len(taken) // MOST_POINTS))
        groups = [losses[at : at + every] for at in range(0, len(losses), every)]
        curve = [[at * every + len(group), float(np.mean(group))] for at, group in enumerate(groups)]
        return {
            "measures": measures | self.begun["measures"] | ended["measures"],
            "diverged": diverged,
            "curve": curve,
            "curves": self.begun["curves"] | ended["curves"],
            "seconds": loop.seconds,
        } | timed(self.asked)


def probed(subject: Subject, *probes: Callable[[Subject], Found]) -> dict[str, Any]:
    """What the probes found, together."""
    measures: dict[str, float] = {}
    curves: dict[str, Points] = {}
    for probe in probes:
        found = probe(subject)
        measures |= found.measures
        curves |= found.curves
    return {"measures": measures, "curves": curves}


def timed(asked: Sequence[str]) -> dict[str, str]:
    """`machine`, in words, where a probe takes its seconds; nothing where none does."""
    return {"machine": where()} if TIMED & set(asked) else {}


def where() -> str:
    """The machine that runs this."""
    found = describe()
    return f"{found['accelerator'] or found['processor']}, {found['threads']} of {found['cores']} cores"
