"""Evaluation: the mean loss over a whole split, each target once, never a sample."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from oneblock.data.batches import evaluation_windows
from oneblock.train.loss import cross_entropy
from oneblock.train.precision import InPrecision


@contextmanager
def evaluating(model: nn.Module) -> Iterator[None]:
    """The model in eval mode and without gradients for a `with`; then in the mode it was in."""
    was_training = model.training
    model.eval()
    try:
        with torch.no_grad():
            yield
    finally:
        model.train(was_training)


def evaluate(
    model: nn.Module,
    tokens: npt.NDArray[Any],
    *,
    context: int,
    batch_size: int = 16,
    precision: torch.dtype = torch.float32,
) -> float:
    """Mean loss in nats a token over all tokens but the first, in windows of `context` without overlap.

    The model is in eval mode for the time and then as it was. `precision` bfloat16 is faster and within 1e-3.
    """
    device = next(model.parameters()).device
    forward = InPrecision(model, precision)
    total, count = 0.0, 0
    with evaluating(model):
        for inputs, targets, valid in evaluation_windows(tokens, context, batch_size):
            # A row without a target would only cost time.
            rows = int(valid.any(1).sum())
            x, y, v = (torch.from_numpy(np.ascontiguousarray(a[:rows])).to(device) for a in (inputs, targets, valid))
            total += float(cross_entropy(forward(x), y, v)) * int(v.sum())
            count += int(v.sum())
    return total / count


def excerpts(tokens: npt.NDArray[Any], total: int, pieces: int = 8) -> list[npt.NDArray[Any]]:
    """`pieces` stretches at even distances, `total` tokens together: a look at a split too long to read whole."""
    length = max(total // pieces, 2)
    if length * pieces >= len(tokens):
        return [tokens]
    starts = np.linspace(0, len(tokens) - length, pieces).astype(np.int64)
    return [tokens[start : start + length] for start in starts]
