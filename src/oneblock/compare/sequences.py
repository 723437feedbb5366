"""The training of a cell whose task goes from sequence to sequence, by an encoder-decoder or by a decoder alone."""

from __future__ import annotations

import itertools
import math
import statistics
import time
from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from oneblock.compare.faults import plant
from oneblock.compare.reversal import JUDGE, PAD, SELECT, TRAIN, Pairs, Reversal, as_rows
from oneblock.config.config import Config
from oneblock.inspect.statistics import cache_bytes_per_token
from oneblock.models.build import build
from oneblock.models.encoder_decoder import EncoderDecoder
from oneblock.train.clip import clip_gradients
from oneblock.train.evaluate import evaluating
from oneblock.train.loss import cross_entropy
from oneblock.train.optimizer import make_optimizer
from oneblock.train.schedule import factor
from oneblock.train.seeds import step_seed

JUDGED = 512
"""Pairs on which rates are chosen, and as many others that judge; the same for every seed and variant."""
MOST_POINTS = 120


def answers(model: nn.Module, pairs: Pairs) -> Tensor:
    """Logits B × T × V for the targets, given what stands before them.

    An encoder-decoder reads the source on its one side and the target on the other; a decoder both as one row, and is
    asked at the target's places alone.
    """
    device = next(model.parameters()).device

    def put(numbers: Any) -> Tensor:
        return torch.from_numpy(numbers).to(device)

    if isinstance(model, EncoderDecoder):
        logits_BTV: Tensor = model(put(pairs.sources), put(pairs.inputs), put(pairs.sources == PAD))
        return logits_BTV
    rows, places = map(put, as_rows(pairs))
    return model(rows).take_along_dim(places.unsqueeze(-1), dim=1)


def judged(model: nn.Module, pairs: Pairs) -> tuple[float, float]:
    """The mean loss in nats per target token, and the share of target tokens told right (the beginning given)."""
    device = next(model.parameters()).device
    targets_BT, valid_BT = torch.from_numpy(pairs.targets).to(device), torch.from_numpy(pairs.valid).to(device)
    with evaluating(model):
        logits_BTV = answers(model, pairs).float()
    told = (logits_BTV.argmax(-1) == targets_BT)[valid_BT].double().mean()
    return float(cross_entropy(logits_BTV, targets_BT, valid_BT)), float(told)


class Taken(NamedTuple):
    """One step: its loss, the gradient's norm before clipping, its seconds."""

    loss: float
    norm: float
    seconds: float


def steps(config: Config, task: Reversal, model: nn.Module) -> Iterator[Taken]:
    """Train a model step after step, to the recipe's end or to a loss that is not finite.

    Step s of a seed, which is the recipe's, is given the same pairs whatever the model.
    """
    recipe, device = config.recipe, next(model.parameters()).device
    optimizer = make_optimizer(model, recipe.optimizer)
    for step in range(recipe.steps or 0):
        began = time.perf_counter()
        optimizer.set_lr_factor(factor(recipe.schedule, step, recipe.steps or 1))
        pairs = task.pairs(TRAIN, recipe.seed, step, recipe.batch_size)
        optimizer.zero_grad()
        torch.manual_seed(step_seed(recipe.seed, step))
        targets_BT, valid_BT = (torch.from_numpy(part).to(device) for part in (pairs.targets, pairs.valid))
        loss = cross_entropy(answers(model, pairs), targets_BT, valid_BT)
        loss.backward()
        norm = float(clip_gradients(optimizer.parameters(), recipe.clip or math.inf))
        finite = math.isfinite(float(loss.detach()))
        if finite:
            optimizer.step()
        yield Taken(float(loss.detach()), norm, time.perf_counter() - began)
        if not finite:
            return


def prepared(config: Config, fault: str, device: str) -> nn.Module:
    """The model of the recipe's seed, its fault planted."""
    model = build(config, seed=config.recipe.seed).to(device)
    plant(model, fault)
    return model


def timed(config: Config, task: Reversal, count: int, *, fault: str = "", device: str = "cpu") -> list[float]:
    """Seconds of the first steps."""
    taken = itertools.islice(steps(config, task, prepared(config, fault, device)), count)
    return [step.seconds for step in taken]


def train(config: Config, task: Reversal, *, fault: str = "", device: str = "cpu") -> dict[str, Any]:
    """A run's result: `measures`, `diverged`, `curve` and `seconds`, as a cell's on text."""
    began = time.perf_counter()
    model = prepared(config, fault, device)
    taken = list(steps(config, task, model))
    losses, norms = [step.loss for step in taken], [step.norm for step in taken]
    (val_loss, told), (selection_loss, _) = (judged(model, task.pairs(of, 0, 0, JUDGED)) for of in (JUDGE, SELECT))
    every = max(1, -(-len(losses) // MOST_POINTS))
    groups = [losses[at : at + every] for at in range(0, len(losses), every)]
    return {
        "measures": {
            "val_loss": val_loss,
            "selection_loss": selection_loss,
            "told": told,
            "train_loss": float(np.mean(losses[-max(len(losses) // 10, 1) :])),
            "grad_norm": max(norms[len(norms) // 10 :]),
            "cache_bytes": float(cache_bytes_per_token(config)),
            "step_seconds": statistics.median(step.seconds for step in taken),
        },
        "diverged": not math.isfinite(losses[-1]) or not math.isfinite(val_loss),
        "curve": [[at * every + len(group), float(np.mean(group))] for at, group in enumerate(groups)],
        "curves": {},
        "seconds": time.perf_counter() - began,
    }
