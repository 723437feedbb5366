"""How far a token's features have drifted as a whole: their mean, and their deviation from it, layer by layer."""

from __future__ import annotations

import torch

from oneblock.compare.measures.subject import Found, Subject, by_layer, log_ratio, streams

ROWS = 4


def measure(subject: Subject) -> Found:
    """By layer, of the stream x_l of B × T tokens and D features, in float64.

    mean      √mean over tokens of m², m the mean of a token's features
    deviation √mean over tokens of s², s² = mean over features of (x − m)²

    `token_mean` is the first after the last block, `deviation` the ln of the second.
    """
    with streams(subject.model) as seen, torch.no_grad():
        subject.model(subject.windows(subject.context, ROWS))
    spreads = [torch.var_mean(x_BTD.double(), dim=-1, correction=0) for x_BTD in seen]
    means = [float(mean_BT.square().mean().sqrt()) for _, mean_BT in spreads]
    deviations = [float(variance_BT.mean().sqrt()) for variance_BT, _ in spreads]
    return Found(
        measures={"token_mean": means[-1], "deviation": log_ratio(deviations[-1], 1.0)},
        curves={"mean by layer": by_layer(means), "deviation by layer": by_layer(deviations)},
    )
