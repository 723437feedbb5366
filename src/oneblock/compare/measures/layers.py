"""Layer by layer: how large the stream is, and how much of the loss's gradient comes down to it."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from oneblock.compare.measures.subject import Found, Subject, by_layer, log10_or_none, log_ratio, streams

ROWS = 4


def measure(subject: Subject) -> Found:
    """‖∂loss/∂x_l‖ for the stream x_l after each block, x_0 the embedding, and the gradient of each block's weights.

    Taken in eval mode, of the mean loss over a few windows. `gradient_spread` is ln(largest / smallest) over x_0 … x_L.
    """
    model: Any = subject.model
    tokens = subject.windows(subject.context, ROWS)
    weights = [[p for p in block.parameters() if p.requires_grad] for block in model.blocks]
    with streams(model) as seen, torch.enable_grad():
        logits = model(tokens)[:, :-1].float()
        loss = nn.functional.cross_entropy(logits.flatten(0, 1), tokens[:, 1:].flatten())
        wanted = [*seen, *(p for block in weights for p in block)]
        grads = list(torch.autograd.grad(loss, wanted, allow_unused=True, materialize_grads=True))
    norms = [float(grad.double().norm()) for grad in grads]
    flow, rest = norms[: len(seen)], iter(norms[len(seen) :])
    of_weights = [sum(next(rest) ** 2 for _ in block) ** 0.5 for block in weights]
    return Found(
        measures={
            "gradient_spread": log_ratio(max(flow), min(flow)),
            "peak": log10_or_none(max(float(x.detach().abs().max()) for x in seen)),
            "last_gradient": log_ratio(of_weights[-1], 1.0),
        },
        curves={
            "gradient by layer": by_layer(flow),
            "weights' gradient by layer": [[layer, value] for layer, value in by_layer([0.0, *of_weights])[1:]],
            "stream by layer": by_layer([float(x.detach().double().square().mean().sqrt()) for x in seen]),
        },
    )
