"""Where two runs that should agree part: the first module whose inputs still agree and whose answer does not."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from oneblock.doctor.calling import all_tensors
from oneblock.doctor.look import shown
from oneblock.doctor.patient import difference

Keep = Callable[[Tensor], Tensor | None]
AGREE = 1e-7
"""In float64; float32 islands are given room by the caller."""


@dataclass
class Event:
    """One module that has run: the floating tensors it was given and gave."""

    name: str
    given: list[Tensor] = field(default_factory=list)
    gave: list[Tensor] = field(default_factory=list)


def events(module: nn.Module, run: Callable[[], Any]) -> list[Event]:
    """What every module was given and gave, in the order in which they ended: children before their parents."""
    found: list[Event] = []

    def note(name: str) -> Callable[..., None]:
        def hook(_: nn.Module, args: Any, kwargs: Any, answer: Any) -> None:
            given = [t for t in (*args, *kwargs.values()) if isinstance(t, Tensor) and t.is_floating_point()]
            found.append(Event(name, [t.detach().clone() for t in given], [t.detach() for t in all_tensors(answer)]))

        return hook

    handles = [each.register_forward_hook(note(name), with_kwargs=True) for name, each in module.named_modules()]
    try:
        with torch.no_grad():
            run()
    finally:
        for handle in handles:
            handle.remove()
    return found


def joined(parts: list[Event]) -> list[Event]:
    """Events of several chunks as those of one pass: tensors of one module joined along tokens."""
    found: dict[str, list[Event]] = {}
    for part in parts:
        found.setdefault(part.name, []).append(part)

    def join(groups: list[list[Tensor]]) -> list[Tensor]:
        alike = [g for g in zip(*groups, strict=False) if len({(t.dim(), t.shape[0], t.shape[2:]) for t in g}) == 1]
        return [torch.cat(g, dim=1) for g in alike if g[0].dim() == 3]

    return [
        Event(name, join([e.given for e in each]), join([e.gave for e in each]))
        for name, each in found.items()
        if all(t.dim() >= 2 for e in each for t in (*e.given, *e.gave))
    ]


def parting(first: list[Event], second: list[Event], keep: Keep, agree: float = AGREE) -> str | None:
    """The module's name ("" is the model itself), or None where no module parts by itself."""
    others: dict[tuple[str, int], Event] = {}
    counts: dict[str, int] = {}
    for event in second:
        others[event.name, counts.get(event.name, 0)] = event
        counts[event.name] = counts.get(event.name, 0) + 1
    counts = {}
    for event in first:
        other = others.get((event.name, counts.get(event.name, 0)))
        counts[event.name] = counts.get(event.name, 0) + 1
        if other is None:
            continue
        if _parts(event.gave, other.gave, keep, agree) and not _parts(event.given, other.given, keep, agree):
            return event.name
    return None


def _parts(first: list[Tensor], second: list[Tensor], keep: Keep, agree: float) -> bool:
    for one, other in zip(first, second, strict=False):
        a, b = keep(one), keep(other)
        if a is not None and b is not None and not difference(b, a) <= agree:
            return True
    return False


def line_of(module: nn.Module, name: str) -> str:
    """`name (file:line)` of the forward of a module's class; the name alone where its source is not at hand."""
    said = name or "the model's own forward"
    try:
        each = module.get_submodule(name)
        while type(each).__module__.startswith("torch.") and name:
            # A line of torch's own helps nobody: that of the module which holds it does.
            name = name.rpartition(".")[0]
            each = module.get_submodule(name)
        forward = inspect.unwrap(type(each).forward)
        path, (_, line) = inspect.getsourcefile(forward), inspect.getsourcelines(forward)
    except (AttributeError, TypeError, OSError):
        return said
    return f"{said} ({shown(path)}:{line})" if path else said


def made_at(module: nn.Module, name: str) -> str:
    """`file:line)` where a tensor of one's own class is made, by its assignment or registration; "" where not found."""
    owner, _, last = name.rpartition(".")
    held = module.get_submodule(owner)
    if not isinstance(getattr(held, last, None), Tensor) or last in held._parameters:
        return ""
    for kind in type(held).__mro__:
        if kind.__module__.startswith("torch.") or kind is object:
            continue
        try:
            path, (lines, start) = inspect.getsourcefile(kind), inspect.getsourcelines(kind)
        except (TypeError, OSError):
            continue
        for number, line in enumerate(lines):
            if f"self.{last} =" in line or (f'"{last}"' in line and "register_buffer" in line):
                return f"{shown(path)}:{start + number})" if path else ""
    return ""


def with_line(module: nn.Module, where: str) -> str:
    """`where` with file and line, if it begins with the name of a module or of a parameter and has none."""
    first = where.split(",")[0].split(" ")[0].strip()
    if not first or ".py:" in where:
        return where
    names = {name for name, _ in module.named_modules()}
    owner = first if first in names else first.rpartition(".")[0]
    of_itself = first == "forward" or isinstance(getattr(module, first, None), Tensor)
    if owner not in names or (not owner and not of_itself):
        return where
    line = made_at(module, first) or line_of(module, owner).partition(" (")[2]
    return where.replace(first, f"{first} ({line}", 1) if line else where
