"""D1, D2: in half precision, the angles of rotary positions and the numbers that norms bear."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode

from oneblock.doctor.checks.check import said, skip
from oneblock.doctor.finding import Finding
from oneblock.doctor.layers import norms
from oneblock.doctor.look import names_of, narrowed, place
from oneblock.doctor.patient import Patient
from oneblock.doctor.target import Target

OFF = 0.02
"""Radians at the longest input that was tried; a sixth of a per cent of a turn."""


@dataclass
class Angles(TorchFunctionMode):
    """Records what cosines and sines are taken of."""

    names: dict[int, str]
    found: list[tuple[Tensor, str]] = field(default_factory=list)

    def __post_init__(self) -> None:
        super().__init__()

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        name = getattr(func, "__name__", "")
        if name in ("cos", "sin", "polar") and args and isinstance(args[-1], Tensor):
            self.found.append((args[-1].detach().clone(), place(self.names)))
        return func(*args, **(kwargs or {}))


def phases(patient: Patient) -> Finding:
    """D1: angles of a copy in bfloat16 against the same model's in float64."""
    target = patient.target
    if target.takes == "images":
        return skip("images have no rotary positions here")
    exact = patient.copy(patient.dtype)
    x = exact.sample(1, target.max_len, patient.seed)
    wanted = _angles(exact, x)
    if not wanted:
        return skip("no cosine of an angle is taken in a forward pass")
    half = patient.copy(torch.bfloat16)
    try:
        found = _angles(half, x)
    except Exception as error:
        return skip(f"it does not run in bfloat16 here: {type(error).__name__}")
    pairs = [(a, b, line) for (a, line), (b, _) in zip(found, wanted, strict=False) if a.shape == b.shape]
    if not pairs:
        return skip("a copy in bfloat16 takes other cosines")
    gap, angles, line = max(
        ((float((a.double() - b.double()).abs().max()), a, line) for a, b, line in pairs), key=lambda each: each[0]
    )
    narrow = angles.dtype in (torch.bfloat16, torch.float16)
    more = {"value": gap, "threshold": OFF, "source": f"angles in float64, {target.max_len} tokens", "where": line}
    if gap <= OFF and not narrow:
        return said("PASS", f"in bfloat16 the angles of rotary positions are off by {gap:.1e} radians", **more)
    note = f"in bfloat16 the angles of rotary positions are off by {gap:.2g} radians at {target.max_len} tokens"
    repair = "multiply positions and frequencies in float32 and hold the frequencies in float32 too"
    if narrow:
        told = f"{note}: they are computed in {str(angles.dtype)[6:]}, which tells no two positions beyond 256 apart"
        return said("WARN", told, repair=repair, **more)
    told = f"{note}: .to(bfloat16) rounds the frequencies that are held as a buffer; loading in bfloat16 may not"
    return said("INFO", told, repair=repair, **more)


def _angles(model: Target, x: Tensor) -> list[tuple[Tensor, str]]:
    with Angles(names_of(model.module)) as angles:
        model(x)
    return [(tensor, line) for tensor, line in angles.found if tensor.is_floating_point()]


def half(patient: Patient) -> Finding:
    """D2: norms in float16, given values of 1000, whose squares float16 cannot hold."""
    asked, wrong = 0, []
    for name, norm in norms(patient.copy(torch.float16).module):
        width = max(p.numel() for p in norm.parameters())
        x = torch.randn(1, 5, width, generator=torch.Generator().manual_seed(patient.seed)) * 1000
        try:
            asked, finite = asked + 1, bool(norm(x.half()).isfinite().all() and norm(x.half()).abs().max() > 0)
        except Exception:
            asked -= 1
            continue
        wrong += [] if finite else [name]
    narrow = narrowed(patient.copy(torch.float32), patient.seed)
    if narrow:
        note = "in a float32 copy something is computed in half precision"
        return said(
            "WARN", note, where=narrow, repair="no .half() or .bfloat16() inside a forward; let autocast choose"
        )
    if asked <= 0:
        return skip("no norm runs in float16 here")
    more = {"value": float(len(wrong)), "threshold": 0.0, "source": "float16 ends at 65504; 1000² is above it"}
    if wrong:
        note = f"in float16 {len(wrong)} of {asked} norms lose values of 1000: squares overflow"
        # Most norms written by hand do, and most models are never cast whole: a fault only where this one is.
        status = "WARN" if patient.target.dtype == torch.float16 else "INFO"
        return said(status, note, where=wrong[0], repair="take the statistics in float32", **more)
    return said("PASS", f"{asked} norms bear values of 1000 in float16", **more)
