"""All-to-all: tokens carried to the processes that hold their experts, and back, with gradients."""

from __future__ import annotations

from typing import Any

import torch
import torch.distributed as dist
import torch.nn.functional as F
from torch import Tensor

from oneblock.nn.experts.grouped import Rearranged, sorting
from oneblock.nn.experts.stacked import Experts, Layout, Places, Rows


class AllToAll(torch.autograd.Function):
    """The first sent[0] rows to process 0, the next sent[1] to process 1, …; received[p] rows come from process p.

    M × D -> Σ received × D, in the order of the processes. Its gradient is the reverse exchange: all processes must
    call backward as they called forward. A process that sends and receives nothing must call it too.
    """

    @staticmethod
    def forward(
        ctx: Any, x_MD: Tensor, sent: list[int], received: list[int], group: dist.ProcessGroup | None
    ) -> Tensor:
        ctx.sent, ctx.received, ctx.group = sent, received, group
        out_MD = x_MD.new_empty(sum(received), *x_MD.shape[1:])
        dist.all_to_all_single(out_MD, x_MD.contiguous(), received, sent, group=group)
        return out_MD

    @staticmethod
    def backward(ctx: Any, grad_MD: Tensor) -> tuple[Tensor | None, ...]:
        return AllToAll.apply(grad_MD, ctx.received, ctx.sent, ctx.group), None, None, None


class Elsewhere:
    """The experts of all processes, called as if they were here: rows go to the process that holds their expert.

    own: the E/n experts of this process, whose parameters are DTensors; process p holds the p-th E/n of all. Each
    call is one exchange of counts and two all-to-alls, and two more in its backward pass, in which the experts'
    gradients are then those of the tokens of all processes. Shortcuts that read any expert's weights cannot be taken.
    """

    here = False

    def __init__(self, own: Experts, group: dist.ProcessGroup) -> None:
        self.own, self.group = own, group

    def __call__(self, x: Tensor, layout: Layout) -> Tensor:
        if isinstance(layout, Rows):
            return self._rows(x, layout.counts_E)
        if isinstance(layout, Places):
            return self._places(x)
        raise TypeError(f"experts of other processes take Rows or Places, not {type(layout).__name__}")

    def _rows(self, x_MD: Tensor, counts_E: Tensor) -> Tensor:
        """Sorted rows; at their experts sorted again: by expert, then by process, then as they stood there.

        If the processes' rows follow one another in one batch, that is the order which one process would see.
        """
        sent, received = _counts(counts_E, self.group)
        there, here = [sum(counts) for counts in sent], [sum(counts) for counts in received]
        came_MD = AllToAll.apply(x_MD[: sum(there)], there, here, self.group)
        counts_PE = torch.tensor(received, device=x_MD.device)
        number_E = torch.arange(counts_PE.shape[1], device=x_MD.device)
        experts_M = number_E.repeat(len(received)).repeat_interleave(counts_PE.flatten(), output_size=sum(here))
        order_M, back_M = sorting(experts_M)
        rows = Rows(counts_PE.sum(0), experts_M[order_M])
        y_MD = self.own(Rearranged.apply(came_MD, order_M, back_M, 1), Own(rows))
        y_MD = AllToAll.apply(Rearranged.apply(y_MD, back_M, order_M, 1), here, there, self.group)
        # What has no place stayed here.
        return F.pad(y_MD, (0, 0, 0, x_MD.shape[0] - sum(there)))

    def _places(self, x_ECD: Tensor) -> Tensor:
        """All places of all groups: split over the groups before the exchange, over the experts after it."""
        num_experts, num_places, width = x_ECD.shape
        sent, received = _counts(torch.full((num_experts,), num_places, device=x_ECD.device), self.group)
        each, places = len(sent[0]), [counts[0] for counts in received]
        there, here = [each * num_places] * len(sent), [each * number for number in places]
        came = AllToAll.apply(x_ECD.flatten(0, 1), there, here, self.group).split(here)
        x_ECD = torch.cat([part.view(each, number, width) for part, number in zip(came, places, strict=True)], 1)
        y_ECD = self.own(x_ECD, Own(Places()))
        y_MD = torch.cat([part_ECD.flatten(0, 1) for part_ECD in y_ECD.split(places, 1)])
        return AllToAll.apply(y_MD, here, there, self.group).view(num_experts, num_places, width)


class Own:
    """A layout of rows for the experts that this process holds: of their sharded weights it takes its own part."""

    def __init__(self, layout: Rows | Places) -> None:
        self.layout = layout

    def product(self, x: Tensor, weight_EFD: Any, bias_EF: Any) -> Tensor:
        """As the layout has it; the weights' gradients are DTensors again."""
        return self.layout.product(x, weight_EFD.to_local(), None if bias_EF is None else bias_EF.to_local())


def _counts(counts_E: Tensor, group: dist.ProcessGroup) -> tuple[list[list[int]], list[list[int]]]:
    """Rows for each expert of each process, and rows from each process for each expert here: both n × E/n."""
    sent_PE = counts_E.view(group.size(), -1)
    received_PE = torch.empty_like(sent_PE)
    dist.all_to_all_single(received_PE, sent_PE, group=group)
    sent, received = torch.stack([sent_PE, received_PE]).tolist()
    return sent, received
