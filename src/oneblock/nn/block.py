"""The block: steps, one after another.

    contribution = gate ⊙ norm_out(mix(norm_in(x)·(1 + scale) + shift))  a Branch
    x            = norm(skip(x) + scale(contribution))                   a Residual

Every placement and order the field has named is a filling of these two lines. Shift, scale and gate are there only
in a block that reads a condition.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, Protocol

from torch import Tensor, nn

from oneblock.config.block import Block as BlockConfig
from oneblock.config.modulation import Modulation
from oneblock.config.norm import Norm
from oneblock.config.position import Position
from oneblock.nn.attention import Attention
from oneblock.nn.branch import Branch, Residual, make_residual
from oneblock.nn.context import Context
from oneblock.nn.cross_attention import CrossAttention
from oneblock.nn.feedforward import FEED_FORWARDS
from oneblock.nn.modulation import make_modulation
from oneblock.nn.norm import make_norm
from oneblock.nn.position import attention_position


class Step(NamedTuple):
    """Branches that read the same stream, what stands before them all, and how they join it."""

    branches: dict[str, Branch]
    residual: Residual
    shared_norm: nn.Module | None = None


class Block(nn.Module):
    """Steps, one after another, B × T × D -> B × T × D.

    Branches are attributes under their own names (`attention`, `feed_forward`; a second one `attention_2`), the
    residual of a step under its branches' names (`attention_residual`). `modulate` makes what gives each branch its
    shift, scale and gate, from the branches' names.
    """

    def __init__(self, steps: Sequence[Step], modulate: Callable[[Sequence[str]], nn.Module]) -> None:
        super().__init__()
        self.steps: list[tuple[list[str], str, str]] = []
        for step in steps:
            names = [self._free(name) for name in step.branches]
            joined = "_".join(names)
            for name, branch in zip(names, step.branches.values(), strict=True):
                setattr(self, name, branch)
            setattr(self, f"{joined}_residual", step.residual)
            setattr(self, f"{joined}_norm", step.shared_norm or nn.Identity())
            self.steps.append((names, f"{joined}_norm", f"{joined}_residual"))
        self.modulation = modulate([name for names, _, _ in self.steps for name in names])

    def _free(self, name: str) -> str:
        number = 1 + sum(1 for names, _, _ in self.steps for taken in names if taken.rstrip("_0123456789") == name)
        return name if number == 1 else f"{name}_{number}"

    def forward(self, x_BTD: Tensor, ctx: Context) -> Tensor:
        modulation = self.modulation(ctx)
        for names, norm, residual in self.steps:
            shared_BTD = getattr(self, norm)(x_BTD)
            contributions = [getattr(self, name)(shared_BTD, ctx, modulation[name]) for name in names]
            x_BTD = getattr(self, residual)(x_BTD, sum(contributions[1:], start=contributions[0]))
        return x_BTD


class Fill(Protocol):
    """Makes a branch by name with its norms in place."""

    def __call__(self, name: str, norm_in: nn.Module | None, norm_out: nn.Module | None, dropout: float) -> Branch: ...


def assemble(
    option: BlockConfig,
    width: int,
    fill: Fill,
    norm: Callable[[Norm, int], nn.Module] = make_norm,
    modulation: Callable[[Modulation, Sequence[str], int], nn.Module] = make_modulation,
) -> Block:
    """A block from its configuration: each branch with the norms its placement asks for, each step with its residual.

    `fill`, `norm` and `modulation` make the parts, so that the same assembly also runs on symbols
    (`oneblock.inspect.formula`).
    """
    steps = []
    for names in option.branches:
        branches: dict[str, Branch] = {}
        shares = option.shared_norm and len(names) > 1
        for name in names:
            own = option.only(name)
            norm_in = norm(own.norm, width) if "in" in own.places and not shares else None
            norm_out = norm(own.norm, width) if "out" in own.places else None
            branches[name] = fill(name, norm_in, norm_out, own.dropout)
        own = option.only(names[0])
        on_stream = norm(own.norm, width) if "stream" in own.places else None
        shared = norm(own.norm, width) if shares else None
        steps.append(Step(branches, make_residual(own.residual, width, on_stream), shared))
    return Block(steps, lambda names: modulation(option.modulation, names, width))


def make_block(
    option: BlockConfig, width: int, *, position: Position, first_slot: int, first_memory: int = 0, fused: bool
) -> Block:
    """A block with its parts. `position` is the stack's scheme.

    first_slot, first_memory: the first places in a cache of its attentions and of its cross-attentions
    """
    slots, memories = itertools.count(first_slot), itertools.count(first_memory)

    def attention(**places: Any) -> Branch:
        slot = next(slots)
        scheme = attention_position(
            option.attention.position,
            position,
            num_heads=option.attention.num_heads,
            head_width=option.attention.width_of_head(width),
            slot=slot,
        )
        return Attention(option.attention, width, position=scheme, slot=slot, fused=fused, **places)

    def cross_attention(**places: Any) -> Branch:
        return CrossAttention(option.cross_attention, width, slot=next(memories), fused=fused, **places)

    def feed_forward(**places: Any) -> Branch:
        return FEED_FORWARDS[type(option.feed_forward)](option.feed_forward, width, **places)  # type: ignore[arg-type]

    makers = {"attention": attention, "cross_attention": cross_attention, "feed_forward": feed_forward}

    def fill(name: str, norm_in: nn.Module | None, norm_out: nn.Module | None, dropout: float) -> Branch:
        return makers[name](norm_in=norm_in, norm_out=norm_out, dropout=dropout)

    return assemble(option, width, fill)
