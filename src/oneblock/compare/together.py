"""Several seeds of one variant trained as one model: their parameters stacked, one pass forward and back for all."""

from __future__ import annotations

import time
import warnings
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call, stack_module_state, vmap

from oneblock.compare.cell import Cell
from oneblock.compare.reversal import named
from oneblock.compare.sitting import Sitting
from oneblock.config.decoder import Decoder
from oneblock.config.objective import NextToken
from oneblock.config.recipe import AdamW
from oneblock.train import schedule
from oneblock.train.clip import clip_gradients
from oneblock.train.optimizers import OptimizerSet, adamw
from oneblock.train.session import Session
from oneblock.train.step import Gradients

TOLERANCE = 1e-3
"""Largest relative error of a seed's gradient beside its own alone: float32 rounds to 1e-7, and sums add up."""


def suits(cell: Cell) -> bool:
    """Whether a cell's training is of the kind that is written here; whether vmap can do it shows when it is stacked.

    A next token's loss in float32, AdamW, a batch in one piece, nothing drawn at random on the way and nothing kept
    beside the weights.
    """
    recipe, model = cell.config.recipe, cell.config.model
    plain = recipe.precision == "float32" and recipe.compile == "off" and not recipe.guard and recipe.average is None
    whole = recipe.accumulation == 1 and not recipe.input_noise and recipe.steps is not None
    text = isinstance(model, Decoder) and isinstance(recipe.objective, NextToken) and not named(recipe.data)
    return cell.trains and not cell.fault and plain and whole and text and isinstance(recipe.optimizer, AdamW)


class _Loss(nn.Module):
    """A session's loss as a module, for `functional_call` to give other parameters to."""

    def __init__(self, gradients: Gradients) -> None:
        super().__init__()
        self.model, self.gradients = gradients.model, gradients

    def forward(self, *batch: Tensor) -> Tensor:
        return self.gradients.loss(*batch)


class Together:
    """The training of sittings that differ in nothing but their seed, all of them at step 0.

    L = Σ_s loss(θ_s, batch_s): no seed's gradient knows of another. Each seed has its own weights, data and clipping;
    AdamW, the groups it decays and the schedule are the usual ones, over the stacked θ (S × a parameter's shape). While
    it lasts each session's own parameters, and their gradients, are views of the stacked ones.
    ValueError where the models are not of the kind that can be stacked.
    """

    def __init__(self, sittings: Sequence[Sitting]) -> None:
        self.sittings = sittings
        models, first = [sitting.session.model for sitting in sittings], sittings[0].session
        if first.gradients.mixed:
            raise ValueError("a mixture of experts sends tokens by what they are: its shapes are not every seed's")
        if any(not torch.equal(a, b) for of in models for a, b in zip(models[0].buffers(), of.buffers(), strict=True)):
            raise ValueError("the models have buffers of their own")
        self.stacked, _ = stack_module_state(models)
        self.optimizer = _optimizer(first, self.stacked)
        self.recipe = first.config.recipe
        loss = _Loss(first.gradients)

        def of_one(parameters: dict[str, Tensor], *batch: Tensor) -> Tensor:
            # Buffers are the same for all, so they stay the first model's; it is in train mode as the others are.
            return functional_call(loss, {f"model.{name}": p for name, p in parameters.items()}, batch)

        self._losses = vmap(of_one)
        self.live, self.taken = list(range(len(sittings))), 0
        self._own = {name: [model.get_parameter(name) for model in models] for name in self.stacked}
        for name, stack in self.stacked.items():
            for own, part in zip(self._own[name], stack.detach().unbind(), strict=True):
                own.data = part

    def gradients(self, step: int) -> Tensor:
        """Each seed's loss of a step's batch, S; the gradients lie in the parameters of the sessions that are live."""
        self.optimizer.zero_grad()
        batches = zip(*(sitting.session.loop.batch(step) for sitting in self.sittings), strict=True)
        with warnings.catch_warnings():
            # Of attention on a CPU, which then goes seed by seed; whether the whole is faster is measured.
            warnings.filterwarnings("ignore", ".*batching rule")
            losses_S: Tensor = self._losses(self.stacked, *map(torch.stack, batches))
            losses_S.sum().backward()
        for name, stack in self.stacked.items():
            parts = None if stack.grad is None else stack.grad.unbind()
            for seed in self.live:
                self._own[name][seed].grad = None if parts is None else parts[seed]
        return losses_S.detach()

    def step(self) -> float:
        """One step of every seed that is live, told to its sitting; the seconds it took."""
        began = time.perf_counter()
        factor = schedule.factor(self.recipe.schedule, self.taken, self.recipe.steps or 1)
        self.optimizer.set_lr_factor(factor)
        losses_S, clip = self.gradients(self.taken), self.recipe.clip or float("inf")
        live = [self.sittings[seed] for seed in self.live]
        norms = torch.stack([clip_gradients(s.session.parts.optimizer.parameters(), clip) for s in live])
        told = list(zip(live, losses_S[self.live].tolist(), norms.tolist(), strict=True))
        self.optimizer.step()
        self.taken += 1
        seconds = time.perf_counter() - began
        for sitting, loss, grad_norm in told:
            loop, count = sitting.session.loop, sitting.session.parts.count
            count.step, count.tokens = self.taken, count.tokens + loop.task.tokens_a_step
            # A seed's share: what it would have cost alone nobody has measured.
            loop.steps_timed.append(seconds / len(live))
            loop.tell("step", loss=loss, grad_norm=grad_norm, rate_factor=factor, tokens=count.tokens)
            if sitting.lost:
                self._leave(sitting)
        self.live = [seed for seed in self.live if not self.sittings[seed].lost]
        return seconds

    def train(self) -> None:
        """Every seed to its end: the recipe's last step, or a loss that is not finite."""
        while self.live and self.taken < (self.recipe.steps or 0):
            self.step()
        for seed in self.live:
            self._leave(self.sittings[seed])

    def results(self) -> Iterator[dict[str, Any]]:
        """After the training each sitting's result, in turn; `together`: how many were trained as one."""
        for sitting in self.sittings:
            loop = sitting.session.loop
            loop.before, loop.started = sum(loop.steps_timed), time.perf_counter()
            # One that was lost on the way is not gone on with alone.
            if sitting.session.parts.count.step == self.recipe.steps:
                sitting.train()
            yield sitting.result() | {"together": len(self.sittings)}

    def error(self) -> float:
        """The largest ‖g − g_alone‖ / ‖g_alone‖ of a seed's gradient at the first step, all its parameters as one."""
        self.gradients(0)
        models = [sitting.session.model for sitting in self.sittings]
        found = [_gradient(model) for model in models]
        for sitting in self.sittings:
            sitting.session.parts.optimizer.zero_grad()
            sitting.session.gradients(*sitting.session.loop.batch(0), step=0)
        alone = [_gradient(model) for model in models]
        errors = [(a - b).norm() / b.norm() for a, b in zip(found, alone, strict=True)]
        # torch's largest of numbers one of which is NaN is NaN.
        return float(torch.stack(errors).max())

    def _leave(self, sitting: Sitting) -> None:
        """Give a model parameters of its own again, as they are now."""
        for parameter in sitting.session.model.parameters():
            parameter.data, parameter.grad = parameter.data.clone(), None


def stacked(sittings: Sequence[Sitting]) -> Together | None:
    """These sittings as one training, where it gives each seed the gradient that it has alone; else nothing.

    Where it is nothing the sittings are used up.
    """
    try:
        together = Together(sittings)
        # NaN is not below it either.
        return together if together.error() < TOLERANCE else None
    except Exception:  # what vmap cannot express, or a device not hold, shows itself in many ways
        return None


def _optimizer(session: Session, parameters: Mapping[str, Tensor]) -> OptimizerSet:
    """AdamW over the stacked parameters, in the groups in which the session's own has those of one seed."""
    option = session.config.recipe.optimizer
    assert isinstance(option, AdamW)
    (own,) = session.parts.optimizer.optimizers
    groups = [
        {"params": [(name, parameters[name]) for name in group["param_names"]], "weight_decay": group["weight_decay"]}
        for group in own.param_groups
    ]
    return OptimizerSet(adamw(groups, option.learning_rate, (option.beta1, option.beta2), option.eps))


def _gradient(model: nn.Module) -> Tensor:
    return torch.cat([parameter.grad.flatten() for parameter in model.parameters() if parameter.grad is not None])
