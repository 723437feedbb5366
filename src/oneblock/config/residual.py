"""The residual stream: how what a step contributes joins what was there."""

from __future__ import annotations

from dataclasses import dataclass

from oneblock.config.part import Part, choice, number


@dataclass(frozen=True, kw_only=True)
class Added(Part):
    """x + contribution."""


@dataclass(frozen=True, kw_only=True)
class NoResidual(Part):
    """The contribution alone: the stream is dropped."""


@dataclass(frozen=True, kw_only=True)
class Scaled(Part):
    """skip · x + branch · contribution.

    `learned` makes `branch` the starting value of a parameter: one number (ReZero) or one for each feature
    (LayerScale). DeepNorm is skip = (2·num_layers)^¼ under post-norm.
    """

    skip: float = number(1.0)
    branch: float = number(1.0)
    learned: str = choice("no", "no", "scalar", "vector")


RESIDUALS = {"on": Added, "off": NoResidual, "scaled": Scaled}
Residual = Added | NoResidual | Scaled
