"""What keeps a router from sending everything to one expert: each loss in the scale of its own paper.

All are of G groups of S tokens, one number for each group, mean over the groups; pads (`real_GS` False) do not count.
f: share of the tokens that chose an expert, before any was dropped, without a gradient. P: mean probability.
"""

from __future__ import annotations

import torch
from torch import Tensor


def switch_loss(probabilities_GSE: Tensor, experts_GSJ: Tensor, real_GS: Tensor | None = None) -> Tensor:
    """E · Σ f·P (Fedus et al. 2022, eq. 4): 1 when balanced. Not the least it can be: f and P may disagree."""
    return probabilities_GSE.shape[-1] * _agreement(probabilities_GSE, experts_GSJ[..., :1], real_GS)


def gshard_loss(probabilities_GSE: Tensor, experts_GSJ: Tensor, real_GS: Tensor | None = None) -> Tensor:
    """1/E · Σ (c/S)·m over first choices (Lepikhin et al. 2021, algorithm 1): 1/E² when balanced, E² below Switch's."""
    return _agreement(probabilities_GSE, experts_GSJ[..., :1], real_GS) / probabilities_GSE.shape[-1]


def top_k_loss(probabilities_GSE: Tensor, experts_GSJ: Tensor, real_GS: Tensor | None = None) -> Tensor:
    """E · Σ f·P over all k choices, so that Σ f = k: k when balanced.

    The scale of the public Mixtral code, which however pools all layers before the product: a layer that sends
    everything to one expert is then made good by another. Here each layer has its own.
    """
    return probabilities_GSE.shape[-1] * _agreement(probabilities_GSE, experts_GSJ, real_GS)


def z_loss(logits_GSE: Tensor, real_GS: Tensor | None = None) -> Tensor:
    """mean of logsumexp(logits)² (Zoph et al. 2022, eq. 5): keeps logits small, where float32 is fine."""
    return over_groups(mean_of(logits_GSE.logsumexp(-1).square().unsqueeze(-1), real_GS).squeeze(-1), real_GS)


def shares(experts_GSJ: Tensor, num_experts: int, real_GS: Tensor | None, dtype: torch.dtype) -> Tensor:
    """f, G × E: choices of each expert, a token's; sums to J."""
    asked_GSJE = experts_GSJ.unsqueeze(-1) == torch.arange(num_experts, device=experts_GSJ.device)
    return mean_of(asked_GSJE.sum(2).to(dtype), real_GS)


def mean_of(x_GSE: Tensor, real_GS: Tensor | None) -> Tensor:
    """The mean over each group's tokens, G × E."""
    if real_GS is None:
        return x_GSE.mean(1)
    return (x_GSE * real_GS.unsqueeze(-1)).sum(1) / real_GS.sum(1, keepdim=True).clamp(min=1)


def over_groups(x_GE: Tensor, real_GS: Tensor | None) -> Tensor:
    """The mean over the groups that have any tokens: G × … -> …."""
    if real_GS is None:
        return x_GE.mean(0)
    used_G = real_GS.any(1).to(x_GE.dtype)
    return torch.tensordot(used_G, x_GE, 1) / used_G.sum().clamp(min=1)


def _agreement(probabilities_GSE: Tensor, experts_GSJ: Tensor, real_GS: Tensor | None) -> Tensor:
    f_GE = shares(experts_GSJ, probabilities_GSE.shape[-1], real_GS, probabilities_GSE.dtype)
    return over_groups((f_GE * mean_of(probabilities_GSE, real_GS)).sum(-1), real_GS)
