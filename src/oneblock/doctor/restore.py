"""What must be as it was after an examination, and the proof that it is."""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from torch import nn

from oneblock.doctor.errors import DoctorError

HOOKS = ("_forward_hooks", "_forward_pre_hooks", "_backward_hooks", "_backward_pre_hooks")


@contextmanager
def left_as_found(module: nn.Module) -> Iterator[None]:
    """Put torch's, numpy's and Python's generators and the gradient mode back; DoctorError if the model changed."""
    before, states = fingerprint(module), (torch.get_rng_state(), np.random.get_state(), random.getstate())
    gradients, default = torch.is_grad_enabled(), torch.get_default_dtype()
    try:
        yield
    finally:
        torch.set_rng_state(states[0])
        np.random.set_state(states[1])
        random.setstate(states[2])
        torch.set_grad_enabled(gradients)
        torch.set_default_dtype(default)
    after = fingerprint(module)
    changed = [name for name in before if before[name] != after.get(name)]
    if changed:
        raise DoctorError(f"the examination changed the model ({changed[0]}); that is a fault of the doctor: report it")


def fingerprint(module: nn.Module) -> dict[str, Any]:
    """Weights and buffers (version and bytes), gradients, modes and hooks, by name."""
    found: dict[str, Any] = {}
    for name, tensor in [*module.named_parameters(), *module.named_buffers()]:
        grad = tensor.grad
        found[name] = (
            tensor.data_ptr(),
            tensor.dtype,
            _sum(tensor),
            None if grad is None else _sum(grad),
            tensor.requires_grad,
        )
    for name, each in module.named_modules():
        found[f"mode and hooks of {name or 'the model'}"] = (
            each.training,
            tuple(tuple(getattr(each, h)) for h in HOOKS),
        )
    return found


def _sum(tensor: torch.Tensor) -> bytes:
    flat = tensor.detach().reshape(-1)
    flat = flat if flat.dtype == torch.bool or not flat.is_floating_point() else flat.double()
    weights = torch.arange(1, flat.numel() + 1, dtype=torch.float64)
    return (flat.double().cpu() * weights).sum().numpy().tobytes() if flat.numel() else b""
