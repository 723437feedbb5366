"""Looks: now and then what flows in a few rows of the batch, layer by layer, for whoever asks later what went wrong."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from typing import Any

import torch
from torch import Tensor, nn

from oneblock.nn.attend import Fused, WrittenOut
from oneblock.nn.block import Block
from oneblock.nn.context import Mask
from oneblock.train.clip import global_norm
from oneblock.train.evaluate import evaluating
from oneblock.train.layout import Layout
from oneblock.train.optimizers import OptimizerSet
from oneblock.train.precision import InPrecision
from oneblock.train.sharding import local
from oneblock.train.step import Gradients

EVERY = 25
"""Steps from one look to the next; a step that the guard refuses is looked at too."""
ROWS, SAMPLED = 2, 1 << 12
"""Rows of the batch that are run once more, and numbers of each parameter whose movement is measured."""


class Looks:
    """What the log says of the inside: `look` events, one list entry for each layer in the order of the flow.

    stream:       root mean square of the residual stream, before the first block and after each
    max_logit:    largest attention score that is not masked, after scale, soft cap and bias; one for each attention
    entropy:      of the attention weights, as a share of ln(visible keys): 1 looks everywhere alike, 0 at one key
    grad_norms:   before clipping, one for each block, last that of everything outside the blocks
    updates:      ‖Δw‖ / ‖w‖ of the step, in the same order; not of a step that is refused
    router_entropy, router_load: each mixture's entropy in nats, and the share of its most popular expert

    The first three in eval mode, on the first rows of the batch, before the step. Nothing that training depends on is
    touched, and random numbers are not drawn.
    """

    def __init__(self, gradients: Gradients, layout: Layout, optimizer: OptimizerSet, clip: float | None) -> None:
        self.gradients, self.layout, self.clip = gradients, layout, clip or float("inf")
        blocks = [module for module in gradients.model.modules() if isinstance(module, Block)]
        groups = [list(block.parameters()) for block in blocks]
        inside = {id(p) for group in groups for p in group}
        trained = {id(p) for p in optimizer.parameters()}
        groups.append([p for p in gradients.model.parameters() if id(p) not in inside])
        self.groups = [[p for p in group if id(p) in trained] for group in groups]
        self.found: dict[str, Any] | None = None
        self._before: list[Tensor] = []

    def before(
        self, step: int, batch: Sequence[Tensor], grad_norm: float, verdict: str, *, always: bool = False
    ) -> None:
        """To be called with the gradients at hand, clipped as they are; all processes must."""
        self.found = None
        if step % EVERY and verdict == "ok" and not always:
            return
        clipped = max(1.0, (grad_norm + 1e-6) / self.clip) if math.isfinite(grad_norm) else 1.0
        self.found = self.flow(batch)
        self.found["grad_norms"] = [float(global_norm(group)) * clipped for group in self.groups]
        records = self.gradients.records
        if records:
            self.found["router_entropy"] = [float(layer.entropy) for layer in records[-1].layers]
            self.found["router_load"] = [float(layer.load.max()) for layer in records[-1].layers]
        self._before = [self._sample(group) for group in self.groups] if verdict == "ok" else []

    def after(self, tell: Callable[..., None]) -> None:
        """Tell what was found, once the step is taken or refused."""
        found, self.found = self.found, None
        if found is None:
            return
        if self._before:
            moved = zip(self._before, map(self._sample, self.groups), strict=True)
            found["updates"] = [float((new - old).norm() / old.norm().clamp(min=1e-12)) for old, new in moved]
            self._before = []
        tell("look", **found)

    @torch.no_grad()
    def flow(self, batch: Sequence[Tensor]) -> dict[str, Any]:
        """Stream, largest logits and entropies of the first rows."""
        rows = [tensor[:ROWS] for tensor in batch]
        with self.layout.whole() as model, ExitStack() as undo:
            seen: dict[str, list[Tensor]] = {"stream": [], "max_logit": [], "entropy": []}
            undo.enter_context(evaluating(model))
            undo.enter_context(torch.random.fork_rng(devices=_devices(model)))
            for handle in _hooks(model, seen):
                undo.callback(handle.remove)
            precision = self.gradients.precision
            self.gradients.task_loss(InPrecision(model, precision), *rows)
        return {name: torch.stack(values).tolist() for name, values in seen.items() if values}

    @torch.no_grad()
    def _sample(self, group: Sequence[Tensor]) -> Tensor:
        """Numbers spread evenly over each parameter of a group: enough to say how far it moves."""
        flat = (local(p).reshape(-1) for p in group)
        taken = [each[:: max(1, each.numel() // SAMPLED)].float() for each in flat]
        return torch.cat(taken) if taken else torch.zeros(1)


def _hooks(model: nn.Module, seen: dict[str, list[Tensor]]) -> Iterator[Any]:
    def enters(module: nn.Module, given: tuple[Tensor, ...]) -> None:
        seen["stream"].append(_rms(given[0]))

    def leaves(module: nn.Module, given: Any, answer: Tensor) -> None:
        seen["stream"].append(_rms(answer))

    def attends(module: nn.Module, given: tuple[Any, ...]) -> None:
        largest, entropy = sharpness(*given, scale=module.scale, soft_cap=getattr(module, "soft_cap", None))  # type: ignore[arg-type]
        seen["max_logit"].append(largest)
        seen["entropy"].append(entropy)

    first = True
    for module in model.modules():
        if isinstance(module, Block):
            if first:
                yield module.register_forward_pre_hook(enters)
                first = False
            yield module.register_forward_hook(leaves)
        if isinstance(module, Fused | WrittenOut):
            yield module.register_forward_pre_hook(attends)


def sharpness(
    q_BHTK: Tensor,
    k_BGSK: Tensor,
    v_BGSK: Tensor,
    mask: Mask,
    bias: Tensor | None,
    *,
    scale: float,
    soft_cap: float | None = None,
) -> tuple[Tensor, Tensor]:
    """The largest score in sight, and the entropy of the weights as a share of ln(visible keys), mean over the rows.

    Rows that see one key only have nothing to choose, and are left out of the entropy.
    """
    repeats = q_BHTK.shape[1] // k_BGSK.shape[1]
    k_BHSK = k_BGSK.repeat_interleave(repeats, dim=1) if repeats > 1 else k_BGSK
    scores_BHTS = (q_BHTK @ k_BHSK.transpose(-2, -1)).float() * scale
    if soft_cap is not None:
        scores_BHTS = soft_cap * torch.tanh(scores_BHTS / soft_cap)
    if bias is not None:
        scores_BHTS = scores_BHTS + bias.float()
    allowed = mask.dense(q_BHTK.shape[2], k_BGSK.shape[2], q_BHTK.device)
    if allowed is None:
        allowed = torch.ones(scores_BHTS.shape[-2:], dtype=torch.bool, device=scores_BHTS.device)
    scores_BHTS = scores_BHTS.masked_fill(~allowed, -torch.inf)
    # H = ln Σ e^s − Σ p s, with 0 for what is hidden: −∞ times 0 would be NaN.
    logs_BHT = scores_BHTS.logsumexp(-1)
    weights_BHTS = (scores_BHTS - logs_BHT.unsqueeze(-1)).exp()
    entropy_BHT = logs_BHT - (weights_BHTS * scores_BHTS.masked_fill(~allowed, 0.0)).sum(-1)
    visible = allowed.sum(-1).expand(entropy_BHT.shape)
    share = entropy_BHT / visible.clamp(min=2).log()
    chooses = visible > 1
    return scores_BHTS.max(), (share * chooses).sum() / chooses.sum().clamp(min=1)


def _rms(x: Tensor) -> Tensor:
    return x.float().square().mean().sqrt()


def _devices(model: nn.Module) -> list[int]:
    return sorted({p.device.index for p in model.parameters() if p.device.type == "cuda"})
