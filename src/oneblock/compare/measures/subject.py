"""What a probe is given: the model as the cell leaves it, and tokens it was not trained on."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from oneblock.config.config import Config

Points = list[list[float]]
"""[x, y] after [x, y], rising in x."""


@dataclass(frozen=True, kw_only=True)
class Subject:
    """A model to be measured. `tokens`: the validation split, 1-D, or ids drawn at random where nothing was trained.

    norms: the gradient's norm at each step of its training, before clipping
    """

    model: nn.Module
    config: Config
    tokens: Any
    seed: int
    norms: Sequence[float] = ()

    @property
    def context(self) -> int:
        """The trained length."""
        return self.config.model.context

    def windows(self, length: int, rows: int) -> Tensor:
        """So many stretches at even distances, rows × length, on the model's device."""
        return windows(self.tokens, length, rows).to(next(self.model.parameters()).device)


@dataclass(frozen=True, kw_only=True)
class Found:
    """What a probe gives: measures and curves under their names in the catalogue."""

    measures: dict[str, float]
    curves: dict[str, Points] = field(default_factory=dict)


def windows(tokens: Any, length: int, rows: int) -> Tensor:
    """So many stretches of a text at even distances, rows × length."""
    starts = np.linspace(0, len(tokens) - length, rows).astype(np.int64)
    return torch.from_numpy(np.stack([tokens[at : at + length] for at in starts]).astype(np.int64))


@contextmanager
def streams(model: nn.Module) -> Iterator[list[Tensor]]:
    """Within it, eval mode, and a list that a forward pass fills: the stream into the first block, then out of each."""
    seen: list[Tensor] = []
    blocks: Any = model.blocks
    handles = [blocks[0].register_forward_pre_hook(lambda module, given: seen.append(given[0]))]
    handles += [block.register_forward_hook(lambda module, given, out: seen.append(out)) for block in blocks]
    was_training = model.training
    model.eval()
    try:
        yield seen
    finally:
        model.train(was_training)
        for handle in handles:
            handle.remove()


def by_layer(values: list[float]) -> Points:
    """A curve over the layers, of which the first is the embedding, 0."""
    return [[float(layer), value] for layer, value in enumerate(values)]


def log_ratio(above: float, below: float) -> float:
    """ln(above / below); NaN unless both are above zero and finite."""
    fit = all(math.isfinite(value) and value > 0 for value in (above, below))
    return math.log(above / below) if fit else math.nan


def log10_or_none(value: float) -> float:
    """log10, and −16 for less than 1e-16; NaN stays."""
    return math.log10(max(value, 1e-16)) if math.isfinite(value) else math.nan
