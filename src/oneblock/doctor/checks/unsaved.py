"""For W1: tensors that are in no state dict, and which of them cannot be made again."""

from __future__ import annotations

import copy

import torch
from torch import Tensor, nn

from oneblock.doctor.calling import seeded
from oneblock.doctor.checks.check import BAD
from oneblock.doctor.patient import Patient, difference

FEWEST, DISTINCT = 32, 0.9


def unsaved(module: nn.Module) -> dict[str, Tensor]:
    """Name -> every floating buffer and plain tensor that is not in the state dict."""
    saved = module.state_dict().keys()
    found = {}
    for name, each in module.named_modules():
        for last, value in [*vars(each).items(), *each.named_buffers(recurse=False)]:
            path = f"{name}.{last}".lstrip(".")
            if isinstance(value, Tensor) and value.is_floating_point() and value.numel() and path not in saved:
                found[path] = value
    return found


def otherwise(one: nn.Module, other: nn.Module) -> list[str]:
    """Names of those that two models of one class do not have alike."""
    first, second = unsaved(one), unsaved(other)
    pairs = [(name, value, second[name]) for name, value in first.items() if name in second]
    return [n for n, a, b in pairs if a.shape != b.shape or not torch.equal(a.to(b), b)]


def drawn(patient: Patient) -> str:
    """The first of them that looks drawn at random, and on which the answer depends; "" where none does."""
    for name, value in unsaved(patient.plain.module).items():
        if _noise(value) and _matters(patient, name):
            return name
    return ""


def _noise(value: Tensor) -> bool:
    """Whether its numbers are all different and neighbours have nothing to do with one another.

    Tables of sines, frequencies, slopes, masks and filters are none of both.
    """
    table = value.detach().double()
    if table.numel() < FEWEST or float(table.std()) == 0 or not bool(table.isfinite().all()):
        return False
    if len(table.unique()) < DISTINCT * table.numel():
        return False
    z = (table - table.mean()) / table.std()
    bound = 4 / table.numel() ** 0.5
    for axis in range(z.dim()):
        size = z.shape[axis]
        if size > 2:
            near = (z.narrow(axis, 0, size - 1) * z.narrow(axis, 1, size - 1)).mean()
            far = (z.narrow(axis, 0, size - 2) * z.narrow(axis, 2, size - 2)).mean()
            if max(abs(float(near)), abs(float(far))) > bound:
                return False
    return True


def _matters(patient: Patient, name: str) -> bool:
    """Whether the answer moves when its numbers are shuffled."""
    model = patient.plain.on(copy.deepcopy(patient.plain.thing))
    owner, _, last = name.rpartition(".")
    x = model.sample(2, min(9, model.max_len), patient.seed)
    before, held = model(x), model.module.get_submodule(owner)
    table = getattr(held, last)
    order = torch.randperm(table.numel(), generator=seeded(patient.seed))
    setattr(held, last, table.detach().flatten()[order].view_as(table))
    return difference(model(x), before) > BAD
