"""The product of sorted tokens with their experts' matrices: one plain product for each contiguous slice.

An operator of its own, since the slices' lengths are known only when it runs: torch.compile takes it as it is.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

ROWS = 64
"""Products are taken over so many rows, or a multiple: the C library makes a kernel for each length that it meets."""


def grouped_product(x_MD: Tensor, weight_EFD: Tensor, counts_E: Tensor) -> Tensor:
    """x_MD times its own expert's matrix, M × F: the first counts[0] rows are expert 0's, then expert 1's, …

    Rows beyond the counts' sum are nobody's and give 0. Cost 2·D·F for each row of an expert.
    """
    device = x_MD.device.type
    if torch.is_autocast_enabled(device):
        dtype = torch.get_autocast_dtype(device)
        x_MD, weight_EFD = x_MD.to(dtype), weight_EFD.to(dtype)
    out_MF: Tensor = _product(x_MD, weight_EFD, counts_E)
    return out_MF


def _slices(counts_E: Tensor) -> list[tuple[int, int, int]]:
    """Each expert that has rows, with the first and the end of them."""
    ends = counts_E.cumsum(0).tolist()
    return [(e, start, end) for e, (start, end) in enumerate(zip([0, *ends], ends, strict=False)) if end > start]


@torch.library.custom_op("oneblock::grouped_product", mutates_args=())
def _product(x_MD: Tensor, weight_EFD: Tensor, counts_E: Tensor) -> Tensor:
    out_MF, end = x_MD.new_empty(x_MD.shape[0], weight_EFD.shape[1]), 0
    for e, start, end in _slices(counts_E):
        # A few rows of the next expert too, who comes after and writes them anew: few lengths are few kernels to make.
        stop = start + -(-(end - start) // ROWS) * ROWS
        torch.mm(x_MD[start:stop], weight_EFD[e].t(), out=out_MF[start:stop])
    out_MF[end:] = 0
    return out_MF


@_product.register_fake
def _(x_MD: Tensor, weight_EFD: Tensor, counts_E: Tensor) -> Tensor:
    return x_MD.new_empty(x_MD.shape[0], weight_EFD.shape[1])


@torch.library.custom_op("oneblock::grouped_outer", mutates_args=())
def _outer(grad_MF: Tensor, x_MD: Tensor, counts_E: Tensor) -> Tensor:
    """Σ over an expert's rows of grad ⊗ x, E × F × D."""
    out_EFD = x_MD.new_empty(counts_E.shape[0], grad_MF.shape[1], x_MD.shape[1])
    used = _slices(counts_E)
    for e, start, end in used:
        middle = start + (end - start) // ROWS * ROWS
        torch.mm(grad_MF[start:middle].t(), x_MD[start:middle], out=out_EFD[e])
        if middle < end:
            out_EFD[e].addmm_(grad_MF[middle:end].t(), x_MD[middle:end])
    for e in set(range(counts_E.shape[0])) - {e for e, _, _ in used}:
        out_EFD[e] = 0
    return out_EFD


@_outer.register_fake
def _(grad_MF: Tensor, x_MD: Tensor, counts_E: Tensor) -> Tensor:
    return x_MD.new_empty(counts_E.shape[0], grad_MF.shape[1], x_MD.shape[1])


def _save(ctx: Any, inputs: tuple[Tensor, ...], output: Tensor) -> None:
    ctx.save_for_backward(*inputs)


def _gradients(ctx: Any, grad_MF: Tensor) -> tuple[Tensor | None, ...]:
    x_MD, weight_EFD, counts_E = ctx.saved_tensors
    grad_x = _product(grad_MF, weight_EFD.transpose(1, 2), counts_E) if ctx.needs_input_grad[0] else None
    grad_weight = _outer(grad_MF, x_MD, counts_E) if ctx.needs_input_grad[1] else None
    return grad_x, grad_weight, None


_product.register_autograd(_gradients, setup_context=_save)


def sorting(experts_M: Tensor) -> tuple[Tensor, Tensor]:
    """The permutation that brings each expert's rows together, in the order in which they stood, and its inverse."""
    order_M = experts_M.argsort(stable=True)
    places_M = torch.arange(order_M.shape[0], device=order_M.device)
    return order_M, torch.empty_like(order_M).scatter(0, order_M, places_M)


class Rearranged(torch.autograd.Function):
    """x[index // repeats], where `index` is a permutation of each row of x `repeats` times; `back` undoes it.

    The gradient is then a plain look-up too, where torch's own adds row after row.
    """

    @staticmethod
    def forward(ctx: Any, x_ND: Tensor, index_M: Tensor, back_M: Tensor, repeats: int) -> Tensor:
        ctx.save_for_backward(back_M)
        ctx.repeats = repeats
        return x_ND.index_select(0, index_M // repeats if repeats > 1 else index_M)

    @staticmethod
    def backward(ctx: Any, grad_MD: Tensor) -> tuple[Tensor | None, ...]:
        (back_M,) = ctx.saved_tensors
        grad_MD = grad_MD.index_select(0, back_M)
        if ctx.repeats > 1:
            grad_MD = grad_MD.unflatten(0, (-1, ctx.repeats)).sum(1)
        return grad_MD, None, None, None
