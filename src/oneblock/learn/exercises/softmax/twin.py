"""softmax with switches: without any it is right; each variant sets one or more."""

import functools

import torch
from torch import Tensor


def softmax(
    x: Tensor,
    dim: int,
    *,
    shift: str = "max",
    axis: str = "asked",
    base: float | None = None,
    divide: str = "sum",
    sign: int = 1,
    form: str = "quotient",
    dtype: str = "kept",
    in_place: bool = False,
    flat: bool = False,
    eps: float = 0.0,
) -> Tensor:
    asked = {"asked": dim, "last": -1, "first": 0}[axis]
    if in_place:
        x.sub_(x.amax(dim=asked, keepdim=True))
    scores = sign * x
    if shift == "max":
        scores = scores - scores.amax(dim=asked, keepdim=True)
    elif shift == "global":
        scores = scores - scores.max()
    elif shift == "mean":
        scores = scores - scores.mean(dim=asked, keepdim=True)
    elif shift == "clamp":
        scores = scores.clamp(-50, 50)
    elif shift == "min":
        scores = scores - scores.amin(dim=asked, keepdim=True)
    if form == "logsumexp":
        return (scores - scores.logsumexp(dim=asked, keepdim=True)).exp()
    if form == "sigmoid":
        return scores.sigmoid()
    if form == "hard":
        return (scores == scores.amax(dim=asked, keepdim=True)).to(x.dtype)
    if form == "pairwise":
        # 1 / Σ exp(x_j − x_i): each share by its differences alone.
        moved = x.movedim(asked, -1)
        return (1 / (moved.unsqueeze(-2) - moved.unsqueeze(-1)).exp().sum(-1)).movedim(-1, asked)
    shares = scores.exp() if base is None else torch.pow(base, scores)
    if divide == "mean":
        shares = shares / shares.mean(dim=asked, keepdim=True)
    elif divide == "all":
        shares = shares / shares.sum()
    elif divide == "norm":
        shares = shares / shares.norm(dim=asked, keepdim=True)
    elif divide == "sum":
        shares = shares / (shares.sum(dim=asked, keepdim=True) + eps)
    elif divide == "reciprocal":
        shares = shares * shares.sum(dim=asked, keepdim=True).reciprocal()
    elif divide == "einsum":
        moved = shares.movedim(asked, -1)
        shares = (moved / torch.einsum("...s->...", moved).unsqueeze(-1)).movedim(-1, asked)
    shares = shares.log() if form == "log" else shares
    shares = {"float32": shares.float(), "float64": shares.double(), "kept": shares}[dtype]
    return shares.flatten() if flat else shares


def make(**switches: object) -> dict[str, object]:
    """The names a learner would write."""
    return {"softmax": functools.partial(softmax, **switches)}  # type: ignore[arg-type]
