"""What a norm gives: as much for 10·x as for x, a root mean square of its gain, and a number for every row."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from oneblock.doctor.checks.check import said
from oneblock.doctor.finding import Finding
from oneblock.doctor.layers import norms
from oneblock.doctor.patient import Patient

SCALED, FACTOR = 0.05, 2.0


def oddity(patient: Patient) -> Finding | None:
    """The first norm that is none: asked alone, with the weights as they are."""
    for name, norm in norms(patient.plain.module):
        gains = [p.detach() for n, p in norm.named_parameters() if "bias" not in n and n != "beta"]
        # One number alone is a learned slope, as in a dynamic tanh; running statistics are fixed in eval mode.
        if len(gains) != 1 or gains[0].dim() != 1 or gains[0].numel() < 4 or any(True for _ in norm.buffers()):
            continue
        told = _odd(norm, gains[0], patient)
        if told is not None:
            note, value, repair = told
            source = "a norm forgets how large its input is, and gives its gain"
            return said("WARN", note, value=value, where=name, repair=repair, source=source)
    return None


def _odd(norm: nn.Module, gain: Tensor, patient: Patient) -> tuple[str, float, str] | None:
    generator = torch.Generator().manual_seed(patient.seed)
    x = torch.randn(1, 5, gain.numel(), dtype=patient.dtype, generator=generator)
    try:
        plain, grown = norm(x), norm(10 * x)
        flat = [norm(torch.full_like(x, each)) for each in (0.0, 1.0)]
    except Exception:
        return None
    if plain.shape != x.shape or not bool(plain.isfinite().all()):
        return None
    if not all(bool(each.isfinite().all()) for each in flat):
        return "a row of equal numbers makes a norm give NaN or infinity", float("nan"), "add eps under the root"
    size, far = (float(each.square().mean().sqrt()) for each in (plain, grown))
    if size > 0 and abs(far / size - 1) > SCALED:
        note = f"a norm of 10·x is {far / size:.3g} times that of x, and should be as large"
        return note, far / size, "divide by the root of variance + eps, eps about 1e-5"
    value = float(gain.abs().max())
    if float(gain.max()) != float(gain.min()) or not size > 0 or any("bias" in n for n, _ in norm.named_parameters()):
        return None
    # Some write their gain as 1 + w.
    off = [max(size / g, g / size) for g in (value, abs(1 + float(gain.max()))) if g > 0]
    if min(off) > FACTOR:
        note = f"a norm gives a root mean square of {size:.3g} with a gain of {value:.3g}"
        return note, size, "the mean of squares, not their sum"
    return None
