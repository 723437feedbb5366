"""Rules across the fields of a mixture of experts, inside its model: one table of (where, broken?, rule, options)."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any, NamedTuple

from oneblock.config.block import named_blocks
from oneblock.config.errors import ConfigError, divisors
from oneblock.config.experts import GShard, Limited, Mixture, TopK, experts_of_each

if TYPE_CHECKING:
    from oneblock.config.block import Block
    from oneblock.config.config import Config, Model


class MixtureRule(NamedTuple):
    """One rule on a mixture (m) in a model whose rows have up to `context` tokens."""

    field: str
    broken: Callable[[Mixture, int], bool]
    says: Callable[[Mixture, int], str]
    options: Callable[[Mixture, int], Iterable[object]]


def _group(m: Mixture, context: int) -> int:
    # A group never reaches beyond its row.
    return min(getattr(m, "group_size", None) or context, context)


def _drops_everything(field: str) -> MixtureRule:
    def broken(m: Mixture, context: int) -> bool:
        factor: float | None = getattr(m, field, None)
        return isinstance(m, Limited) and factor is not None and m.places(factor, _group(m, context)) < 1

    return MixtureRule(
        field,
        broken,
        lambda m, context: (
            f"leaves an expert no place: {field} · {m.num_chosen} · {_group(m, context)} tokens / "
            f"num_experts={m.num_experts} is below 1, and every token would be dropped"
        ),
        lambda m, context: (
            f"{m.num_experts / (m.num_chosen * _group(m, context)):.4g} or more",
            "none (no limit)",
            "fewer experts",
        ),
    )


MIXTURE_RULES = (
    MixtureRule(
        "k",
        lambda m, context: isinstance(m, TopK) and m.k > m.num_experts,
        lambda m, context: f"is more than there are experts (num_experts={m.num_experts})",
        lambda m, context: range(1, min(m.num_experts, 8) + 1),
    ),
    MixtureRule(
        "num_experts",
        lambda m, context: isinstance(m, GShard) and m.num_experts < m.num_chosen,
        lambda m, context: "is too few: each token goes to two different ones",
        lambda m, context: (2, 4, 8),
    ),
    MixtureRule(
        "group_size",
        lambda m, context: context % _group(m, context) != 0,
        lambda m, context: f"must divide the {context} tokens of a row",
        lambda m, context: (*divisors(context, at_most=512), "none (the whole batch)"),
    ),
    MixtureRule(
        "group_size",
        lambda m, context: isinstance(m, Limited) and m.group_size is not None and not m.is_limited,
        lambda m, context: (
            "says which tokens share the experts' places, and without a capacity there is no limit to them"
        ),
        lambda m, context: ("none", "capacity_factor=1.25"),
    ),
    MixtureRule(
        "capacity",
        lambda m, context: (
            isinstance(m, Limited)
            and m.capacity is not None
            and (m.capacity_factor is not None or m.eval_capacity_factor is not None)
        ),
        lambda m, context: "is the number of places itself, and a capacity factor says another",
        lambda m, context: ("none", "capacity_factor=none and eval_capacity_factor=none"),
    ),
    _drops_everything("capacity_factor"),
    _drops_everything("eval_capacity_factor"),
)


def check_mixture(block: Block, context: int, where: str) -> None:
    """Raise `ConfigError` for the first rule that a block's mixture of experts breaks; `where` is the block's path."""
    mixture = block.mixture
    if mixture is None:
        return
    for rule in MIXTURE_RULES:
        if rule.broken(mixture, context):
            path, value = f"{where}.feed_forward.{rule.field}", getattr(mixture, rule.field)
            raise ConfigError(path, value, rule.says(mixture, context), rule.options(mixture, context))


def check_over_processes(config: Config | Model, processes: int, *, sharded: bool = False) -> None:
    """Raise `ConfigError` where several processes, each with its own rows, would not train what one does.

    That is so where experts have a limit and the whole batch is one group: each process's rows would be a group of
    their own. sharded: the experts are shared out over the processes too, and must come out even.
    """
    model: Any = getattr(config, "model", config)
    stacks = {"": model} if hasattr(model, "blocks") else {"encoder.": model.encoder, "decoder.": model.decoder}
    for before, stack in stacks.items() if processes > 1 else ():
        for where, block in named_blocks(stack.blocks):
            if block.mixture is not None:
                _check_shared(block.mixture, stack.context, processes, f"{before}{where}.feed_forward", sharded)


def _check_shared(mixture: Mixture, context: int, processes: int, where: str, sharded: bool) -> None:
    field = "capacity" if getattr(mixture, "capacity", None) else "capacity_factor"
    limit = getattr(mixture, field, None)
    if isinstance(mixture, Limited) and limit is not None and mixture.group_size is None:
        raise ConfigError(
            f"{where}.group_size",
            "none",
            f"lets all tokens of a batch share the experts' places ({field}={limit}), and "
            f"of {processes} processes each sees a part of the batch",
            (f"--set {where}.group_size={context}", f"--set {where}.{field}=none", "one process"),
        )
    if sharded:
        try:
            experts_of_each(mixture.num_experts, processes)
        except ConfigError as error:
            raise error.at(where) from None
