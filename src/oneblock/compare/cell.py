"""One cell: a configuration trained with one seed, and what is measured of it."""

from __future__ import annotations

import hashlib
import json
import tempfile
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch

from oneblock.compare import reversal, sequences
from oneblock.compare.faults import plant
from oneblock.compare.measures import PROBES, flow
from oneblock.compare.measures.subject import Subject
from oneblock.compare.sitting import Sitting, probed, timed
from oneblock.config.config import Config
from oneblock.config.decoder import Decoder
from oneblock.config.serial import to_dict
from oneblock.models.build import build

VERSION = 1
"""Of the measures: a higher one makes every cell be run again."""
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

        `curve` is the training loss by step, `curves` are what probes give, name -> points; of timed probes `machine`.
        """
        if not self.trains:
            model = build(self._seeded, seed=self.seed)
            plant(model, self.fault)
            subject = Subject(model=model.to(self.device), config=self.config, tokens=self._random(), seed=self.seed)
            found = probed(subject, flow.measure, *(PROBES[name] for name in self.asked))
            return {"diverged": False, "curve": [], **found, **timed(self.asked)}
        if task := reversal.named(self.config.recipe.data):
            return sequences.train(self._seeded, task, fault=self.fault, device=self.device)
        with tempfile.TemporaryDirectory(prefix="oneblock-compare-") as folder:
            sitting = self.sit(Path(folder) / "run")
            sitting.begin()
            sitting.train()
            return sitting.result()

    def _random(self) -> Any:
        model = self.config.model
        assert isinstance(model, Decoder)
        generator = torch.Generator().manual_seed(self.seed)
        return torch.randint(model.vocab_size, (flow.ROWS * model.context,), generator=generator).numpy()

    def sit(self, folder: Path) -> Sitting:
        """The training of a cell of a text, not yet begun, in a folder that is to be made."""
        return Sitting(self._seeded, folder, asked=self.asked, fault=self.fault, device=self.device)


def _as_before(plain: Any) -> Any:
    """A configuration in plain JSON without the options of `LATER` that change nothing."""
    if isinstance(plain, list):
        return [_as_before(entry) for entry in plain]
    if not isinstance(plain, dict):
        return plain
    kept = {name: value for name, value in plain.items() if name not in LATER or value != LATER[name]}
    return {name: _as_before(value) for name, value in kept.items()}
