"""Sampling, right: each filter puts −∞ where a token may not be drawn, and softmax makes shares of the rest."""

import math

import torch
from torch import Generator, Tensor


def sample(logits: Tensor, temperature: float, top_k: int | None, top_p: float | None, generator: Generator) -> Tensor:
    return torch.multinomial(shares(logits, temperature, top_k, top_p), 1, generator=generator).squeeze(-1)


def shares(logits: Tensor, temperature: float, top_k: int | None, top_p: float | None) -> Tensor:
    """The probability of each token: what `sample` draws from."""
    if temperature == 0:
        return torch.nn.functional.one_hot(logits.argmax(-1), logits.shape[-1]).to(logits.dtype)
    logits = logits / temperature
    if top_k is not None:
        least = logits.topk(min(top_k, logits.shape[-1])).values[..., -1:]
        logits = logits.masked_fill(logits < least, -math.inf)
    if top_p is not None:
        ranked, ids = logits.softmax(-1).sort(dim=-1, descending=True)
        # What stands before a token: below p, the token is needed to come to p.
        late = ranked.cumsum(-1) - ranked >= top_p
        logits = logits.masked_fill(torch.zeros_like(late).scatter(-1, ids, late), -math.inf)
    return logits.softmax(-1)
