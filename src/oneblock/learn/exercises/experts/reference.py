"""Experts, right: a router's softmax, the k largest, and each expert run on the tokens that have chosen it."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn


def route(logits: Tensor, k: int, capacity: int | None = None) -> tuple[Tensor, Tensor]:
    weights, chosen = logits.softmax(dim=-1).topk(k, dim=-1)
    if k > 1:
        weights = weights / weights.sum(dim=-1, keepdim=True)
    if capacity is not None:
        # One row a choice, in token order; place: how many rows before it chose the same expert.
        rows = F.one_hot(chosen.flatten(), logits.shape[-1])
        place = ((rows.cumsum(dim=0) - 1) * rows).sum(dim=-1).reshape(chosen.shape)
        weights = weights * (place < capacity)
    return weights, chosen


class Expert(nn.Module):
    def __init__(self, width: int, hidden: int) -> None:
        super().__init__()
        self.up = nn.Linear(width, hidden, bias=False)
        self.down = nn.Linear(hidden, width, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        return self.down(F.gelu(self.up(x)))


class MixtureOfExperts(nn.Module):
    def __init__(self, width: int, hidden: int, num_experts: int, k: int) -> None:
        super().__init__()
        self.k = k
        self.router = nn.Linear(width, num_experts, bias=False)
        self.experts = nn.ModuleList(Expert(width, hidden) for _ in range(num_experts))

    def forward(self, x: Tensor) -> Tensor:
        tokens = x.reshape(-1, x.shape[-1])
        weights, chosen = route(self.router(tokens), self.k)
        output = torch.zeros_like(tokens)
        for number, expert in enumerate(self.experts):
            token, choice = (chosen == number).nonzero(as_tuple=True)
            if len(token):
                output = output.index_add(0, token, weights[token, choice, None] * expert(tokens[token]))
        return output.reshape(x.shape)


def load_balancing_loss(probabilities: Tensor, chosen: Tensor) -> Tensor:
    num_experts = probabilities.shape[-1]
    counts = torch.bincount(chosen.flatten(), minlength=num_experts).to(probabilities.dtype)
    return num_experts * (counts / chosen.numel() * probabilities.mean(dim=0)).sum()
