"""Mixtures of experts: several feed-forwards, and a router that sends each token to one or a few of them."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, replace

from oneblock.config.dense import DENSE, Dense, Gated
from oneblock.config.errors import ConfigError
from oneblock.config.part import Part, choice, count, flag, non_negative, option, positive, share


@dataclass(frozen=True, kw_only=True)
class Mixture(Part, ABC):
    """What every mixture has.

    num_experts:      E
    expert:           what one expert is, its inner width, activation and (fine-tuning) dropout
    auxiliary_weight: of the load-balancing loss, in the scale of the mixture's own paper
    z_loss_weight:    of the mean of logsumexp(router logits)² (ST-MoE: 0.001)
    jitter:           in training the router's input, and only its, is multiplied by U(1 − jitter, 1 + jitter)
    router_precision: of the router's logits and softmax: float32, or wider where the stream is, or bfloat16, with which
                      Fedus et al. 2022 saw training diverge (section 2.4, table 2)
    dispatch:         `sorted`: tokens sorted by expert; `einsum`: the papers' masks, S × E × C (to read, and slow)
    """

    num_experts: int = count(8)
    expert: Dense | Gated = option(DENSE, Dense(activation="relu"))
    auxiliary_weight: float = non_negative(0.01)
    z_loss_weight: float = non_negative(0.0)
    jitter: float = share(0.0)
    router_precision: str = choice("float32", "float32", "bfloat16")
    dispatch: str = choice("sorted", "sorted", "einsum")

    @property
    @abstractmethod
    def num_chosen(self) -> int:
        """How many experts a token goes to."""

    def hidden_width(self, width: int) -> int:
        """F, the inner width of one expert."""
        return self.expert.hidden_width(width)

    def shared_option(self, width: int) -> Dense | Gated | None:
        """The experts that every token goes to besides, as one feed-forward as wide as all of them."""
        return None


@dataclass(frozen=True, kw_only=True)
class Limited(Mixture):
    """A mixture whose experts have only so many places: C = ⌊factor · k · S / E⌋, or a number that is given.

    capacity_factor:      in training; None: no limit. A token that finds no place is carried by the residual alone
    eval_capacity_factor: in evaluation; None: no limit, so that neither the batch nor a cache changes anything
    capacity:             C itself, in training and in evaluation, whatever S is; then both factors are None
    group_size:           S, tokens that share the places: neighbours in one row, or, with S as long as a row or longer,
                          the row; None: the whole batch
    """

    capacity_factor: float | None = positive(1.0)
    eval_capacity_factor: float | None = positive(None)
    capacity: int | None = count(None)
    group_size: int | None = count(None)

    def factor(self, *, training: bool) -> float | None:
        """The capacity factor in training or in evaluation."""
        return self.capacity_factor if training else self.eval_capacity_factor

    def places(self, factor: float, tokens: int) -> int:
        """C for a group of so many tokens, by a factor."""
        return int(factor * self.num_chosen * tokens / self.num_experts)

    def limit(self, tokens: int, *, training: bool) -> int | None:
        """C for a group of so many tokens, at least 1; None: no limit."""
        factor = self.factor(training=training)
        return self.capacity if factor is None else max(1, self.places(factor, tokens))

    @property
    def is_limited(self) -> bool:
        """Whether there is any limit, in training or in evaluation."""
        limits = (self.capacity, self.capacity_factor, self.eval_capacity_factor)
        return any(limit is not None for limit in limits)


@dataclass(frozen=True, kw_only=True)
class Switch(Limited):
    """Each token to its one best expert, times that expert's probability (Fedus et al. 2022).

    init_scale: s of the weights' truncated normal, σ = √(s / fan-in); None: the model's own scheme
    """

    jitter: float = share(0.01)
    capacity_factor: float | None = positive(1.25)
    init_scale: float | None = positive(0.1)

    @property
    def num_chosen(self) -> int:
        return 1


@dataclass(frozen=True, kw_only=True)
class GShard(Limited):
    """Each token to its two best experts, the second one at random by its weight (Lepikhin et al. 2021, algorithm 1).

    auxiliary_weight: the paper's loss is 1/E² when balanced, so that Switch's weight of 0.01 is 0.01 · E² here
    random_second:    in training the second expert is taken with probability min(1, 2 · its weight), else always
    priority:         who finds a place first. `choices`: all first choices, then all second ones, as the paper has it;
                      a later token can so take an earlier one's second place. `tokens`: token by token. `auto`:
                      `tokens` in a causal model, else `choices`
    """

    auxiliary_weight: float = non_negative(0.64)
    random_second: bool = flag(True)
    priority: str = choice("auto", "auto", "choices", "tokens")

    @property
    def num_chosen(self) -> int:
        return 2


@dataclass(frozen=True, kw_only=True)
class TopK(Mixture):
    """Each token to its k best experts, nobody left out (Mixtral; with shared experts, DeepSeekMoE).

    k:              experts for each token
    renormalise:    the k weights sum to 1; with k = 1 all are then 1, and the task teaches the router nothing
    shared_experts: that many more, which every token goes to
    bias_rate:      loss-free balance (Wang et al. 2024): a bias on each expert's choice, not on its weight, moved by
                    that much after a step (`balance`); 0: there is no bias
    """

    expert: Dense | Gated = option(DENSE, Gated())
    k: int = count(2)
    renormalise: bool = flag(True)
    shared_experts: int = count(0, minimum=0)
    bias_rate: float = non_negative(0.0)

    @property
    def num_chosen(self) -> int:
        return self.k

    def shared_option(self, width: int) -> Dense | Gated | None:
        hidden = self.shared_experts * self.hidden_width(width)
        return replace(self.expert, hidden=hidden) if self.shared_experts else None


def experts_of_each(num_experts: int, processes: int) -> int:
    """How many experts each of several processes holds; ConfigError where they cannot be shared out evenly."""
    if num_experts % processes:
        options = range(processes, 8 * processes + 1, processes)
        raise ConfigError("num_experts", num_experts, f"must be shared out evenly over {processes} processes", options)
    return num_experts // processes
