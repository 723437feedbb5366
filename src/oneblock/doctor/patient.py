"""`Patient`: a target with the copies that checks work on. The model itself is only ever copied."""

from __future__ import annotations

import copy
import shlex
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any
from unittest import mock

import torch
from torch import Tensor, nn

from oneblock.doctor.calling import seeded
from oneblock.doctor.target import Target

SMALL = 4_000_000
"""Up to so many parameters, copies are float64 and checks that train may run."""
LARGE = 200_000_000
"""Up to so many, what float32 leaves open is asked again in float64: three copies of 8 bytes a parameter."""


@dataclass(frozen=True, kw_only=True)
class Told:
    """How the examination was asked for: the TARGET's name ("" for a model in hand) and what went with it."""

    name: str = ""
    expect: tuple[str, ...] = ()
    trust: bool = False


class Patient:
    """A target, what is expected of it, and its copies.

    plain:   in eval mode, float64 where the model runs in it
    stirred: the same with every weight awake, so that a projection or gate that starts at zero hides nothing.
             What must hold, must hold for any weights.
    loud:    matrices several times as large: attention scores in the tens, where a weak mask shows
    """

    def __init__(
        self,
        target: Target,
        *,
        seed: int,
        expect: dict[str, str],
        again: Callable[[], Any] | None,
        guessed: bool = False,
        told: Told | None = None,
    ) -> None:
        self.target, self.seed, self.expect, self._again = target, seed, expect, again
        self.guessed = guessed
        self._told = told or Told()

    @property
    def again(self) -> Callable[[], Any] | None:
        """What makes another one with fresh weights, where there is such a thing; guessed: its class, called anew."""
        return self._again

    @property
    def size(self) -> int:
        """Its parameters, each once."""
        return sum(p.numel() for p in self.target.module.parameters())

    @property
    def small(self) -> bool:
        """Whether it may be trained for a moment."""
        return self.size <= SMALL

    def copy(self, dtype: torch.dtype | None = None, *, train: bool = False) -> Target:
        """A copy to do anything with."""
        made = self.target.on(copy.deepcopy(self.target.thing))
        if isinstance(made.module, nn.Module):
            made.module.train(train)
        for parameter in made.module.parameters():
            parameter.grad = None
        if dtype is not None:
            made.module.to(dtype)
        if dtype == torch.float64:
            _without_kernels_of_16_bits(made.module)
        return made

    @cached_property
    def dtype(self) -> torch.dtype:
        """float64 where a copy runs in it, else float32."""
        return torch.float64 if self.size <= SMALL and self._runs(torch.float64) else torch.float32

    def _runs(self, dtype: torch.dtype) -> bool:
        trial = self.copy(dtype)
        try:
            with torch.no_grad():
                trial(trial.sample(2, min(5, trial.max_len), self.seed))
        except Exception:
            return False
        return True

    @cached_property
    def plain(self) -> Target:
        """As it is."""
        return self.copy(self.dtype)

    @cached_property
    def stirred(self) -> Target:
        """Every weight awake."""
        made = self.copy(self.dtype)
        stir(made.module, self.seed)
        return made

    @cached_property
    def loud(self) -> Target:
        """Large scores."""
        made = self.copy(self.dtype)
        stir(made.module, self.seed, gain=3.0)
        return made

    def narrow(self) -> Patient:
        """The same patient with float32 copies."""
        return self._in(torch.float32)

    @cached_property
    def wide(self) -> Patient | None:
        """The same with float64 copies, of a patient that is too large to have them for every question; None of one
        that has them, is larger still or does not run in float64."""
        if self.dtype == torch.float64 or not SMALL < self.size <= LARGE:
            return None
        return self._in(torch.float64) if self._runs(torch.float64) else None

    def _in(self, dtype: torch.dtype) -> Patient:
        more: dict[str, Any] = {"again": self._again, "guessed": self.guessed, "told": self._told}
        made = Patient(self.target, seed=self.seed, expect=self.expect, **more)
        made.dtype = dtype
        return made

    def fresh(self, turn: int = 0) -> Target | None:
        """Another one with fresh weights, in train mode; None where nobody knows how to make it."""
        if self._again is None:
            return None
        try:
            with torch.random.fork_rng(devices=[]):
                # Not a seed that the model itself was likely made with; nor may the factory set its own.
                torch.manual_seed(self.seed + 1009 + turn)
                with mock.patch.object(torch, "manual_seed", lambda seed: torch.default_generator):
                    made = self._again()
        except Exception:
            return None
        if self.guessed and (not isinstance(made, torch.nn.Module) or _sizes(made) != _sizes(self.target.module)):
            return None
        return self.target.on(made)

    def reproduce(self, check: str) -> str:
        """What asks one check again: a command, or of a model in hand Python in which it is `model`."""
        told = self._told
        if not told.name:
            more = f", expect={list(told.expect)!r}" if told.expect else ""
            return f"oneblock.doctor.examine(model, only=[{check!r}], seed={self.seed}{more})"
        words = ["oneblock", "doctor", told.name, "--only", check, "--seed", str(self.seed)]
        words += ["--expect", ",".join(told.expect)] if told.expect else []
        return shlex.join([*words, "--trust"] if told.trust else words)


def _without_kernels_of_16_bits(module: nn.Module) -> None:
    """Experts of transformers one by one: their grouped product takes no float64."""
    for each in module.modules():
        config = getattr(each, "config", None)
        if getattr(config, "_experts_implementation", None) not in (None, "eager"):
            config._experts_implementation = "eager"  # type: ignore[union-attr]


def _sizes(module: nn.Module) -> dict[str, torch.Size]:
    """Name -> size of all that a module registers, saved or not."""
    return {name: t.shape for name, t in (*module.named_parameters(), *module.named_buffers())}


def stir(module: nn.Module, seed: int, gain: float = 1.0) -> None:
    """Add noise to every parameter: matrices to a standard deviation of gain/√inputs, vectors by 0.1."""
    generator = seeded(seed + 1)
    with torch.no_grad():
        for parameter in module.parameters():
            if not parameter.is_floating_point() or not parameter.numel():
                continue
            noise = torch.randn(parameter.shape, generator=generator, dtype=torch.float64).to(parameter.dtype)
            inputs = min(parameter.shape[-2:]) if parameter.dim() >= 2 else 0
            parameter.add_(noise, alpha=gain * float(inputs) ** -0.5 if inputs else 0.1)


def difference(found: Tensor, wanted: Tensor) -> float:
    """max|Δ| / max|wanted|; infinite where something is not finite, or of another shape."""
    if found.shape != wanted.shape or not bool(torch.isfinite(found).all() and torch.isfinite(wanted).all()):
        return float("inf")
    if not found.numel():
        return 0.0
    scale = float(wanted.abs().max())
    gap = float((found - wanted).abs().max())
    return gap / scale if scale else float(gap > 0)
