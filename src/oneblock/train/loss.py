"""The next-token loss."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor


def cross_entropy(
    logits_BTV: Tensor, targets_BT: Tensor, valid_BT: Tensor | None = None, smoothing: float = 0.0
) -> Tensor:
    """−mean log softmax(logits)[target], in nats, taken in float32 or wider; only where `valid`, if given.

    Targets are already shifted: targets[t] is the token that follows inputs[t]. `smoothing` ε: the target weighs
    1 − ε, and ε is spread evenly over all V tokens, the target too (Szegedy et al. 2016).
    """
    logits = logits_BTV.flatten(0, 1)
    logits = logits.to(torch.promote_types(logits.dtype, torch.float32))
    if valid_BT is None:
        return F.cross_entropy(logits, targets_BT.flatten(), label_smoothing=smoothing)
    losses = F.cross_entropy(logits, targets_BT.flatten(), reduction="none", label_smoothing=smoothing)
    valid = valid_BT.flatten()
    return (losses * valid).sum() / valid.sum()
