"""The loss with switches: without any it is right; each variant sets one or more."""

import functools
import math

import torch
import torch.nn.functional as F
from torch import Tensor


def next_token_loss(
    logits: Tensor,
    tokens: Tensor,
    pad: int | None = None,
    *,
    shift: str = "one",
    shares: str = "log softmax",
    form: str = "gather",
    counted: str = "targets",
    divide: str = "count",
    sign: int = -1,
    gives: str = "mean",
    detached: bool = False,
    in_place: str = "",
    smoothing: float = 0.0,
    dtype: str = "kept",
) -> object:
    came = logits.dtype
    if counted == "zero is none":
        pad, counted = pad or None, "targets"
    elif counted == "always zero":
        pad, counted = 0, "targets"
    if in_place == "tokens" and pad is not None:
        tokens[:, 1:][tokens[:, 1:] == pad] = -100
        pad = -100
    elif in_place == "logits":
        logits -= logits.detach().amax(-1, keepdim=True)
    logits = logits.float() if dtype == "float32" else logits.double() if dtype == "float64, and back" else logits
    if shift == "joined":
        said, targets, read = logits.flatten(0, 1)[:-1], tokens.flatten()[1:], tokens.flatten()[:-1]
    elif shift == "rolled":
        said, targets, read = logits, tokens.roll(-1, dims=1), tokens
    elif shift == "by batch":
        said, targets, read = logits[:-1], tokens[1:], tokens[:-1]
    elif shift == "backwards":
        said, targets, read = logits[:, 1:], tokens[:, :-1], tokens[:, 1:]
    else:
        far = {"none": 0, "one": 1, "two": 2}[shift]
        last = logits.shape[1] - far
        said, targets, read = logits[:, :last], tokens[:, far:], tokens[:, :last]
    if form == "turned wrong":
        said = said.reshape(said.shape[0], said.shape[2], said.shape[1]).transpose(1, 2)
    if counted == "not a token" and pad is not None:
        # The pad leaves the vocabulary.
        said = said.index_fill(-1, torch.tensor([pad]), -1e9)
    logs = _logs(said, shares)
    safe = targets.clamp_min(0)
    if form == "one-hot":
        chosen = torch.einsum("...v,...v->...", logs, F.one_hot(safe, logs.shape[-1]).to(logs.dtype))
    elif form == "largest":
        chosen = logs.amax(-1)
    elif form == "all":
        chosen = logs.mean(-1)
    else:
        chosen = logs.gather(-1, safe[..., None])[..., 0]
    if shares == "shares":
        chosen = chosen.exp()
    losses = sign * ((1 - smoothing) * chosen + smoothing * logs.mean(-1))
    losses = losses / math.log(2) if shares == "base 2" else losses
    if form == "cross_entropy":
        ignored = -100 if pad is None else pad
        return F.cross_entropy(said.transpose(1, 2), targets, ignore_index=ignored)
    keep = torch.ones_like(targets, dtype=torch.bool)
    if pad is not None and counted != "ignored":
        keep = (read if counted == "read" else targets) != pad
        if counted == "both":
            keep = keep & (read != pad)
        elif counted == "up to the first":
            keep = keep.int().cumprod(-1).bool()
        elif counted == "of several":
            keep = keep | (len(tokens) == 1)
        elif counted == "only":
            keep = ~keep
    if divide == "all":
        given = (losses * keep).sum() / losses.numel()
    elif divide == "tokens":
        given = (losses * keep).sum() / tokens.numel()
    elif divide == "texts":
        given = (losses * keep).sum() / tokens.shape[0]
    elif divide == "each text":
        given = ((losses * keep).sum(-1) / keep.sum(-1).clamp_min(1)).mean()
    elif divide == "none":
        given = (losses * keep).sum()
    elif divide == "plus one":
        given = (losses * keep).sum() / (keep.sum() + 1)
    elif divide == "chosen":
        given = losses[keep].mean()
    elif divide == "last":
        given = losses.reshape(tokens.shape[0], -1)[:, -1].mean()
    else:
        given = (losses * keep).sum() / keep.sum()
    given = given.detach() if detached else given
    given = given.to(came) if dtype == "float64, and back" else given
    return {
        "mean": given,
        "perplexity": given.exp() if gives == "perplexity" else given,
        "float": given.item() if gives == "float" else given,
        "one axis": given[None],
        "each": losses,
    }[gives]


def _logs(said: Tensor, shares: str) -> Tensor:
    """The logarithm of softmax, or what people take for it."""
    if shares == "no shift":
        return said - said.exp().sum(-1, keepdim=True).log()
    if shares == "log of softmax":
        return said.softmax(-1).log()
    if shares == "log of softmax + 1e-9":
        return (said.softmax(-1) + 1e-9).log()
    if shares == "softmax first":
        return said.softmax(-1).log_softmax(-1)
    if shares == "twice":
        return said.log_softmax(-1).log_softmax(-1)
    if shares == "none":
        return said
    if shares == "sigmoid":
        return F.logsigmoid(said)
    if shares == "over time":
        return said.log_softmax(-2)
    return said.log_softmax(-1)


def make(**switches: object) -> dict[str, object]:
    """The names a learner would write."""
    return {"next_token_loss": functools.partial(next_token_loss, **switches)}  # type: ignore[arg-type]
