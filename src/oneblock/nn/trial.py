"""A small problem with a known answer for the kernels of `causal.cpp`, in numpy: nothing here depends on PyTorch."""

from __future__ import annotations

import ctypes
from typing import Any

import numpy as np
import numpy.typing as npt

Halves = npt.NDArray[np.uint16]
Numbers = npt.NDArray[np.float64]

B, H, T, K = 1, 2, 37, 64
SCALE = 0.25


class View(ctypes.Structure):
    """A B × H × T × K tensor of bfloat16 as the kernels see it: address and strides; K's stride is 1."""

    _fields_ = [(name, ctypes.c_void_p if name == "data" else ctypes.c_int64) for name in ("data", "b", "h", "t")]


class Shape(ctypes.Structure):
    """B, H, T, K."""

    _fields_ = [(name, ctypes.c_int64) for name in "BHTK"]


def error(kernels: Any) -> float:
    """max |found − right| / max |right| over the output and the three gradients; inf where any is no number."""
    drawn = np.random.default_rng(7).standard_normal((4, B, H, T, K)).astype(np.float32)
    grad, q, k, v = halves = list((drawn.view(np.uint32) >> 16).astype(np.uint16))
    found = [np.zeros((B, H, T, K), np.uint16) for _ in range(4)]
    out, *grads = found
    logsum = np.zeros((B, H, T), np.float32)
    shape, scale = Shape(B, H, T, K), ctypes.c_float(SCALE)
    kernels.attention_forward(shape, scale, *map(_view, (q, k, v, out)), logsum.ctypes.data)
    kernels.attention_backward(shape, scale, *map(_view, (grad, q, k, v, out)), logsum.ctypes.data, *map(_view, grads))
    worst = 0.0
    for answer, right in zip(found, _right(*map(_wide, halves)), strict=True):
        worst = max(worst, float(np.nan_to_num(np.abs(_wide(answer) - right), nan=np.inf).max() / np.abs(right).max()))
    return worst


def _right(grad: Numbers, q: Numbers, k: Numbers, v: Numbers) -> tuple[Numbers, ...]:
    """Output and gradients, written out."""
    powers = np.exp(SCALE * q @ k.swapaxes(-1, -2)) * np.tri(T)
    p = powers / powers.sum(-1, keepdims=True)
    dp = grad @ v.swapaxes(-1, -2)
    ds = p * (dp - (p * dp).sum(-1, keepdims=True)) * SCALE
    return p @ v, ds @ k, ds.swapaxes(-1, -2) @ q, p.swapaxes(-1, -2) @ grad


def _wide(half: Halves) -> Numbers:
    return (half.astype(np.uint32) << 16).view(np.float32).astype(np.float64)


def _view(half: Halves) -> View:
    return View(half.ctypes.data, *(stride // 2 for stride in half.strides[:3]))
