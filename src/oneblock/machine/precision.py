"""Which number format the matrix products run in."""

from __future__ import annotations

from typing import Literal

import torch

from oneblock.machine.device import DeviceError

Precision = Literal["auto", "float32", "bfloat16"]


def pick_precision(name: str, device: torch.device) -> torch.dtype:
    """The dtype of the matrix products: float32, bfloat16, or with "auto" the faster of the two on `device`.

    "auto" goes by what the hardware reports, not by a stopwatch, so that a resumed run picks the same.
    DeviceError for another name, or for bfloat16 on an Apple GPU whose system is too old for it.
    """
    if name not in ("auto", "float32", "bfloat16"):
        raise DeviceError(f"precision={name} is not known; try auto, float32, bfloat16")
    if name == "float32":
        return torch.float32
    if name == "auto":
        return torch.bfloat16 if has_fast_bfloat16(device) else torch.float32
    if device.type == "mps" and not has_fast_bfloat16(device):
        raise DeviceError("precision=bfloat16 needs macOS 14 on an Apple GPU; try float32")
    return torch.bfloat16


def has_fast_bfloat16(device: torch.device) -> bool:
    """Whether `device` multiplies bfloat16 matrices in hardware (slower than float32 where it does not)."""
    if device.type == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    if device.type == "mps":
        return torch.backends.mps.is_macos_or_newer(14, 0)
    if device.type == "cpu":
        return _cpu_has_bfloat16()
    return False


def _cpu_has_bfloat16() -> bool:
    # oneDNN's own answer also counts processors with AVX-512 that only emulate bfloat16: on x86 ask for
    # the instructions themselves. Elsewhere (Arm) oneDNN's answer is the instruction.
    if any(_reports(torch.cpu, name) for name in ("_is_amx_tile_supported", "_is_avx512_bf16_supported")):
        return True
    if _reports(torch.cpu, "_is_avx512_supported") or _reports(torch.cpu, "_is_avx2_supported"):
        return False
    return _reports(torch.backends.mkldnn, "is_available") and _reports(torch.ops.mkldnn, "_is_mkldnn_bf16_supported")


def _reports(owner: object, name: str) -> bool:
    try:
        return bool(getattr(owner, name)())
    except (AttributeError, RuntimeError):
        return False
