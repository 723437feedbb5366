"""One row times a matrix of weights on a CPU: the form it has in a compiled step of decoding.

Read once, the weights of a token should take what memory takes. `one_row.cpp` comes near it; where it cannot be built
or is not asked for (`prepare`), the product is a sum, which PyTorch's compiler makes one pass of.
"""

from __future__ import annotations

import threading
from collections.abc import Callable

import torch
from torch import Tensor

from oneblock.nn import native

SOURCE = native.HERE / "one_row.cpp"
TOLERANCE = 1e-4
"""Largest error in the trial, relative to the largest number of the answer."""

Product = Callable[[Tensor, Tensor], Tensor]

_lock = threading.Lock()
_tried = False
_ready = False  # what a trace reads: a plain value, and no reason to build anything


def single(x: Tensor) -> bool:
    """Whether this is compiled for a single row on a CPU, and no gradient is asked for."""
    alone = x.device.type == "cpu" and x.numel() == x.shape[-1]
    return torch.compiler.is_compiling() and alone and not torch.is_grad_enabled()


def times(x: Tensor, weight_ED: Tensor) -> Tensor:
    """x Wᵀ for a single row, in float32 or wider: … × D -> … × E."""
    wide = torch.promote_types(x.dtype, torch.float32)
    x_D = x.reshape(-1).to(wide)
    if _ready and wide == torch.float32 and _suits(weight_ED):
        y_E = torch.ops.oneblock.one_row.default(x_D, weight_ED)
    else:
        y_E = (x_D * weight_ED.to(wide)).sum(-1)
    return y_E.view(*x.shape[:-1], -1)


def prepare() -> bool:
    """Build, register and try the kernel, once in a process; whether what is compiled from now on calls it."""
    global _tried, _ready
    with _lock:
        if not _tried:
            _ready, _tried = _made(), True
    return _ready


def error(product: Product) -> float:
    """max |found − right| / max |right| for every kind of weights; 37 rows of 83: no whole number of vectors."""
    # Spelled out: a default that somebody has set must not decide.
    x_D = torch.linspace(-1, 1, 83, dtype=torch.float32, device="cpu").cos() - 0.6
    waves_ED = torch.linspace(-3, 2, 37 * 83, dtype=torch.float32, device="cpu").sin().view(37, 83)
    worst = 0.0
    for weight_ED in (waves_ED, waves_ED.bfloat16(), (waves_ED * 127).round().to(torch.int8)):
        right_E = weight_ED.double() @ x_D.double()
        off_E = (product(x_D, weight_ED).double() - right_E).abs().nan_to_num(torch.inf)
        worst = max(worst, float(off_E.max() / right_E.abs().max()))
    return worst


def _suits(weight_ED: Tensor) -> bool:
    kept = weight_ED.dtype in (torch.float32, torch.bfloat16, torch.int8)
    return kept and weight_ED.device.type == "cpu" and weight_ED.is_contiguous()


def _made() -> bool:
    loaded = native.load(SOURCE)
    if loaded is None:
        return False
    try:
        torch.library.define("oneblock::one_row", "(Tensor x_D, Tensor weight_ED) -> Tensor")
        torch.library.register_fake("oneblock::one_row", _shape)
        return loaded.register_one_row() == 0 and error(torch.ops.oneblock.one_row.default) < TOLERANCE
    except (AttributeError, RuntimeError):
        return False


def _shape(x_D: Tensor, weight_ED: Tensor) -> Tensor:
    return x_D.new_empty(weight_ED.shape[0])
