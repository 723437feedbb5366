"""The kernels of a compiled step of one token on a CPU: built, registered with PyTorch's dispatcher, and tried.

`one_row` is the product of one row with a matrix of weights, `one_query` the attention of one query, `kept` a copy.
Where they cannot be built or are not asked for (`prepare`), sums take the place of the first two, of which PyTorch's
compiler makes one pass each.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor

from oneblock.nn import native

SOURCE = native.HERE / "one_token.cpp"
OPERATORS = {
    "one_row": "(Tensor x_D, Tensor weight_ED) -> Tensor",
    "one_query": "(Tensor q_BHTK, Tensor k_BGSK, Tensor v_BGSK, Tensor seen_S, float scale) -> Tensor",
    "kept": "(Tensor x) -> Tensor",
}
_C_TYPES = {"Tensor": "AtenTensorHandle", "float": "double"}
TOLERANCE = 1e-4
"""Largest error in the trial, relative to the largest number of the answer."""

Kernel = Callable[..., Any]

_lock = threading.Lock()
_tried = False
_ready = False  # what a trace reads: a plain value, and no reason to build anything


def asked(x: Tensor) -> bool:
    """Whether this is compiled on a CPU, and no gradient is asked for."""
    return torch.compiler.is_compiling() and x.device.type == "cpu" and not torch.is_grad_enabled()


def ready() -> bool:
    """Whether the kernels are there; builds nothing."""
    return _ready


def prepare() -> bool:
    """Build, register and try them, once in a process; whether what is compiled from now on calls them."""
    global _tried, _ready
    with _lock:
        if not _tried:
            _ready, _tried = _made(), True
    return _ready


def kept(x: Tensor) -> Tensor:
    """x, computed once: in a compiled step PyTorch's compiler would compute it again in every layer that reads it."""
    return torch.ops.oneblock.kept.default(x) if _ready and asked(x) else x


class Direct(dict[Any, list[str]]):
    """The operators and the C functions that compiled code calls in their place, as PyTorch's compiler wants them.

    A call through the dispatcher takes 1 µs. The compiler files what it made under these settings too, so they must be
    pickled by what they say.
    """

    def __init__(self, operators: Mapping[str, str]) -> None:
        self.operators = dict(operators)
        super().__init__({getattr(torch.ops.oneblock, n).default: [_in_c(n, s)] for n, s in operators.items()})

    def __reduce__(self) -> tuple[Any, ...]:
        return Direct, (self.operators,)


def _in_c(name: str, schema: str) -> str:
    kinds = [_C_TYPES[argument.split()[0]] for argument in schema[1 : schema.index(")")].split(", ")]
    return f"AOTITorchError aoti_torch_cpu_{name}({', '.join([*kinds, 'AtenTensorHandle*'])})"


def row_error(product: Kernel) -> float:
    """max |found − right| / max |right| for every kind of weights; 37 rows of 83: no whole number of vectors."""
    x_D, waves_ED = _wave(83).cos() - 0.6, _wave(37, 83).sin()
    worst = 0.0
    for weight_ED in (waves_ED, waves_ED.bfloat16(), (waves_ED * 127).round().to(torch.int8)):
        worst = max(worst, _off(product(x_D, weight_ED), weight_ED.double() @ x_D.double()))
    return worst


def query_error(attention: Kernel) -> float:
    """The same for keys and values of both kinds; seven heads of three sizes of group, 37 of 41 keys seen."""
    seen_S = torch.arange(41, device="cpu") % 11 != 4
    worst = 0.0
    for dtype in (torch.float32, torch.bfloat16):
        for groups in (1, 7):
            q, k, v = _wave(1, 7, 1, 96).cos(), _wave(1, groups, 41, 96).sin(), _wave(1, groups, 41, 96).cos() - 0.3
            k, v = k.to(dtype), v.to(dtype)
            scores = (q.double() @ k.double().mT * 0.4).masked_fill(~seen_S, -torch.inf)
            worst = max(worst, _off(attention(q, k, v, seen_S, 0.4), scores.softmax(-1) @ v.double()))
    return worst


def _wave(*shape: int) -> Tensor:
    # Spelled out: a default that somebody has set must not decide.
    count = torch.Size(shape).numel()
    return torch.linspace(-3 - count % 7, 2 + count % 5, count, dtype=torch.float32, device="cpu").view(shape)


def _off(found: Tensor, right: Tensor) -> float:
    off = (found.double() - right).abs().nan_to_num(torch.inf)
    return float(off.max() / right.abs().max())


def _made() -> bool:
    loaded = native.load(SOURCE, everywhere=True)
    if loaded is None:
        return False
    try:
        for name, schema in OPERATORS.items():
            torch.library.define(f"oneblock::{name}", schema)
        torch.library.register_fake("oneblock::one_row", lambda x_D, weight_ED: x_D.new_empty(weight_ED.shape[0]))
        torch.library.register_fake("oneblock::one_query", lambda q_BHTK, *_: q_BHTK.new_empty(q_BHTK.shape))
        torch.library.register_fake("oneblock::kept", torch.empty_like)
        ours: Any = torch.ops.oneblock
        return (
            loaded.register_one_token() == 0
            and row_error(ours.one_row.default) < TOLERANCE
            and query_error(ours.one_query.default) < TOLERANCE
            and torch.equal(ours.kept.default(_wave(2, 5, 3).mT), _wave(2, 5, 3).mT)
        )
    except (AttributeError, RuntimeError):
        return False
