"""How weights start."""

from __future__ import annotations

from dataclasses import dataclass

from oneblock.config.part import Part, choice, flag, positive


@dataclass(frozen=True, kw_only=True)
class Normal(Part):
    """N(0, std²) everywhere; matrices that write to the stream ×1/√(number of residual additions) (GPT-2's paper)."""

    std: float = positive(0.02)
    embedding_std: float | None = positive(None)
    scale_residual: bool = flag(True)


@dataclass(frozen=True, kw_only=True)
class FanIn(Part):
    """N(0, 1/fan_in) for matrices, so that unit variance in gives unit variance out.

    `embedding_std` None: 1, or 1/√D where the head is tied to it, so that logits start at unit variance too.
    `output`: matrices that write to the stream start `scaled` by 1/√(number of additions), as they are, or at zero.
    """

    embedding_std: float | None = positive(None)
    output: str = choice("scaled", "scaled", "full", "zero")


@dataclass(frozen=True, kw_only=True)
class Xavier(Part):
    """U(±√(6/(fan_in + fan_out))) for matrices; the embedding N(0, 1/D) (Vaswani 2017's code)."""


INITS = {"normal": Normal, "fan_in": FanIn, "xavier": Xavier}
Init = Normal | FanIn | Xavier
