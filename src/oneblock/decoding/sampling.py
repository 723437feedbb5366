"""From logits to the next token: temperature, then top-k, then top-p, then one draw."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from oneblock.decoding.errors import GenerateError

# A nucleus whose mass reaches p up to float32's rounding has reached it.
ROUNDING = 1e-6


@dataclass(frozen=True, kw_only=True)
class Sampling:
    """How the next token is chosen.

    temperature: logits are divided by it; 0: always the most likely token, of equals the lowest id
    top_k:       only the k most likely tokens, of equals the lowest ids; None: all
    top_p:       only the fewest tokens that together reach p (Holtzman et al. 2020, nucleus); None: all
    """

    temperature: float = 1.0
    top_k: int | None = None
    top_p: float | None = None

    def __post_init__(self) -> None:
        if not _is_number(self.temperature) or not 0 <= self.temperature < math.inf:
            raise GenerateError(
                f"temperature={self.temperature!r} must be a number of at least 0; "
                "try 0 (always the most likely token), 0.8 or 1.0"
            )
        if self.top_k is not None and (type(self.top_k) is not int or self.top_k < 1):
            raise GenerateError(
                f"top_k={self.top_k!r} must be a whole number of at least 1, or None (all tokens); try 50"
            )
        if self.top_p is not None and (not _is_number(self.top_p) or not 0 < self.top_p <= 1):
            raise GenerateError(f"top_p={self.top_p!r} must be above 0 and at most 1, or None (all tokens); try 0.95")

    def choose(self, logits_BV: Tensor, chance_B: Tensor | None) -> Tensor:
        """Token ids for chances drawn evenly from [0, 1); −1 where the logits are NaN, +∞ or all −∞.

        The first token at which the probabilities, summed up in the order of the ids, reach 1 − chance.
        """
        logits_BV = logits_BV.to(torch.promote_types(logits_BV.dtype, torch.float32))
        most = logits_BV.max(dim=-1, keepdim=True)
        if self.temperature == 0 or self.top_k == 1:
            ids = most.indices.squeeze(-1)
        else:
            assert chance_B is not None
            # Taking the largest away first keeps a tiny temperature from making infinities.
            scores_BV = (logits_BV - most.values) / self.temperature
            if self.top_k is not None and self.top_k < logits_BV.shape[-1]:
                scores_BV = keep_top_k(scores_BV, self.top_k)
            if self.top_p is not None and self.top_p < 1:
                scores_BV = keep_top_p(scores_BV, self.top_p)
            # The draw scales with their sum, so that the probabilities need no dividing by it.
            sum_BV = scores_BV.exp().cumsum(dim=-1, dtype=torch.float64)
            # (0, total], not [0, total): so a token of probability 0 is never the first to reach it.
            reached_B1 = (1 - chance_B).unsqueeze(-1) * sum_BV[..., -1:]
            ids = torch.searchsorted(sum_BV, reached_B1).squeeze(-1)
        return torch.where(most.values.squeeze(-1).abs() < torch.inf, ids, -1)


def keep_top_k(scores_BV: Tensor, k: int) -> Tensor:
    """The k highest scores, of equals the lowest ids; −∞ elsewhere."""
    least_B1 = scores_BV.topk(k, dim=-1).values[..., -1:]
    above_BV, equal_BV = scores_BV > least_B1, scores_BV == least_B1
    room_B1 = k - above_BV.sum(dim=-1, keepdim=True)
    return scores_BV.masked_fill(~(above_BV | (equal_BV & (equal_BV.cumsum(dim=-1) <= room_B1))), -torch.inf)


def keep_top_p(scores_BV: Tensor, p: float) -> Tensor:
    """The fewest highest scores whose softmax reaches p, the one that crosses p included; −∞ elsewhere."""
    ordered_BV, order_BV = scores_BV.sort(dim=-1, descending=True, stable=True)
    probability_BV = ordered_BV.to(torch.float64).softmax(dim=-1)
    before_BV = probability_BV.cumsum(dim=-1) - probability_BV
    drop_BV = before_BV >= p * (1 - ROUNDING)
    return scores_BV.masked_fill(drop_BV.scatter(-1, order_BV, drop_BV), -torch.inf)


def sample(
    logits_BV: Tensor,
    temperature: float = 1.0,
    top_k: int | None = None,
    top_p: float | None = None,
    generator: torch.Generator | None = None,
) -> Tensor:
    """Next-token ids B for logits B × V (or one id for V): softmax(logits / temperature), filtered, one draw.

    Temperature, then top-k, then top-p on what is left and renormalised; None turns a filter off, temperature
    0 is argmax. In float32 or wider. `generator` gives all the randomness (None: torch's own).
    GenerateError for settings out of range and for logits that are NaN, +∞ or all −∞.
    """
    sampling = Sampling(temperature=temperature, top_k=top_k, top_p=top_p)
    if logits_BV.dim() == 0 or logits_BV.numel() == 0 or not logits_BV.is_floating_point():
        raise GenerateError(
            f"logits must be numbers of shape B × V or V, got {logits_BV.dtype} {tuple(logits_BV.shape)}"
        )
    where = generator.device if generator is not None else logits_BV.device
    chance_B = torch.rand(logits_BV.shape[:-1], generator=generator, dtype=torch.float64, device=where)
    ids_B = sampling.choose(logits_BV, chance_B.to(logits_BV.device))
    check_chosen(ids_B)
    return ids_B


def check_chosen(ids_B: Tensor) -> None:
    """GenerateError where `choose` found no logits to choose by."""
    if min(ids_B.flatten().tolist()) < 0:
        rows = (ids_B.reshape(-1) < 0).nonzero().flatten().tolist()
        raise GenerateError(
            f"the logits of row {', '.join(map(str, rows))} are NaN or infinite, so no token can be chosen; "
            "look for such numbers in the model's weights, or load an earlier checkpoint"
        )


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and not math.isnan(value)
