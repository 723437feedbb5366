"""`mapping()`: how a learner's own parameter names and layouts stand to the names that the exercises use.

`{name here: name there}`, of parameters or of whole submodules (`{"qkv": "attn.to_qkv"}`). A name there may be
    "c_attn.weight.T"           stored transposed
    "experts_up[3]"             one entry of a stack
    ["to_q", "to_k", "to_v"]    several, whose rows follow one another
    a function                  of our tensor, that gives {name there: tensor}
"""

from __future__ import annotations

import inspect
from typing import Any

import torch
from torch import Tensor, nn


def wanted(names: dict[str, Any], kind: str) -> dict[str, Any]:
    """What `mapping` in the learner's file says of a class; nothing where there is none."""
    hook = names.get("mapping")
    if hook is None:
        return {}
    asked = [p for p in inspect.signature(hook).parameters.values() if p.default in (p.empty, None)]
    said = hook(kind) if asked else hook()
    if not isinstance(said, dict):
        raise TypeError(f"mapping() must give a dict of names, and gave {type(said).__name__}")
    return said[kind] if isinstance(said.get(kind), dict) else said


def there(name: str, table: dict[str, Any]) -> Any:
    """What the learner calls a parameter: the row of the name itself, or of the longest module before it."""
    head = name
    while head:
        if head in table:
            tail, said = name[len(head) :], table[head]
            if callable(said):
                return said
            return [entry + tail for entry in said] if isinstance(said, list | tuple) else said + tail
        head = head.rpartition(".")[0]
    return name


def turned(table: dict[str, Any], ours: list[str], theirs: set[str]) -> dict[str, Any]:
    """The table in our direction; one that was written the other way round is turned."""
    straight = sum(any(name == key or name.startswith(key + ".") for name in ours) for key in table)
    words = {value: key for key, value in table.items() if isinstance(value, str)}
    other = sum(any(name == key or name.startswith(key + ".") for name in ours) for key in words)
    return words if other > straight else table


def load(module: nn.Module, weights: dict[str, Tensor], table: dict[str, Any]) -> dict[str, Any]:
    """Put our tensors into the learner's parameters.

    Gives `missing` (ours that found no place), `shapes` (name: [ours, theirs]), `left` (theirs that got nothing).
    """
    own = dict(module.named_parameters(remove_duplicate=False)) | dict(module.named_buffers())
    table = turned(table, list(weights), set(own))
    missing, shapes, filled = [], {}, set()
    for name, tensor in weights.items():
        for where, part in _parts(there(name, table), tensor, own):
            flip = where.endswith(".T")
            where, part = (where[:-2], part.T) if flip else (where, part)
            where, _, row = where.removesuffix("]").partition("[")
            target = own.get(where)
            target = target[int(row)] if row and target is not None else target
            if target is None:
                missing.append(name if where == name else f"{name} ({where})")
            elif target.shape != part.shape:
                shapes[name] = [list(part.shape), list(target.shape)]
            else:
                with torch.no_grad():
                    target.copy_(part)
                filled.add(where)
    shared = {id(own[name]) for name in filled}
    left = [name for name, tensor in module.named_parameters() if name not in filled and id(tensor) not in shared]
    return {"missing": missing, "shapes": shapes, "left": left}


def _parts(where: Any, tensor: Tensor, own: dict[str, Any]) -> list[tuple[str, Tensor]]:
    if callable(where):
        return list(where(tensor).items())
    if isinstance(where, str):
        return [(where, tensor)]
    sizes = [len(own[name]) if name in own and own[name].dim() else 0 for name in where]
    if sum(sizes) != len(tensor):
        sizes = [len(tensor) // len(where)] * len(where)
        sizes[-1] += len(tensor) - sum(sizes)
    return list(zip(where, tensor.split(sizes), strict=True))
