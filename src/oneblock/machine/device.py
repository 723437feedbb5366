"""Where to compute: CUDA, Apple's MPS, or the CPU."""

from __future__ import annotations

from typing import Any

import torch

from oneblock.config.errors import OneblockError
from oneblock.machine import host


class DeviceError(OneblockError):
    """A device or precision that this machine does not have: what was asked for, and what there is."""


def pick_device(name: str = "auto") -> torch.device:
    """The device called `name` ("cuda", "cuda:1", "mps", "cpu"); "auto": the first of those that is here.

    DeviceError where it is missing or unknown, with the devices that are here.
    """
    here = _available()
    if name == "auto":
        return torch.device(here[0])
    kind, _, index = name.partition(":")
    if kind not in ("cuda", "mps", "cpu") or (index and not index.isdigit()):
        raise DeviceError(f"device={name} is not known; try auto, {', '.join(here)}")
    if kind not in here:
        raise DeviceError(f"device={name}: {_why_missing(kind)}; here there is {', '.join(here)}")
    count = torch.cuda.device_count() if kind == "cuda" else 1
    if index and int(index) >= count:
        last = f" to {kind}:{count - 1}" if count > 1 else ""
        raise DeviceError(f"device={name} is not here; there is {kind}:0{last}")
    return torch.device(name)


def synchronize(device: torch.device) -> None:
    """Wait until all that was ordered is done. A GPU answers at once: otherwise only the ordering would be timed."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    elif device.type == "mps":
        torch.mps.synchronize()


def describe() -> dict[str, Any]:
    """This machine in words and numbers, for the head of every measured figure.

    `processor` model name; `cores` usable; `threads` of torch; `memory` in bytes (None if unknown);
    `torch` version; `accelerator` model name, or None.
    """
    return {
        "processor": host.processor(),
        "cores": host.usable_cores(),
        "threads": torch.get_num_threads(),
        "memory": host.memory(),
        "torch": torch.__version__,
        "accelerator": _accelerator(_available()[0]),
    }


def _available() -> list[str]:
    has = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available(), "cpu": True}
    return [name for name, there in has.items() if there]


def _why_missing(kind: str) -> str:
    if kind == "cuda":
        built = torch.version.cuda or torch.version.hip
        return "no GPU is found" if built else f"this torch ({torch.__version__}) is built without CUDA"
    return "no Apple GPU is found"


def _accelerator(kind: str) -> str | None:
    if kind == "cuda":
        return torch.cuda.get_device_name()
    return f"{host.processor()} GPU" if kind == "mps" else None
