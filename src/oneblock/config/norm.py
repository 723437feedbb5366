"""Norms: what rescales a token's vector."""

from __future__ import annotations

from dataclasses import dataclass

from oneblock.config.part import Part, flag, positive, share


@dataclass(frozen=True, kw_only=True)
class NoNorm(Part):
    """The identity."""


@dataclass(frozen=True, kw_only=True)
class LayerNorm(Part):
    """gain · (x − mean) / sqrt(var + eps) + bias, over the features of one token (population variance)."""

    eps: float = positive(1e-5)
    gain: bool = flag(True)
    bias: bool = flag(True)


@dataclass(frozen=True, kw_only=True)
class RMSNorm(Part):
    """gain · x / sqrt(mean(x²) + eps). With `one_plus`, the gain is 1 + weight and the weight starts at 0 (Gemma)."""

    eps: float = positive(1e-5)
    gain: bool = flag(True)
    one_plus: bool = flag(False)


@dataclass(frozen=True, kw_only=True)
class PartialRMSNorm(Part):
    """RMSNorm whose mean square is taken over the first `fraction` of the features and applied to all of them."""

    fraction: float = share(0.0625, inclusive=True)
    eps: float = positive(1e-5)
    gain: bool = flag(True)


NORMS = {"none": NoNorm, "layer": LayerNorm, "rms": RMSNorm, "partial_rms": PartialRMSNorm}
Norm = NoNorm | LayerNorm | RMSNorm | PartialRMSNorm
