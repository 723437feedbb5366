"""What the stream would lose in 16 bits: numbers too large for float16, additions too small for bfloat16."""

from __future__ import annotations

import itertools
import math

import torch
from torch import Tensor

from oneblock.compare.measures.subject import Found, Subject, by_layer, log10_or_none, streams

ROWS = 4


def measure(subject: Subject) -> Found:
    """By layer, log10 of rms(bf16(x_l) − x_l) / rms(x_l − x_{l−1}); and `fp16_over`, the share of runs above 65504.

    bfloat16 keeps eight binary digits at any size: a block that adds little to a large stream is rounded away, though
    no number overflows. float16 keeps eleven, and ends at 65504. Of each run `fp16_over` is 1 or 0.
    """
    tokens = subject.windows(subject.context, ROWS)
    with streams(subject.model) as seen, torch.no_grad():
        subject.model(tokens)
    lost = [_share(before.double(), after.double()) for before, after in itertools.pairwise(seen)]
    largest = torch.finfo(torch.float16).max
    return Found(
        measures={
            "bf16_loss": log10_or_none(float(torch.tensor(lost).max())),
            "fp16_over": float(not all(float(x.abs().max()) <= largest for x in seen)),
        },
        curves={"rounding by layer": [[layer, value] for layer, value in by_layer([0.0, *lost])[1:]]},
    )


def _share(before: Tensor, after: Tensor) -> float:
    """Rounding's root mean square over that of what the block added."""
    lost = (after.to(torch.bfloat16).double() - after).square().mean().sqrt()
    added = (after - before).square().mean().sqrt()
    return float(lost / added) if float(added) > 0 else math.nan
