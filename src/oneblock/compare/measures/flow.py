"""How the stream grows through the blocks, how often it turns, and how a gradient grows on its way down."""

from __future__ import annotations

import itertools

import numpy as np
import torch
from torch import Tensor, nn

from oneblock.compare.measures.subject import Found, Subject, log_ratio, streams
from oneblock.inspect.capture import capture

ROWS = 4


def measure(subject: Subject) -> Found:
    """`growth`, `flips` and `gradient`: what every cell is asked."""
    model, tokens = subject.model, subject.windows(subject.context, ROWS)
    seen = capture(model, tokens)
    blocks = [seen["embedding"], *(seen[name] for name in seen if name.startswith("blocks.") and name.count(".") == 1)]
    turned = [float((a * b).sum() < 0) for a, b in itertools.pairwise(blocks)]
    return Found(
        measures={
            "growth": _log_ratio(blocks[-1], blocks[0]),
            "flips": float(np.mean(turned)),
            "gradient": _gradient(model, tokens),
        }
    )


def _gradient(model: nn.Module, tokens: Tensor) -> float:
    """ln of the norm of a random gradient below the first block, over its norm above the last."""
    with streams(model) as seen, torch.enable_grad():
        model(tokens)
        noise = torch.randn(seen[-1].shape, generator=torch.Generator().manual_seed(0)).to(tokens.device)
        (below,) = torch.autograd.grad(seen[-1], seen[0], noise)
    return _log_ratio(below, noise)


def _log_ratio(a: Tensor, b: Tensor) -> float:
    return 0.5 * log_ratio(*(float(x.detach().double().square().mean()) for x in (a, b)))
