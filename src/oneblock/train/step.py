"""One step's gradients: the batch in pieces, the loss of the whole."""

from __future__ import annotations

import functools
import shutil
import time
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from oneblock.config.recipe import Recipe
from oneblock.nn.experts.balance import balance
from oneblock.nn.experts.mixture import Mixture, TopK
from oneblock.nn.record import Record
from oneblock.train.layout import Layout
from oneblock.train.loss import cross_entropy
from oneblock.train.precision import InPrecision
from oneblock.train.seeds import step_seed
from oneblock.train.together import Loss, together


def next_token(forward: Callable[..., Tensor], inputs_BT: Tensor, targets_BT: Tensor) -> Tensor:
    """The mean loss of the tokens that follow."""
    return cross_entropy(forward(inputs_BT), targets_BT)


def all_of_the_second(inputs: Tensor, targets: Tensor) -> int:
    """Every entry of a batch's second tensor is a target."""
    return targets.numel()


class Gradients:
    """Loss and gradients of a batch, taken in `accumulation` pieces of its examples.

    Each piece's mean loss is weighted by its share of the targets, so that the gradient is that of the whole batch.
    Randomness (dropout, input noise) is a function of (seed, step, piece). `loss(forward, *batch)` is the mean over
    `num_targets(*batch)` targets, `forward` the model in `precision`. Of several processes, over which `layout` has
    laid the model out, each takes its own rows, and the gradients are added up. `records` holds what mixtures of
    experts told of the last batch, a record for each piece; their auxiliary losses are part of the loss.
    """

    def __init__(
        self,
        model: nn.Module,
        *,
        precision: torch.dtype,
        accumulation: int = 1,
        input_noise: float = 0.0,
        seed: int = 0,
        loss: Loss = next_token,
        num_targets: Callable[..., int] = all_of_the_second,
        layout: Layout | None = None,
    ) -> None:
        self.model, self.precision, self.accumulation = model, precision, accumulation
        self.input_noise, self.seed = input_noise, seed
        layout = layout or Layout(model)
        self.forward = InPrecision(model, precision, rounded_already=layout.gathered)
        self.task_loss, self.num_targets = loss, num_targets
        self.device = next(model.parameters()).device
        self.processes = layout.processes
        mixtures = [module for module in model.modules() if isinstance(module, Mixture)]
        self.mixed = bool(mixtures)
        self.biased = any(isinstance(mixture, TopK) and mixture.choice_bias is not None for mixture in mixtures)
        self.records: list[Record] = []
        self.loss: Loss = self._loss
        self.together = together(lambda *piece: self.loss(*piece), layout)
        self.compile_seconds = 0.0

    def _loss(self, *batch: Tensor) -> Tensor:
        if not self.mixed:
            return self.task_loss(self.forward, *batch)
        record = Record()
        loss = self.task_loss(functools.partial(self.forward, record=record), *batch)
        self.records.append(record)
        return loss + record.loss()

    def __call__(self, *batch: Tensor, step: int) -> Tensor:
        """The mean loss over all targets, those of other processes too; gradients are added to what is there."""
        self.records.clear()
        count = torch.tensor(self.num_targets(*batch), device=self.device)
        whole = int(self.processes.sum(count))
        total = torch.zeros((), device=self.device)
        pieces = list(zip(*(tensor.chunk(self.accumulation) for tensor in batch), strict=True))
        for index, piece in enumerate(pieces):
            torch.manual_seed(step_seed(self.seed, step, index, self.processes.rank))
            if self.input_noise:
                piece = (self._noised(piece[0]), *piece[1:])
            share = self.num_targets(*piece) / whole
            if self.together is None:
                loss = self.loss(*piece) * share
                loss.backward()
            else:
                loss = self.together.backward(piece, share, last=index == len(pieces) - 1)
            total += loss.detach()
        return self.processes.sum(total)

    def balance(self) -> None:
        """Mixtures of experts without a balancing loss move their biases by the last batch's loads in all processes."""
        if self.biased:
            for record in self.records:
                for layer in record.layers:
                    # Each process has as many rows: the mean of their loads is the load of all.
                    self.processes.sum(layer.load.detach()).div_(self.processes.world)
            balance(self.model, *self.records)

    def _noised(self, inputs_BT: Tensor) -> Tensor:
        replaced = torch.rand(inputs_BT.shape, device=self.device) < self.input_noise
        vocab: int = self.model.config.vocab_size  # type: ignore[union-attr, assignment]
        return torch.where(replaced, torch.randint_like(inputs_BT, vocab), inputs_BT)

    def compile(self, *batch: Tensor, tell: Callable[..., Any]) -> bool:
        """Compile the loss, and believe it only if its gradients equal the eager ones; whether it did.

        torch.compile has given NaN gradients on CPUs with a correct forward pass, so every compiled run is checked.
        """
        words = "compiling: about a minute, once; then each step is faster (off: --set recipe.compile=off)"
        tell("compiling", words=words)
        began = time.perf_counter()
        piece = [tensor.chunk(self.accumulation)[0] for tensor in batch]
        compiled = torch.compile(self._loss, dynamic=False, options={"fallback_random": True})
        try:
            error = gradient_error(self.model, lambda: compiled(*piece), lambda: self._loss(*piece))
        except Exception as failure:  # a missing or broken compiler shows itself in many ways
            tell("compiling", words=f"compiling failed, going on without: {str(failure).splitlines()[0]}")
            return False
        finally:
            self.compile_seconds = time.perf_counter() - began
        if not error < (ROUTED_TOLERANCE if self.mixed else GRADIENT_TOLERANCE):
            tell("compiling", words=f"compiled gradients are off by {error:.2g}; going on without compiling")
            return False
        self.loss = compiled
        return True


GRADIENT_TOLERANCE = 0.05
"""Largest relative error of one parameter's compiled gradient: bfloat16 rounds to 0.4 %, and layers add up."""

ROUTED_TOLERANCE = 0.5
"""The same with experts: rounding sends some tokens elsewhere, and a small expert's gradient is that of few tokens."""

LONG_ENOUGH = {"minutes": 4.0, "steps": 1500}
"""Compiling pays from here on."""


def compile_wanted(recipe: Recipe, device: torch.device) -> bool:
    """Whether to compile: as the recipe says; `auto` where it can be done and the run is long enough.

    By the whole run's length, not by what is left of it: compiled code rounds differently, and a resumed run must not.
    """
    if recipe.compile != "auto":
        return recipe.compile == "on"
    able = device.type == "cuda" or (device.type == "cpu" and any(map(shutil.which, ("g++", "clang++", "c++"))))
    long = (recipe.minutes or 0) >= LONG_ENOUGH["minutes"] or (recipe.steps or 0) >= LONG_ENOUGH["steps"]
    return able and long


def gradient_error(model: nn.Module, loss: Callable[[], Tensor], reference: Callable[[], Tensor]) -> float:
    """max over parameters of ‖g − g_ref‖ / ‖g_ref‖, both losses drawing the same random numbers; NaN counts as inf.

    Leaves the parameters without gradients.
    """
    found: list[list[Tensor]] = []
    for compute in (loss, reference):
        model.zero_grad(set_to_none=True)
        torch.manual_seed(0)
        compute().backward()
        found.append([torch.zeros(()) if p.grad is None else p.grad.clone() for p in model.parameters()])
    model.zero_grad(set_to_none=True)
    errors = [float((a - b).norm() / b.norm().clamp(min=1e-12)) for a, b in zip(*found, strict=True)]
    return max((error if error == error else float("inf") for error in errors), default=0.0)
