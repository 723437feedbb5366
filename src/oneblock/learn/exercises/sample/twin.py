"""Sampling with switches: without any it is right; each variant sets one or more."""

import functools
import math
import random
from typing import Any

import torch
from torch import Generator, Tensor

LOW = {"infinite": -math.inf, "lowest": None, "zero": 0.0, "ten": -10.0, "big": -1e9}


def _top_k(logits: Tensor, k: int, how: str, fill: str, at: str) -> Tensor:
    size = logits.shape[-1]
    if how == "off":
        return logits
    count = {"more": k + 1, "fewer": k - 1}.get(how, k)
    count = max(1, min(count, size))
    if how == "scatter":
        place = logits.topk(count).indices
        keep = torch.zeros(logits.shape, dtype=torch.bool).scatter(-1, place, torch.ones_like(place, dtype=torch.bool))
    elif how == "sorted":
        least = logits.sort(dim=-1, descending=True).values[..., count - 1, None]
        keep = logits >= least
    elif how == "lowest":
        keep = logits <= (-logits).topk(count).values.neg()[..., -1:]
    elif how == "first ids":
        keep = (torch.arange(size) < count).expand(logits.shape)
    elif how == "batch":
        # One threshold for all rows.
        keep = logits >= logits.flatten().topk(count).values[-1]
    elif how == "first row":
        row = logits.reshape(-1, size)[0]
        keep = logits >= row.topk(count).values[-1]
    else:
        keep = logits >= logits.topk(count).values[..., -1:]
    low: Any = torch.finfo(logits.dtype).min if LOW[fill] is None else LOW[fill]
    return logits.masked_fill(~keep, low) if at != "in place" else logits.masked_fill_(~keep, low)


def _top_p(logits: Tensor, whole: Tensor, p: float, how: str) -> Tensor:
    """The logits, −∞ where a token is not in the nucleus; whole: the shares that are added up."""
    size = logits.shape[-1]
    p = 1 - p if how == "complement" else p
    if how == "off":
        return logits
    if how == "min_p":
        return logits.masked_fill(whole < p * whole.amax(-1, keepdim=True), -math.inf)
    if how == "each":
        keep = whole >= p
        keep = keep | (whole == whole.amax(-1, keepdim=True))
        return logits.masked_fill(~keep, -math.inf)
    if how == "unsorted":
        late = whole.cumsum(-1) - whole >= p
        return logits.masked_fill(late, -math.inf)
    ranked, ids = whole.sort(dim=-1, descending=how != "ascending")
    before = ranked.cumsum(-1) - ranked
    late = before >= p
    if how == "first row":
        late = late.reshape(-1, size)[:1].expand(late.reshape(-1, size).shape).reshape(late.shape)
    if how in ("cut", "cut all"):
        late = ranked.cumsum(-1) > p
        late[..., 0] &= how == "cut all"
    elif how == "one more":
        late = late & late.roll(1, -1) & (torch.arange(size) > 0)
    elif how == "ascending threshold":
        ranked, ids = whole.sort(dim=-1)
        late = ranked.cumsum(-1) <= 1 - p
    elif how == "loop":
        for row, line in zip(late.reshape(-1, size), ranked.reshape(-1, size).tolist(), strict=True):
            total, out = 0.0, []
            for share in line:
                out.append(total >= p)
                total += share
            row.copy_(torch.tensor(out))
    if how == "not put back":
        return logits.masked_fill(late, -math.inf)
    if how == "wrong way back":
        return logits.masked_fill(late.gather(-1, ids), -math.inf)
    if how == "argsort":
        return logits.masked_fill(late.gather(-1, ids.argsort(-1)), -math.inf)
    return logits.masked_fill(torch.zeros_like(late).scatter(-1, ids, late), -math.inf)


def _draw(shares: Tensor, generator: Generator, how: str) -> Tensor:
    if how == "argmax":
        return shares.argmax(-1)
    if how == "global":
        return torch.multinomial(shares, 1).squeeze(-1)
    if how == "python":
        rows = shares.reshape(-1, shares.shape[-1])
        picked = [random.choices(range(len(row)), row.tolist())[0] for row in rows]
        return torch.tensor(picked).reshape(shares.shape[:-1])
    if how == "global too":
        torch.rand(())
    if how == "reseeded":
        generator.manual_seed(0)
    if how == "restarted":
        generator = Generator().manual_seed(generator.initial_seed())
    if how == "global seed":
        torch.manual_seed(generator.initial_seed())
        return torch.multinomial(shares, 1).squeeze(-1)
    if how == "uniform":
        return torch.multinomial((shares > 0).to(shares.dtype), 1, generator=generator).squeeze(-1)
    if how == "squared":
        return torch.multinomial(shares.square(), 1, generator=generator).squeeze(-1)
    if how == "gumbel":
        noise = torch.rand(shares.shape, generator=generator, dtype=torch.float64)
        return (shares.double().log() - (-noise.log()).log()).argmax(-1)
    if how == "race":
        waits = torch.empty(shares.shape, dtype=torch.float64).exponential_(generator=generator)
        return (shares / waits).argmax(-1)
    if how in ("inverse", "shared"):
        # One number for all rows: the same luck for everybody.
        front = shares.shape[:-1] if how == "inverse" else (1,) * (shares.dim() - 1)
        luck = torch.rand((*front, 1), generator=generator, dtype=torch.float64)
        edge = shares.double().cumsum(-1)
        return (edge / edge[..., -1:] <= luck).sum(-1).clamp_max(shares.shape[-1] - 1)
    if how == "rows":
        rows = shares.reshape(-1, shares.shape[-1])
        picked = [int(torch.multinomial(row, 1, generator=generator)) for row in rows]
        return torch.tensor(picked).reshape(shares.shape[:-1])
    if how == "first row":
        row = shares.reshape(-1, shares.shape[-1])[0]
        return torch.multinomial(row, shares[..., 0].numel(), True, generator=generator).reshape(shares.shape[:-1])
    if how in ("ranked", "rank"):
        ranked, ids = shares.sort(dim=-1, descending=True)
        rank = torch.multinomial(ranked, 1, generator=generator)
        return rank.squeeze(-1) if how == "rank" else ids.gather(-1, rank).squeeze(-1)
    return torch.multinomial(shares, 1, generator=generator).squeeze(-1)


def sample(
    logits: Tensor,
    temperature: float,
    top_k: int | None,
    top_p: float | None,
    generator: Generator,
    *,
    heat: str = "divide",
    zero: str = "argmax",
    k_how: str = "threshold",
    k_fill: str = "infinite",
    p_how: str = "right",
    order: str = "T k p",
    renormalised: bool = True,
    draw: str = "multinomial",
    gives: str = "ids",
    in_place: str = "",
    exponential: str = "safe",
    p_off: bool = False,
    k_off: bool = False,
) -> Tensor:
    if temperature == 0 and zero == "argmax":
        ids = logits.argmax(-1)
        return _given(ids, logits, gives)
    if temperature == 0:
        temperature = {"tiny": 1e-9, "one": 1.0, "small": 0.5}.get(zero, 0.0)
        logits = logits - logits.amax(-1, keepdim=True) if zero == "tiny" else logits
    by = {"divide": temperature, "multiply": 1 / max(temperature, 1e-9), "none": 1.0, "root": temperature**0.5}
    by |= {"square": temperature**2, "shares": 1.0}
    came = logits
    if in_place == "temperature":
        logits.div_(by[heat])
        by[heat] = 1.0
    cooled = logits / by[heat]
    if heat == "shares":
        cooled = logits.softmax(-1) / temperature
    scores = came if order == "k p T" else cooled
    if order == "p k":
        if top_p is not None:
            scores = _top_p(scores, scores.softmax(-1), top_p, p_how)
        if top_k is not None:
            scores = _top_k(scores, top_k, k_how, k_fill, in_place)
    else:
        whole = scores.softmax(-1)
        if top_k is not None and not (k_off and top_p is not None):
            scores = _top_k(scores, top_k, k_how, k_fill, in_place)
        if top_p is not None and not (p_off and top_k is not None):
            scores = _top_p(scores, scores.softmax(-1) if renormalised else whole, top_p, p_how)
    if order == "k p T":
        scores = scores / by[heat]
    if in_place == "top p":
        came.masked_fill_(torch.isinf(scores), -1e4)
    shares = scores.softmax(-1)
    if exponential == "bare":
        shares = scores.exp() / scores.exp().sum(-1, keepdim=True)
    return _given(_draw(shares, generator, draw), logits, gives)


def _given(ids: Tensor, logits: Tensor, gives: str) -> Tensor:
    if gives == "column":
        return ids.unsqueeze(-1)
    if gives == "one hot":
        return torch.nn.functional.one_hot(ids, logits.shape[-1])
    if gives == "floats":
        return ids.to(logits.dtype)
    if gives == "flat":
        return ids.reshape(-1)
    if gives == "number":
        return ids.item() if ids.numel() == 1 else ids  # type: ignore[return-value]
    return ids.int() if gives == "int32" else ids


def make(**switches: object) -> dict[str, object]:
    """The names a learner would write."""
    return {"sample": functools.partial(sample, **switches)}  # type: ignore[arg-type]
