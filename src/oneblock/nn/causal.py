"""Causal attention, fast: on a CPU in bfloat16 by our own kernel, else by PyTorch's.

PyTorch's CPU kernel takes longer over short rows, most of all backwards, than the matrix products around it. Ours keeps
one head's scores in the processor's cache and skips what the mask hides.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from oneblock.nn.native import library, view
from oneblock.nn.trial import Shape

HEAD_WIDTHS = (32, 64, 96, 128)


def causal_attention(q_BHTK: Tensor, k_BHTK: Tensor, v_BHTK: Tensor, scale: float) -> Tensor:
    """o[t] = Σ_{s ≤ t} p[t, s] v[s], p[t] = softmax over s ≤ t of scale · q[t]·k[s]; all B × H × T × K, any strides.

    Within bfloat16's rounding of the written-out form, forwards and backwards. No second derivative.
    """
    types = {q_BHTK.dtype, k_BHTK.dtype, v_BHTK.dtype}
    same_shape = q_BHTK.shape == k_BHTK.shape == v_BHTK.shape
    suits = types == {torch.bfloat16} and same_shape and q_BHTK.shape[-1] in HEAD_WIDTHS and q_BHTK.numel() > 0
    if q_BHTK.device.type == "cpu" and suits and has_kernel():
        out_BHTK: Tensor = _forward(q_BHTK, k_BHTK, v_BHTK, scale)[0]
        return out_BHTK
    return F.scaled_dot_product_attention(q_BHTK, k_BHTK, v_BHTK, is_causal=True, scale=scale)


@torch.compiler.assume_constant_result  # type: ignore[untyped-decorator]
def has_kernel() -> bool:
    """Whether this machine has the kernel."""
    return library() is not None


def _empty(like_BHTK: Tensor) -> Tensor:
    """B, T, H, K in memory, so that joining the heads afterwards copies nothing."""
    B, H, T, K = like_BHTK.shape
    return like_BHTK.new_empty(B, T, H, K).transpose(1, 2)


def _in_place(x_BHTK: Tensor) -> Tensor:
    """The kernel reads pairs of numbers along K: K's stride must be 1, and a row's even and no shorter than K."""
    fits = x_BHTK.stride(3) == 1 and x_BHTK.stride(2) % 2 == 0 and x_BHTK.stride(2) >= x_BHTK.shape[3]
    return x_BHTK if fits else x_BHTK.clone(memory_format=torch.contiguous_format)


@torch.library.custom_op("oneblock::causal_attention", mutates_args=(), device_types="cpu")
def _forward(q_BHTK: Tensor, k_BHTK: Tensor, v_BHTK: Tensor, scale: float) -> tuple[Tensor, Tensor]:
    kernels = library()
    assert kernels is not None
    inputs = [_in_place(x) for x in (q_BHTK, k_BHTK, v_BHTK)]
    out_BHTK, logsum_BHT = _empty(q_BHTK), q_BHTK.new_empty(q_BHTK.shape[:3], dtype=torch.float32)
    kernels.attention_forward(Shape(*q_BHTK.shape), scale, *map(view, inputs), view(out_BHTK), logsum_BHT.data_ptr())
    return out_BHTK, logsum_BHT


@_forward.register_fake
def _(q_BHTK: Tensor, k_BHTK: Tensor, v_BHTK: Tensor, scale: float) -> tuple[Tensor, Tensor]:
    return _empty(q_BHTK), q_BHTK.new_empty(q_BHTK.shape[:3], dtype=torch.float32)


@torch.library.custom_op("oneblock::causal_attention_backward", mutates_args=(), device_types="cpu")
def _backward(
    grad_BHTK: Tensor,
    q_BHTK: Tensor,
    k_BHTK: Tensor,
    v_BHTK: Tensor,
    out_BHTK: Tensor,
    logsum_BHT: Tensor,
    scale: float,
) -> tuple[Tensor, Tensor, Tensor]:
    kernels = library()
    assert kernels is not None
    inputs = [_in_place(x) for x in (grad_BHTK, q_BHTK, k_BHTK, v_BHTK, out_BHTK)]
    logsum_BHT = logsum_BHT.contiguous()
    grads = (_empty(q_BHTK), _empty(q_BHTK), _empty(q_BHTK))
    kernels.attention_backward(
        Shape(*q_BHTK.shape), scale, *map(view, inputs), logsum_BHT.data_ptr(), *map(view, grads)
    )
    return grads


@_backward.register_fake
def _(
    grad_BHTK: Tensor,
    q_BHTK: Tensor,
    k_BHTK: Tensor,
    v_BHTK: Tensor,
    out_BHTK: Tensor,
    logsum_BHT: Tensor,
    scale: float,
) -> tuple[Tensor, Tensor, Tensor]:
    return _empty(q_BHTK), _empty(q_BHTK), _empty(q_BHTK)


def _save(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, Tensor]) -> None:
    *qkv, ctx.scale = inputs
    ctx.save_for_backward(*qkv, *output)


def _gradients(ctx: Any, grad_BHTK: Tensor, grad_logsum: Tensor | None) -> tuple[Tensor | None, ...]:
    return *_backward(grad_BHTK, *ctx.saved_tensors, ctx.scale), None


_forward.register_autograd(_gradients, setup_context=_save)
