"""Gradients of several processes added up: replicated parameters, or sharded ones."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import nullcontext
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn

from oneblock.train.layout import Layout

Loss = Callable[..., Tensor]


class Replicated(nn.Module):
    """A module whose forward is the loss, for DistributedDataParallel to watch.

    Sums, not averages: each process's loss is weighted by its share of all targets. Sharded experts are left alone,
    for their gradients come complete.
    """

    def __init__(self, loss: Loss, layout: Layout) -> None:
        super().__init__()
        self.model = layout.model
        self.loss = loss
        kind = nn.parallel.DistributedDataParallel
        kind._set_params_and_buffers_to_ignore_for_model(self, [f"model.{name}" for name in layout.apart])
        self._watched = [kind(self)]  # in a list: what it watches is the model
        # Without annotations, which DistributedDataParallel would look at, and here they are only text.
        self._watched[0].register_comm_hook(None, lambda state, bucket: _sum(bucket))

    def forward(self, *piece: Tensor) -> Tensor:
        """The mean loss of this process's piece."""
        return self.loss(*piece)

    def backward(self, piece: Sequence[Tensor], share: float, *, last: bool) -> Tensor:
        """The piece's share of the loss; its gradients, after the last piece those of all processes."""
        watched = self._watched[0]
        with watched.no_sync() if not last else nullcontext():
            loss: Tensor = watched(*piece) * share
            loss.backward()
        return loss


class Sharded:
    """The same for a model whose blocks are FSDP2's: it adds up and scatters, but for what stays replicated."""

    def __init__(self, loss: Loss, layout: Layout) -> None:
        self.loss, self.layout = loss, layout

    def backward(self, piece: Sequence[Tensor], share: float, *, last: bool) -> Tensor:
        """The piece's share of the loss; its gradients, after the last piece this process's rows of those of all."""
        model: Any = self.layout.model
        model.set_requires_gradient_sync(last)
        loss = self.loss(*piece) * share
        loss.backward()
        if last:
            self._add_up()
        return loss

    @torch.no_grad()
    def _add_up(self) -> None:
        grads = [parameter.grad for parameter in self.layout.replicated if parameter.grad is not None]
        if grads:
            summed = torch.cat([grad.flatten() for grad in grads])
            dist.all_reduce(summed)
            parts = summed.split([grad.numel() for grad in grads])
            torch._foreach_copy_(grads, [part.view_as(grad) for part, grad in zip(parts, grads, strict=True)])


def together(loss: Loss, layout: Layout) -> Replicated | Sharded | None:
    """Whatever adds the gradients up; nothing where one process is alone."""
    if layout.processes.world == 1:
        return None
    return Sharded(loss, layout) if layout.fully else Replicated(loss, layout)


def _sum(bucket: Any) -> Any:
    reduced: Any = dist.all_reduce(bucket.buffer(), async_op=True)
    return reduced.get_future().then(lambda done: done.value()[0])
