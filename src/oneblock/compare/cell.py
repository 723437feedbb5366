"""One cell: a configuration trained with one seed, and what is measured of it."""

from __future__ import annotations

import hashlib
import itertools
import json
import math
import statistics
import tempfile
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from oneblock.config.config import Config
from oneblock.config.decoder import Decoder
from oneblock.config.serial import to_dict
from oneblock.inspect.capture import capture
from oneblock.inspect.statistics import cache_bytes_per_token
from oneblock.models.build import build
from oneblock.train.evaluate import evaluating
from oneblock.train.loop import Event
from oneblock.train.session import Session, start

VERSION = 1
"""Of the measures: a higher one makes every cell be run again."""
MOST_POINTS = 120
FAR, FAR_ROWS = 4, 24
"""How many times the trained length is looked at, and in how many texts."""


@dataclass(frozen=True, kw_only=True)
class Cell:
    """What one training is: all that its result depends on."""

    config: Config
    seed: int
    data_sha256: str
    far: bool = False
    trains: bool = True
    device: str = "cpu"

    @property
    def key(self) -> str:
        """The SHA-256 of its content; a name says nothing, so two experiments share what is the same."""
        content = {
            "config": to_dict(self._seeded) | {"name": ""},
            "data": self.data_sha256,
            "far": self.far,
            "trains": self.trains,
            "device": self.device,
            "version": VERSION,
        }
        return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()

    @property
    def _seeded(self) -> Config:
        return replace(self.config, recipe=replace(self.config.recipe, seed=self.seed))

    def run(self) -> dict[str, Any]:
        """The result: `measures`, name -> number (NaN where a run that diverged has none), `diverged`, `curve`."""
        if not self.trains:
            return {
                "measures": _flow(build(self._seeded, seed=self.seed), self._random()),
                "diverged": False,
                "curve": [],
            }
        with tempfile.TemporaryDirectory(prefix="oneblock-compare-") as folder:
            return self._trained(Path(folder) / "run")

    def _random(self) -> torch.Tensor:
        model = self.config.model
        assert isinstance(model, Decoder)
        generator = torch.Generator().manual_seed(self.seed)
        return torch.randint(model.vocab_size, (4, model.context), generator=generator)

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
        validation = session.task.corpus.validation  # type: ignore[attr-defined]
        measures |= _flow(session.model, _windows(validation, config.model.context, 4))
        if self.far:
            measures |= _far(session.model, validation, config.model.context)
        every = max(1, -(-len(taken) // MOST_POINTS))
        groups = [losses[at : at + every] for at in range(0, len(losses), every)]
        curve = [[at * every + len(group), float(np.mean(group))] for at, group in enumerate(groups)]
        return {"measures": measures, "diverged": diverged, "curve": curve, "seconds": session.loop.seconds}


def _windows(tokens: Any, length: int, rows: int) -> torch.Tensor:
    starts = np.linspace(0, len(tokens) - length, rows).astype(np.int64)
    return torch.from_numpy(np.stack([tokens[at : at + length] for at in starts]).astype(np.int64))


def _flow(model: nn.Module, tokens: torch.Tensor) -> dict[str, float]:
    """How the stream grows through the blocks, how often it turns, and how a gradient grows on its way down."""
    device = next(model.parameters()).device
    seen = capture(model, tokens.to(device))
    blocks = [seen["embedding"], *(seen[name] for name in seen if name.startswith("blocks.") and name.count(".") == 1)]
    turned = [float((a * b).sum() < 0) for a, b in itertools.pairwise(blocks)]
    return {
        "growth": _log_ratio(blocks[-1], blocks[0]),
        "flips": float(np.mean(turned)),
        "gradient": _gradient(model, tokens.to(device)),
    }


def _gradient(model: nn.Module, tokens: torch.Tensor) -> float:
    """ln of the norm of a random gradient below the first block, over its norm above the last."""
    ends: dict[str, torch.Tensor] = {}
    blocks: Any = model.blocks
    hooks = [
        blocks[0].register_forward_pre_hook(lambda module, given: ends.__setitem__("below", given[0])),
        blocks[-1].register_forward_hook(lambda module, given, out: ends.__setitem__("above", out)),
    ]
    was_training = model.training
    model.eval()
    try:
        with torch.enable_grad():
            model(tokens)
            noise = torch.randn(ends["above"].shape, generator=torch.Generator().manual_seed(0)).to(tokens.device)
            (below,) = torch.autograd.grad(ends["above"], ends["below"], noise)
    finally:
        model.train(was_training)
        for hook in hooks:
            hook.remove()
    return _log_ratio(below, noise)


def _log_ratio(a: torch.Tensor, b: torch.Tensor) -> float:
    above, below = float(a.double().square().mean()), float(b.double().square().mean())
    return 0.5 * math.log(above / below) if above > 0 and below > 0 and math.isfinite(above) else math.nan


def _far(model: nn.Module, tokens: Any, context: int) -> dict[str, float]:
    """The loss of the last eighth of long texts, and what it is above the same tokens' with less before them.

    The same tokens both times, each with at least 7/8 of the trained length before it, so that neither early tokens nor
    other words decide.
    """
    ends = _windows(tokens, FAR * context + 1, FAR_ROWS)
    judged = max(context // 8, 1)
    losses = []
    with evaluating(model):
        for length in (FAR * context, context):
            window = ends[:, -(length + 1) :].to(next(model.parameters()).device)
            logits = model(window[:, :-1])[:, -judged:].float()
            losses.append(float(nn.functional.cross_entropy(logits.flatten(0, 1), window[:, -judged:].flatten())))
    return {"far_loss": losses[0], "stretch": losses[0] - losses[1]}
