"""Modulation: how a condition (a time, a class) steers every block."""

from __future__ import annotations

from dataclasses import dataclass

from oneblock.config.part import Part


@dataclass(frozen=True, kw_only=True)
class NoModulation(Part):
    """The block knows of no condition."""


@dataclass(frozen=True, kw_only=True)
class AdaLN(Part):
    """Each branch reads x·(1 + scale) + shift, two vectors from the condition; its plain norm at first."""


@dataclass(frozen=True, kw_only=True)
class AdaLNZero(Part):
    """AdaLN, and each contribution times a gate from the condition, 0 at first: the block starts as the identity."""


MODULATIONS = {"none": NoModulation, "adaln": AdaLN, "adaln_zero": AdaLNZero}
Modulation = NoModulation | AdaLN | AdaLNZero
