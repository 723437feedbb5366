"""How far two answers to one order are apart: what a diagnosis, and the question that is asked twice, rest on."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor

from oneblock.learn.child.wire import Handle


def distance(order: dict[str, Any], a: dict[str, Any], b: dict[str, Any]) -> float:
    """The largest difference of two answers, relative to the largest number (at least 1); ∞ where kinds differ."""
    if a["after"].get("changed") != b["after"].get("changed"):
        return math.inf
    if "error" in a or "error" in b:
        same = "error" in a and "error" in b and a["error"]["type"] == b["error"]["type"]
        return 0.0 if same else math.inf
    one, two = a["value"], b["value"]
    match order["do"]:
        case "call":
            return apart(one, two)
        case "get":
            return apart(one, two)
        case "grads":
            same_names = one["parameters"].keys() == two["parameters"].keys()
            parts = ("value", "inputs", "parameters") if same_names else ("value", "inputs")
            return max(apart(one[part], two[part]) for part in parts)
        case "load":
            return 0.0 if all(bool(one[part]) == bool(two[part]) for part in one) else math.inf
        case "weights":
            # Names are the learner's own.
            return 0.0 if _shapes(one) == _shapes(two) else math.inf
    return 0.0


def tallied(a: dict[str, Any], b: dict[str, Any], blocks: int) -> float | None:
    """0 if two answers of draws may well have the same frequencies, ∞ if not; None where they are no such draws."""
    one, two = a.get("value"), b.get("value")
    if not (isinstance(one, Tensor) and isinstance(two, Tensor)) or one.shape != two.shape or one.dtype != two.dtype:
        return None
    if one.dtype.is_floating_point or not one.numel() or one.numel() % blocks:
        return None
    least, most = int(min(one.min(), two.min())), int(max(one.max(), two.max()))
    if most - least > 10_000:
        return None
    counts = [
        torch.stack([torch.bincount(row, minlength=most - least + 1) for row in (t.reshape(blocks, -1).long() - least)])
        for t in (one, two)
    ]
    # Six standard errors of a difference of two counts.
    near = (counts[0] - counts[1]).abs() <= 6 * (counts[0] + counts[1]).double().sqrt()
    return 0.0 if bool(near.all()) else math.inf


def apart(a: Any, b: Any) -> float:
    """The same of two values. NaN equals NaN, an object kept there equals any other; a list of floats is no tuple."""
    if isinstance(a, Tensor) and isinstance(b, Tensor):
        return _tensors(a, b)
    if isinstance(a, Handle) and isinstance(b, Handle):
        return 0.0
    if isinstance(a, list | tuple) and isinstance(b, list | tuple):
        if type(a) is not type(b) and any(isinstance(entry, float) for entry in (*a, *b)):
            return math.inf
        return max(map(apart, a, b), default=0.0) if len(a) == len(b) else math.inf
    if isinstance(a, dict) and isinstance(b, dict):
        return max((apart(a[key], b[key]) for key in a), default=0.0) if a.keys() == b.keys() else math.inf
    if isinstance(a, float) and isinstance(b, float):
        return _tensors(torch.tensor(a, dtype=torch.float64), torch.tensor(b, dtype=torch.float64))
    return 0.0 if type(a) is type(b) and a == b else math.inf


def _tensors(a: Tensor, b: Tensor) -> float:
    if a.shape != b.shape or a.dtype != b.dtype:
        return math.inf
    if not a.dtype.is_floating_point:
        return 0.0 if torch.equal(a, b) else math.inf
    a, b = a.double(), b.double()
    alike = (a == b) | (torch.isnan(a) & torch.isnan(b))
    finite = a[torch.isfinite(a)].abs()
    scale = max(1.0, float(finite.max())) if finite.numel() else 1.0
    error = torch.where(alike, 0.0, (a - b).abs())
    return float(torch.nan_to_num(error, nan=math.inf, posinf=math.inf).max()) / scale if error.numel() else 0.0


def _shapes(weights: dict[str, Tensor]) -> list[tuple[int, ...]]:
    return sorted(tuple(tensor.shape) for tensor in weights.values())
