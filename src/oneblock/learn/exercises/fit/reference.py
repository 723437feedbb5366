"""Training, right: one optimiser for the whole time; clear, backward, step, once for each batch."""

from collections.abc import Iterable, Iterator

import torch
from torch import Tensor, nn


def fit(model: nn.Module, batches: Iterable[Tensor], steps: int) -> list[float]:
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3)
    model.train()
    losses = []
    # range first: zip would take a batch more than it needs.
    for _, tokens in zip(range(steps), endless(batches), strict=False):
        loss = next_token_loss(model(tokens), tokens)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    return losses


def endless(batches: Iterable[Tensor]) -> Iterator[Tensor]:
    """A list again and again; an iterator, which is its own iter(), once."""
    while True:
        yield from batches
        if iter(batches) is batches:
            return


def next_token_loss(logits: Tensor, tokens: Tensor) -> Tensor:
    return nn.functional.cross_entropy(logits[:, :-1].flatten(0, 1), tokens[:, 1:].flatten())
