"""A mixture of experts in the feed-forward's place: route, carry, tell."""

from __future__ import annotations

from abc import abstractmethod
from typing import Any

import torch
from torch import Tensor, nn

from oneblock.config import experts as config
from oneblock.nn.branch import Branch
from oneblock.nn.context import Context
from oneblock.nn.dense import DENSE
from oneblock.nn.experts.dispatch import DISPATCHES
from oneblock.nn.experts.groups import Groups
from oneblock.nn.experts.losses import gshard_loss, mean_of, over_groups, shares, switch_loss, top_k_loss, z_loss
from oneblock.nn.experts.router import Router
from oneblock.nn.experts.routing import Routing, gshard_routing, switch_routing, top_k_routing
from oneblock.nn.experts.stacked import EXPERTS
from oneblock.nn.record import Routed


class Mixture(Branch):
    """y = Σ_j weight_j · expert_j(x), j the experts the router chose for the token, B × T × D -> B × T × D.

    The router is float32 or wider unless `router_precision` says otherwise; weights are rounded to the stream's type at
    the end. A token that found no place gives 0: the residual alone carries it. Pads go nowhere. What is random is so
    in training only.
    """

    init_scale: float | None = None

    def __init__(
        self,
        option: config.Mixture,
        width: int,
        *,
        norm_in: nn.Module | None = None,
        norm_out: nn.Module | None = None,
        dropout: float = 0.0,
    ) -> None:
        super().__init__(norm_in, norm_out, dropout)
        self.num_experts, self.num_chosen = option.num_experts, option.num_chosen
        self.router = Router(width, option.num_experts, option.jitter, option.router_precision)
        self.experts = EXPERTS[type(option.expert)](option.expert, option.num_experts, width)  # type: ignore[arg-type]
        self.dispatch = DISPATCHES[option.dispatch]
        self.auxiliary_weight, self.z_loss_weight = option.auxiliary_weight, option.z_loss_weight

    def mix(self, x_BTD: Tensor, ctx: Context) -> Tensor:
        groups = Groups(x_BTD.shape[0], x_BTD.shape[1], self.group_size())
        real_BT = None if ctx.padding_BS is None else ~ctx.padding_BS[:, ctx.cached :]
        logits_BTE = self.router(x_BTD)
        logits_GSE, real_GS = groups.split(logits_BTE), groups.real(real_BT, logits_BTE)
        probabilities_GSE = self.router.probabilities(logits_GSE)
        routing = self.route(probabilities_GSE, real_GS, ctx)
        if ctx.record is not None:
            ctx.record.layers.append(self._told(logits_GSE, probabilities_GSE, routing, real_GS))
        return self.dispatch(x_BTD, routing, groups, self.num_experts, self.experts)

    def group_size(self) -> int | None:
        """Tokens that share places; None: the whole batch."""
        return None

    @abstractmethod
    def route(self, probabilities_GSE: Tensor, real_GS: Tensor | None, ctx: Context) -> Routing:
        """Which experts, what weights, who has a place."""

    @abstractmethod
    def balance_loss(self, probabilities_GSE: Tensor, routing: Routing, real_GS: Tensor | None) -> Tensor:
        """The load-balancing loss of the mixture's own paper, a scalar, not yet weighted."""

    def _told(self, logits_GSE: Tensor, probabilities_GSE: Tensor, routing: Routing, real_GS: Tensor | None) -> Routed:
        loss = self.auxiliary_weight * self.balance_loss(probabilities_GSE, routing, real_GS)
        if self.z_loss_weight:
            loss = loss + self.z_loss_weight * z_loss(logits_GSE, real_GS)
        dtype = probabilities_GSE.dtype
        with torch.no_grad():
            load_GE = shares(routing.experts, self.num_experts, real_GS, dtype) / self.num_chosen
            dropped_G = mean_of(routing.without_place().to(dtype), real_GS).mean(-1)
            entropy_G = mean_of(torch.special.entr(probabilities_GSE), real_GS).sum(-1)
            told = [over_groups(x, real_GS) for x in (load_GE, dropped_G, entropy_G)]
        return Routed(loss, *told)


class Limited(Mixture):
    """A mixture whose experts have only so many places in a group of tokens."""

    def __init__(self, option: config.Limited, width: int, **parts: Any) -> None:
        super().__init__(option, width, **parts)
        self.factors = {training: option.factor(training=training) for training in (True, False)}
        self.size, self.places = option.group_size, option.capacity

    def group_size(self) -> int | None:
        unlimited = self.factors[self.training] is None and self.places is None
        return None if unlimited else self.size

    def capacity(self, tokens: int, real_GS: Tensor | None) -> int | Tensor | None:
        """Places of an expert, at least 1, of the tokens that are no pads: one number, or one for each group."""
        factor = self.factors[self.training]
        if factor is None:
            return self.places
        if real_GS is None:
            return max(1, int(factor * self.num_chosen * tokens / self.num_experts))
        counts_G = real_GS.sum(1, dtype=torch.float64)
        return (factor * self.num_chosen * counts_G / self.num_experts).long().clamp(min=1)


class Switch(Limited):
    """p_i(x) · expert_i(x), i the most probable (Fedus et al. 2022)."""

    def __init__(self, option: config.Switch, width: int, **parts: Any) -> None:
        super().__init__(option, width, **parts)
        self.init_scale = option.init_scale

    def route(self, probabilities_GSE: Tensor, real_GS: Tensor | None, ctx: Context) -> Routing:
        return switch_routing(probabilities_GSE, real_GS, self.capacity(probabilities_GSE.shape[1], real_GS))

    def balance_loss(self, probabilities_GSE: Tensor, routing: Routing, real_GS: Tensor | None) -> Tensor:
        return switch_loss(probabilities_GSE, routing.experts, real_GS)


class GShard(Limited):
    """g1 · expert_1(x) + g2 · expert_2(x), the second at random in training (Lepikhin et al. 2021)."""

    def __init__(self, option: config.GShard, width: int, **parts: Any) -> None:
        super().__init__(option, width, **parts)
        self.random_second = option.random_second
        self.by_choice = {
            "choices": {True: True, False: True},
            "tokens": {True: False, False: False},
            "auto": {True: False, False: True},
        }[option.priority]

    def route(self, probabilities_GSE: Tensor, real_GS: Tensor | None, ctx: Context) -> Routing:
        draws = self.training and self.random_second
        draw_GS = torch.rand(probabilities_GSE.shape[:2], device=probabilities_GSE.device) if draws else None
        capacity = self.capacity(probabilities_GSE.shape[1], real_GS)
        by_choice = self.by_choice[ctx.causal]
        return gshard_routing(probabilities_GSE, real_GS, capacity, draw_GS=draw_GS, by_choice=by_choice)

    def balance_loss(self, probabilities_GSE: Tensor, routing: Routing, real_GS: Tensor | None) -> Tensor:
        return gshard_loss(probabilities_GSE, routing.experts, real_GS)


class TopK(Mixture):
    """Σ over the k best experts, and the shared ones besides; nobody is dropped (Jiang et al. 2024; Dai et al. 2024).

    Shared experts that every token goes to are one feed-forward of all their widths together. `choice_bias`, where
    there is one, is a buffer that `balance` moves.
    """

    choice_bias: Tensor | None

    def __init__(self, option: config.TopK, width: int, **parts: Any) -> None:
        super().__init__(option, width, **parts)
        self.renormalise, self.bias_rate = option.renormalise, option.bias_rate
        self.register_buffer("choice_bias", torch.zeros(option.num_experts) if option.bias_rate else None)
        shared = option.shared_option(width)
        self.shared = DENSE[type(shared)](shared, width) if shared else None  # type: ignore[arg-type]

    def mix(self, x_BTD: Tensor, ctx: Context) -> Tensor:
        routed_BTD = super().mix(x_BTD, ctx)
        return routed_BTD if self.shared is None else routed_BTD + self.shared(x_BTD, ctx)

    def route(self, probabilities_GSE: Tensor, real_GS: Tensor | None, ctx: Context) -> Routing:
        return top_k_routing(
            probabilities_GSE, self.num_chosen, real_GS, renormalise=self.renormalise, bias_E=self.choice_bias
        )

    def balance_loss(self, probabilities_GSE: Tensor, routing: Routing, real_GS: Tensor | None) -> Tensor:
        return top_k_loss(probabilities_GSE, routing.experts, real_GS)
