"""Can the input token still be read from the stream? A linear probe after each block."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from oneblock.compare.measures.subject import Found, Subject, by_layer, streams

TOKENS = 6144
"""About how many places are looked at; two of three teach the probe, the third judges it."""
RIDGE = 1e-3


def measure(subject: Subject) -> Found:
    """The share of tokens that ridge regression on the stream, one target for each of the vocabulary, tells right.

    W = (XᵀX + λI)⁻¹XᵀY in float64, λ a thousandth of the features' mean square; judged on other texts than it was
    fitted on. Guessing gives the share of the most frequent token. Alain and Bengio 2016 (linear probes).
    """
    vocab = subject.config.model.vocab_size  # type: ignore[union-attr]
    rows = max(3, TOKENS // subject.context)
    tokens = subject.windows(subject.context, rows)
    with streams(subject.model) as seen, torch.no_grad():
        subject.model(tokens)
    judged = torch.arange(rows, device=tokens.device) % 3 == 2
    right = [_told(x.double(), tokens, judged, vocab) for x in seen]
    return Found(
        measures={"probe_last": right[-1], "probe_first": right[1]},
        curves={"probe by layer": by_layer(right)},
    )


def _told(x_BTD: Tensor, tokens_BT: Tensor, judged_B: Tensor, vocab: int) -> float:
    if not bool(torch.isfinite(x_BTD).all()):
        return math.nan
    x_BTD = x_BTD / x_BTD.square().mean().sqrt().clamp(min=1e-300)
    x_BTE = torch.cat([x_BTD, torch.ones_like(x_BTD[..., :1])], dim=-1)
    x_NE, y_N = x_BTE[~judged_B].flatten(0, 1), tokens_BT[~judged_B].flatten()
    y_NV = torch.nn.functional.one_hot(y_N, vocab).double()
    gram_EE = x_NE.T @ x_NE
    gram_EE += RIDGE * gram_EE.diagonal().mean() * torch.eye(len(gram_EE), dtype=gram_EE.dtype, device=gram_EE.device)
    weights_EV = torch.linalg.solve(gram_EE, x_NE.T @ y_NV)
    told_N = (x_BTE[judged_B].flatten(0, 1) @ weights_EV).argmax(-1)
    return float((told_N == tokens_BT[judged_B].flatten()).double().mean())
