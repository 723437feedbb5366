"""What a worker times: one step of one arm, and what is needed to judge its speed."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from oneblock.bench.job import Arm, Job
from oneblock.train.step import gradient_error

Loss = Callable[[Tensor, Tensor], Tensor]

CHECKED_AT_ONCE = 1 << 22
"""Attention scores, in numbers, that the written-out reference keeps at a time."""


@dataclass(kw_only=True)
class Contestant:
    """A prepared arm. `step` does one optimiser step, or decodes one text.

    tokens:          tokens trained on, or made, in a step
    flops_per_token: training FLOPs of its model, counted on the built module
    facts:           what else is reported (version, gradient_error, bytes_per_step, …)
    rest:            gives back what a waiting process need not hold
    later:           for each text decoded, the seconds from its first new token to its last; empty where they are
                     not seen
    """

    step: Callable[[], object]
    tokens: int
    flops_per_token: float
    facts: dict[str, Any] = field(default_factory=dict)
    rest: Callable[[], object] = lambda: None
    later: list[float] = field(default_factory=list)


def tokens_for(job: Job, length: int, device: torch.device) -> Tensor:
    """Random tokens B × length, the same for every arm."""
    generator = torch.Generator().manual_seed(job.seed)
    vocab = job.model.vocab_size
    return torch.randint(vocab, (job.batch, length), generator=generator).to(device)


def count_flops(model: nn.Module, job: Job, looked_up: Iterable[nn.Parameter] = ()) -> float:
    """Training FLOPs a token, 6·N + 12·layers·heads' width·context; N without tables only looked up."""
    option = job.model
    tables = {id(p) for p in looked_up}
    weights = sum(p.numel() for p in model.parameters() if id(p) not in tables)
    attention = option.blocks[0].attention
    heads = attention.num_heads * attention.width_of_head(option.width)
    return 6 * weights + 12 * option.num_layers * heads * option.context


def autocast(arm: Arm, device: torch.device) -> AbstractContextManager[Any]:
    """bfloat16 autocast where the arm asks for it."""
    return torch.autocast(device.type, dtype=torch.bfloat16) if arm.precision == "autocast" else nullcontext()


def worst_gradient(model: nn.Module, loss: Loss, reference: Loss, inputs: Tensor, targets: Tensor) -> float:
    """`gradient_error` of a loss against a reference taken a few rows at a time, to bound its memory."""
    rows = inputs.shape[0]
    pieces = max(1, min(rows, inputs.numel() * inputs.shape[1] // CHECKED_AT_ONCE))

    def whole() -> Tensor:
        total = torch.zeros((), device=inputs.device)
        for some, wanted in zip(inputs.chunk(pieces), targets.chunk(pieces), strict=True):
            part = checkpoint(reference, some, wanted, use_reentrant=False)
            assert isinstance(part, Tensor)
            total = total + part * (some.shape[0] / rows)
        return total

    return gradient_error(model, lambda: loss(inputs, targets), whole)


class PeerTraining:
    """A rival's training step: its loss (read, as ours is), backward, clipping at 1.0, its optimizer."""

    def __init__(
        self,
        job: Job,
        arm: Arm,
        model: nn.Module,
        forward: Callable[[nn.Module, Tensor, Tensor], Tensor],
        optimizer: torch.optim.Optimizer,
        device: torch.device,
    ) -> None:
        self.arm, self.model, self.optimizer, self.device = arm, model, optimizer, device
        run: Any = torch.compile(model) if arm.compile else model
        self.reference: Loss = lambda inputs, targets: forward(model, inputs, targets)
        self.fast: Loss = lambda inputs, targets: forward(run, inputs, targets)
        tokens = tokens_for(job, job.model.context + 1, device)
        self.inputs, self.targets = tokens[:, :-1].contiguous(), tokens[:, 1:].contiguous()

    def loss(self, inputs: Tensor, targets: Tensor) -> Tensor:
        """The loss as this arm computes it."""
        with autocast(self.arm, self.device):
            return self.fast(inputs, targets)

    def error(self) -> float | None:
        """How far its gradients are from its own eager float32 ones; None where it computes just those."""
        if self.arm.precision == "float32" and not self.arm.compile:
            return None
        return worst_gradient(self.model, self.loss, self.reference, self.inputs, self.targets)

    def step(self) -> float:
        """One optimiser step."""
        loss = self.loss(self.inputs, self.targets)
        torch.autograd.backward(loss)
        torch.nn.utils.clip_grad_norm_(self.model.parameters(), 1.0)
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)
        return float(loss.detach())

    def contestant(self, flops_per_token: float, facts: dict[str, Any]) -> Contestant:
        """It, ready to be timed."""
        error = self.error()
        return Contestant(
            step=self.step,
            tokens=self.inputs.numel(),
            flops_per_token=flops_per_token,
            facts=facts | {"gradient_error": error},
        )


def decoding(
    job: Job,
    decode: Callable[[Tensor], Tensor],
    device: torch.device,
    flops: float,
    facts: dict[str, Any],
    later: list[float] | None = None,
) -> Contestant:
    """A contestant that makes `job.new` tokens behind the prompt; it must make exactly as many."""
    prompt = tokens_for(job, job.prompt, device)

    def step() -> None:
        made = decode(prompt)
        if tuple(made.shape) != (job.batch, job.prompt + job.new):
            wanted = f"{job.batch} × {job.prompt + job.new}"
            raise RuntimeError(f"{wanted} tokens were wanted, {tuple(made.shape)} came")

    tokens = job.batch * job.new
    return Contestant(
        step=step, tokens=tokens, flops_per_token=flops, facts=facts, later=[] if later is None else later
    )
