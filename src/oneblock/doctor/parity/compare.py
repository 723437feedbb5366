"""Two tensors that should be one, by value: equal, or what has been done to the one to give the other."""

from __future__ import annotations

import torch
from torch import Tensor

from oneblock.doctor.parity.norms import gap

SAME = 1e-7
"""Relative difference up to which two parameters are one: less than the rounding of float32."""
BASES = (1e4, 1e3, 1e5, 1e2)


def alike(a: Tensor | None, b: Tensor | None) -> str:
    """What b is, seen from a: equal, missing, transposed, permuted, scaled, shifted, rounded, or how far it is off."""
    if a is None or b is None:
        only = b if a is None else a
        if only is None or not bool(only.any()):
            return "equal"
        return "missing" if b is None else "there, and missing in the reference"
    if a.shape == b.shape:
        if gap(b, a) <= SAME:
            return "equal"
        said = _shaped(a, b)
        if said:
            return said
    if a.dim() == 2 and a.shape == b.T.shape and gap(b.T, a) <= SAME:
        return "transposed"
    if a.shape != b.shape:
        return f"of another shape: {_size(b)} for {_size(a)}"
    off = (b - a).abs()
    share = float((off > SAME * a.abs().max()).double().mean())
    at = [int(i) for i in torch.unravel_index(off.argmax(), off.shape)]
    return f"different in {share:.0%} of its numbers, most by {float(off.max()):.2g} at {at}"


def _shaped(a: Tensor, b: Tensor) -> str:
    if a.dim() == 2 and a.shape[0] == a.shape[1] and gap(b.T, a) <= SAME:
        return "transposed"
    if gap(b - 1, a) <= SAME and a.dim() == 1:
        return "1 + weight"
    if gap(b + 1, a) <= SAME and a.dim() == 1:
        return "weight, not 1 + weight"
    for name, kind in (("bfloat16", torch.bfloat16), ("float16", torch.float16)):
        if torch.equal(a.to(kind).to(a.dtype), b):
            return f"rounded to {name}"
    k = float((a * b).sum() / a.square().sum().clamp(min=1e-30))
    if abs(k) > 1e-6 and gap(b, k * a) <= SAME:
        return f"multiplied by {k:.6g}"
    if a.dim() == 2 and not bool(torch.isnan(a + b).any()):
        if _permuted(a, b):
            return "permuted on its outputs"
        if _permuted(a.T, b.T):
            return "permuted on its inputs"
    return "permuted" if a.dim() == 1 and gap(b.sort().values, a.sort().values) <= SAME else ""


def _permuted(a: Tensor, b: Tensor) -> bool:
    """Whether columns have changed places."""
    weights = torch.linspace(1, 2, a.shape[0], dtype=torch.float64).sqrt()
    keys = [(weights[:, None] * each.double()).sum(0) for each in (a, b)]
    orders = [key.argsort() for key in keys]
    return gap(b[:, orders[1]], a[:, orders[0]]) <= SAME


def rows_named(a: Tensor | None, b: Tensor | None) -> str:
    """ "equal", or what is added for each position in each, as "reference | target"."""
    if a is not None and b is not None:
        if a.shape == b.shape and gap(b, a) <= SAME:
            return "equal"
        for k in range(1, min(len(a), 4)):
            if gap(b[:-k], a[k:]) <= SAME:
                return f"from 0 on | from {k} on"
            if gap(a[:-k], b[k:]) <= SAME:
                return f"from {k} on | from 0 on"
    both = [_rows(a), _rows(b)]
    if both == ["a table", "a table"]:
        both[1] = alike(a, b)
    return f"{both[0]} | {both[1]}"


def _rows(rows: Tensor | None) -> str:
    if rows is None:
        return "none"
    length, width = rows.shape
    for base in BASES:
        theta = base ** -(torch.arange(0, width, 2, dtype=torch.float64) / width)
        phase = torch.arange(length, dtype=torch.float64)[:, None] * theta
        tables = {
            "interleaved": torch.stack([phase.sin(), phase.cos()], -1).flatten(1)[:, :width],
            "concatenated": torch.cat([phase.sin(), phase.cos()], -1)[:, :width],
        }
        for name, table in tables.items():
            if gap(rows.double(), table) < 1e-4:
                return f"sinusoidal, {name}" + ("" if base == 1e4 else f", base {base:g}")
    return "a table"


def _size(tensor: Tensor) -> str:
    return " × ".join(map(str, tensor.shape))
