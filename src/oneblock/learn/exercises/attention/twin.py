"""attention with switches: without any it is right; each variant sets one or more."""

import functools
import math

import torch
from torch import Tensor


def attention(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    mask: Tensor | None = None,
    *,
    scale: str = "root",
    product: str = "transpose",
    masked: str = "before",
    fill: str = "lowest",
    empty: str = "uniform",
    polarity: str = "may",
    turned: bool = False,
    axis: int = -1,
    shift: bool = True,
    gives: str = "output, weights",
    takes: str = "v",
    weights_of: str = "used",
    dropout: float = 0.0,
    mask_in_place: bool = False,
    q_in_place: bool = False,
    dtype: str = "kept",
    window: int = 0,
) -> object:
    width = q.shape[-1]
    divisor = {"root": math.sqrt(width), "none": 1.0, "width": width, "values": math.sqrt(v.shape[-1])}
    divisor |= {"keys": math.sqrt(k.shape[-2]), "quarter": width**0.25, "times": 1 / math.sqrt(width), "both": 1.0}
    if q_in_place:
        q /= math.sqrt(width)
        scale = "none"
        divisor["none"] = 1.0
    if scale == "both":
        q, k = q * width**-0.25, k * width**-0.25
    if product == "reshape":
        scores = q @ k.reshape(*k.shape[:-2], k.shape[-1], k.shape[-2])
    elif product == "einsum":
        scores = torch.einsum("...tk,...sk->...ts", q, k)
    elif product == "sum":
        scores = (q.unsqueeze(-2) * k.unsqueeze(-3)).sum(-1)
    elif product == "cosine":
        scores = (q / q.norm(dim=-1, keepdim=True)) @ (k / k.norm(dim=-1, keepdim=True)).transpose(-2, -1)
    elif product == "swapped":
        scores = (k @ q.transpose(-2, -1)).reshape(*q.shape[:-1], k.shape[-2])
    else:
        scores = q @ k.transpose(-2, -1)
    scores = scores / divisor[scale]
    may = None if mask is None or masked == "ignored" else mask
    if may is not None:
        if mask_in_place:
            may.logical_not_()
            may = ~may
        may = ~may if polarity == "hides" else may
        may = may.transpose(-2, -1) if turned else may
        low = {"lowest": torch.finfo(scores.dtype).min, "infinite": -math.inf, "ten": -10.0, "zero": 0.0, "big": -1e9}
        low["ten thousand"] = -1e4
        if masked == "before" and fill == "product":
            scores = scores + (~may).to(scores.dtype) * -math.inf
        elif masked == "before" and fill == "added infinite":
            scores = scores + torch.zeros(may.shape, dtype=scores.dtype).masked_fill(~may, -math.inf)
        elif masked == "before" and fill == "where":
            scores = torch.where(may, scores, torch.tensor(-1e9, dtype=scores.dtype))
        elif masked == "before" and fill == "added":
            scores = scores + torch.zeros(may.shape, dtype=scores.dtype).masked_fill(~may, -1e9)
        elif masked == "before" and fill == "less fifty":
            scores = scores - 50.0 * (~may).to(scores.dtype)
        elif masked == "before":
            scores = scores.masked_fill(~may, low[fill])
    if window:
        scores = scores.masked_fill(torch.arange(k.shape[-2]) < k.shape[-2] - window, -1e30)
    kept = scores
    if shift:
        scores = scores - scores.amax(dim=axis, keepdim=True)
    shares = scores.exp()
    weights = shares / shares.sum(dim=axis, keepdim=True)
    if may is not None and masked in ("after", "renormalised"):
        weights = weights * may
        if masked == "renormalised":
            weights = weights / weights.sum(dim=-1, keepdim=True).clamp_min(1e-30)
    if may is not None and empty == "zeros":
        weights = weights * may.any(dim=-1, keepdim=True)
    if empty == "nan_to_num":
        weights = torch.nan_to_num(weights)
    if dropout:
        weights = torch.nn.functional.dropout(weights, dropout)
    shown = {"used": weights, "scores": kept, "unmasked": (q @ k.transpose(-2, -1) / divisor[scale]).softmax(-1)}
    output = weights @ {"v": v, "k": k}[takes]
    if takes == "v" and gives == "key width":
        output = output.reshape(q.shape)
    if dtype == "float32":
        output = output.float()
    return {
        "output, weights": (output, shown[weights_of]),
        "key width": (output, shown[weights_of]),
        "weights, output": (shown[weights_of], output),
        "output": output,
    }[gives]


def make(**switches: object) -> dict[str, object]:
    """The names a learner would write."""
    return {"attention": functools.partial(attention, **switches)}  # type: ignore[arg-type]
