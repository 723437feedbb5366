"""Experts with switches: without any they are right; each variant sets some."""

import functools
import math
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn


def route(
    logits: Tensor,
    k: int,
    capacity: int | None = None,
    *,
    shares: str = "softmax",
    over: int = -1,
    renormalised: str = "over one",
    ends: str = "largest",
    capped: str = "yes",
    order: str = "tokens",
    most: int = 0,
    after: str = "kept",
    dropped: str = "kept",
    gives: str = "weights, chosen",
    cut: bool = False,
    picked: str = "topk",
    in_place: bool = False,
    counted: str = "cumsum",
    zero_is_none: bool = False,
    share_of_tokens: float = 0.0,
) -> Any:
    if in_place:
        logits -= logits.amax(-1, keepdim=True)
    p = {"softmax": logits.softmax(over), "sigmoid": logits.sigmoid(), "logits": logits}.get(shares)
    p = logits.exp() / logits.exp().sum(-1, keepdim=True) if p is None else p
    if picked == "sort":
        values, places = p.sort(dim=-1, descending=True)
        weights, chosen = values[:, :k], places[:, :k]
    elif picked == "unsorted":
        chosen = p.topk(k, dim=-1).indices.sort(dim=-1).values
        weights = p.gather(-1, chosen)
    else:
        weights, chosen = p.topk(k, dim=-1, largest=ends == "largest")
    if renormalised == "of logits" or (renormalised == "of logits over one" and k > 1):
        weights = logits.gather(-1, chosen).softmax(-1)
    elif renormalised == "always" or (renormalised == "over one" and k > 1):
        weights = weights / weights.sum(-1, keepdim=True)
    elif renormalised == "by largest":
        weights = weights / weights[:, :1] if k > 1 else weights
    if cut:
        weights = weights.detach()
    if share_of_tokens and capacity is None:
        capacity = math.ceil(share_of_tokens * len(logits) * k / logits.shape[1])
    if capacity == 0 and zero_is_none:
        capacity = None
    if capacity is not None and capped != "no":
        keep = kept(p, chosen, capacity + most, order, counted)
        if capped == "probability":
            keep = first_by(weights, chosen, capacity)
        weights = weights * keep
        if after == "renormalised":
            weights = weights / weights.sum(-1, keepdim=True).clamp_min(1e-30) if k > 1 else weights
        elif after == "all or nothing":
            weights = weights * keep.all(-1, keepdim=True)
        if dropped == "minus one":
            chosen = chosen.masked_fill(~keep, -1)
        elif dropped == "next":
            spare = p.masked_fill(F.one_hot(chosen, p.shape[-1]).sum(1).bool(), -1).argmax(-1, keepdim=True)
            weights = torch.where(keep, weights, p.gather(-1, spare) * torch.ones_like(weights))
            chosen = torch.where(keep, chosen, spare)
    if gives == "floats":
        chosen = chosen.to(logits.dtype)
    elif gives == "table":
        return torch.zeros_like(p).scatter(-1, chosen, weights), chosen
    elif gives == "shares":
        return p, chosen
    return (chosen, weights) if gives == "chosen, weights" else (weights, chosen)


# A name of its own: `route` may come to stand for a variant.
routed = route


def kept(p: Tensor, chosen: Tensor, capacity: int, order: str, counted: str) -> Tensor:
    """Which choices find a place."""
    if counted == "loop":
        taken, keep = [0] * p.shape[-1], torch.zeros(chosen.shape, dtype=torch.bool)
        for token, row in enumerate(chosen.tolist()):
            for choice, expert in enumerate(row):
                keep[token, choice] = taken[expert] < capacity
                taken[expert] += 1
        return keep
    asks = {"choices": chosen.T, "from behind": chosen.flip(0)}.get(order, chosen)
    rows = F.one_hot(asks.flatten(), p.shape[-1])
    if order == "each choice":
        return ((F.one_hot(chosen, p.shape[-1]).cumsum(0) - 1).gather(-1, chosen[..., None])[..., 0]) < capacity
    place = ((rows.cumsum(0) - 1) * rows).sum(-1)
    if order == "all experts":
        place = torch.arange(len(rows))
    place = place.reshape(asks.shape)
    return {"choices": place.T, "from behind": place.flip(0)}.get(order, place) < capacity


def first_by(weights: Tensor, chosen: Tensor, capacity: int) -> Tensor:
    """The surest tokens find a place first."""
    flat, experts = weights.detach().flatten(), chosen.flatten()
    surer = (flat[None, :] > flat[:, None]) & (experts[None, :] == experts[:, None])
    return (surer.sum(-1) < capacity).reshape(chosen.shape)


class Expert(nn.Module):
    def __init__(self, width: int, hidden: int, act: str, bias: bool) -> None:
        super().__init__()
        self.up, self.down = nn.Linear(width, hidden, bias=bias), nn.Linear(hidden, width, bias=bias)
        self.act = act

    def forward(self, x: Tensor) -> Tensor:
        h = self.up(x)
        tanh = F.gelu(h, approximate="tanh")
        acts = {"gelu": F.gelu(h), "tanh": tanh, "relu": h.relu(), "silu": F.silu(h), "none": h}
        return self.down(acts[self.act])


class MixtureOfExperts(nn.Module):
    def __init__(
        self,
        width: int,
        hidden: int,
        num_experts: int,
        k: int,
        *,
        act: str = "gelu",
        bias: bool = False,
        gate: str = "outside",
        rows: str = "right",
        runs: str = "loop",
        adds: bool = False,
        one: bool = False,
        first: bool = False,
        by: str = "token",
        stops: bool = False,
        noisy: bool = False,
        stacked: bool = False,
        gating: dict[str, Any] | None = None,
        x_in_place: bool = False,
        assigned: bool = False,
    ) -> None:
        super().__init__()
        self.router = nn.Linear(width, num_experts, bias=False)
        if stacked:
            self.up = nn.Parameter(torch.randn(num_experts, hidden, width))
            self.down = nn.Parameter(torch.randn(num_experts, width, hidden))
        else:
            experts = [Expert(width, hidden, act, bias) for _ in range(num_experts)]
            self.experts = nn.ModuleList(experts[:1] * num_experts if one else experts)
        self.k, self.gate, self.rows, self.runs, self.adds, self.first = k, gate, rows, runs, adds, first
        self.by, self.stops, self.noisy, self.stacked, self.gating = by, stops, noisy, stacked, gating or {}
        self.x_in_place, self.assigned = x_in_place, assigned

    def forward(self, x: Tensor) -> Tensor:
        if self.x_in_place:
            x *= 1.5
        tokens = x.reshape(-1, x.shape[-1])
        asks = x.mean(1, keepdim=True).expand_as(x).reshape(tokens.shape) if self.by == "sequence" else tokens
        logits = self.router(asks)
        if self.noisy:
            logits = logits + 0.1 * torch.randn_like(logits)
        weights, chosen = routed(logits, self.k, **self.gating)
        if self.gate == "cut":
            weights = weights.detach()
        elif self.gate == "none":
            weights = torch.ones_like(weights)
        elif self.gate == "mean":
            weights = torch.full_like(weights, 1 / self.k)
        elif self.gate == "turned":
            weights = weights.flip(-1)
        if self.first:
            weights, chosen = weights[:, :1], chosen[:, :1]
        if self.stacked:
            h = F.gelu(torch.einsum("nd,efd->nef", tokens, self.up))
            every = torch.einsum("nef,edf->ned", h, self.down)
        elif self.runs == "all" or self.gate in ("inside", "hidden"):
            every = torch.stack([expert(tokens) for expert in self.experts], 1)
        if self.stacked or self.runs == "all":
            table = torch.zeros_like(logits).scatter(-1, chosen, weights)
            table = logits.softmax(-1) if self.by == "all" else table
            return torch.einsum("ne,ned->nd", table, every).reshape(x.shape)
        output = torch.zeros_like(tokens)
        for number, expert in enumerate(self.experts):
            token, choice = (chosen == number).nonzero(as_tuple=True)
            if not len(token):
                if self.stops:
                    break
                continue
            w = weights[token, choice, None]
            y = expert(w * tokens[token]) if self.gate == "inside" else w * expert(tokens[token])
            place = {"right": token, "first": torch.arange(len(token)), "back": token.flip(0)}[self.rows]
            if self.assigned:
                output = output.index_copy(0, place, y)
            else:
                output = output.index_add(0, place, y)
        output = output.reshape(x.shape)
        return output + x if self.adds else output


def load_balancing_loss(
    probabilities: Tensor,
    chosen: Tensor,
    *,
    factor: str = "experts",
    share: str = "choices",
    mean: str = "tokens",
    again: bool = False,
    loss_cut: bool = False,
    squared: bool = False,
    loss_counted: str = "bincount",
    scalar: bool = True,
) -> Tensor:
    tokens, num_experts = probabilities.shape
    k = chosen.shape[1]
    p = probabilities.softmax(-1) if again else probabilities
    hot = F.one_hot(chosen, num_experts).to(p.dtype)
    if share == "arg max":
        hot = F.one_hot(p.topk(k, dim=-1).indices, num_experts).to(p.dtype)
    counts = hot[:, :1].sum((0, 1)) * k if share == "first" else hot.sum((0, 1))
    if loss_counted == "bincount" and share == "choices":
        counts = torch.bincount(chosen.flatten(), minlength=num_experts).to(p.dtype)
    f = counts / {"tokens": tokens, "count": 1}.get(share, tokens * k)
    if mean == "chosen":
        P = (p * hot.sum(1)).sum(0) / tokens
    else:
        P = {"tokens": p.mean(0), "sum": p.sum(0), "largest": p.amax(0)}[mean]
    P = P.detach() if loss_cut else P
    if squared:
        f, P = f, f
    total = (f * P).sum() if scalar else f * P
    return total * {"experts": num_experts, "none": 1, "k": num_experts * k, "over k": num_experts / k}[factor]


ROUTE = (
    "shares", "over", "renormalised", "ends", "capped", "order", "most", "after", "dropped", "gives", "cut", "picked",
    "in_place", "counted", "zero_is_none",
)  # fmt: skip
LOSS = ("factor", "share", "mean", "again", "loss_cut", "squared", "loss_counted", "scalar")


def make(**switches: Any) -> dict[str, Any]:
    """The names a learner would write."""
    of = {name: value for name, value in switches.items() if name in ROUTE}
    loss = {name: value for name, value in switches.items() if name in LOSS}
    rest = {name: value for name, value in switches.items() if name not in (*ROUTE, *LOSS)}
    names: dict[str, Any] = {
        "route": functools.partial(route, **of),
        "MixtureOfExperts": functools.partial(MixtureOfExperts, **rest),
        "load_balancing_loss": functools.partial(load_balancing_loss, **loss),
    }
    if switches.get("stacked"):
        names["mapping"] = lambda: {f"experts.{e}.{n}.weight": f"{n}[{e}]" for e in range(8) for n in ("up", "down")}
    return names
