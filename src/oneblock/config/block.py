"""The block: steps, one after another, each with its norms and its residual."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from oneblock.config.attention import Attention
from oneblock.config.errors import ConfigError
from oneblock.config.experts import Mixture
from oneblock.config.feedforward import FEED_FORWARDS, Dense, FeedForward
from oneblock.config.modulation import MODULATIONS, Modulation, NoModulation
from oneblock.config.norm import NORMS, LayerNorm, Norm
from oneblock.config.part import Part, choice, flag, option, share
from oneblock.config.residual import RESIDUALS, Added, Residual

BRANCHES = ("attention", "cross_attention", "feed_forward")

PLACEMENTS: dict[str, tuple[str, ...]] = {
    "pre": ("in",),
    "post": ("stream",),
    "peri": ("in", "out"),
    "out": ("out",),
    "none": (),
}
"""The field's names for norm placements -> the places of `x = stream(skip(x) + out(mixer(in(x))))` that are filled."""


@dataclass(frozen=True, kw_only=True)
class Only(Part):
    """What one branch has otherwise than its block; None: as the block."""

    norm: Norm | None = option(NORMS, None)
    placement: str | None = choice(None, *PLACEMENTS)
    residual: Residual | None = option(RESIDUALS, None)
    dropout: float | None = share(None)


def named_blocks(blocks: Sequence[Block]) -> Iterator[tuple[str, Block]]:
    """The blocks of a pattern, each under the path by which a person sets its options."""
    for index, block in enumerate(blocks):
        yield "block" if len(blocks) == 1 else f"blocks.{index}", block


class Chosen(NamedTuple):
    """What one branch has, whoever said it."""

    norm: Norm
    placement: str
    residual: Residual
    dropout: float

    @property
    def places(self) -> tuple[str, ...]:
        """The places that its norm fills."""
        return PLACEMENTS[self.placement]


@dataclass(frozen=True, kw_only=True)
class Block(Part):
    """One block. `steps` are taken in order; `a+b` is one step in which both read the same stream (parallel).

    A `cross_attention` step reads what an encoder has made (the memory).

    placement:   where the norms stand: pre, post, peri, out, none
    shared_norm: in a parallel step, one norm in front of both (GPT-J) instead of one each (GPT-NeoX)
    dropout:     on each contribution, before it joins the stream
    modulation:  shift and scale behind each norm in front, and a gate, from a condition (a diffusion transformer)
    """

    steps: tuple[str, ...] = field(default=("attention", "feed_forward"))
    attention: Attention = field(default_factory=Attention)
    cross_attention: Attention = field(default_factory=Attention)
    feed_forward: FeedForward = option(FEED_FORWARDS, Dense())
    norm: Norm = option(NORMS, LayerNorm())
    placement: str = choice("pre", *PLACEMENTS)
    residual: Residual = option(RESIDUALS, Added())
    dropout: float = share(0.0)
    shared_norm: bool = flag(False)
    modulation: Modulation = option(MODULATIONS, NoModulation())
    attention_only: Only = field(default_factory=Only)
    cross_attention_only: Only = field(default_factory=Only)
    feed_forward_only: Only = field(default_factory=Only)

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.steps:
            raise ConfigError("steps", "()", "must name at least one step", ("attention,feed_forward",))
        for name in (name for step in self.branches for name in step):
            if name not in BRANCHES:
                raise ConfigError("steps", name, "is not a step", (*BRANCHES, "attention+feed_forward"))

    @property
    def branches(self) -> tuple[tuple[str, ...], ...]:
        """The steps, each as the names of the branches it adds."""
        return tuple(tuple(part.strip() for part in step.split("+")) for step in self.steps)

    @property
    def num_attentions(self) -> int:
        """How many attentions it takes: that many places in a cache."""
        return self.count("attention")

    def count(self, branch: str) -> int:
        """How many branches of that name it has."""
        return sum(name == branch for step in self.branches for name in step)

    @property
    def mixture(self) -> Mixture | None:
        """The mixture of experts that it takes, if it takes one."""
        option = self.feed_forward
        return option if isinstance(option, Mixture) and self.count("feed_forward") else None

    def only(self, branch: str) -> Chosen:
        """The branch's own choices, filled up with the block's."""
        own: Only = {
            "attention": self.attention_only,
            "cross_attention": self.cross_attention_only,
            "feed_forward": self.feed_forward_only,
        }[branch]
        return Chosen(
            norm=own.norm or self.norm,
            placement=own.placement or self.placement,
            residual=own.residual or self.residual,
            dropout=self.dropout if own.dropout is None else own.dropout,
        )
