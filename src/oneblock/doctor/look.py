"""Looking inside a model that is not ours: what its softmax is given, what its values are weighed with, its blocks.

`Watch` sees every torch function of a forward pass, whatever module it stands in. From the operations between a
projection and a softmax it follows the constant by which q kᵀ has been multiplied, wherever that was done.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from oneblock.doctor.calling import CACHES
from oneblock.doctor.target import Target

ROOTS = ("linear", "layer_norm", "rms_norm", "embedding", "addmm", "conv1d", "batch_norm", "group_norm")
PRODUCTS = ("matmul", "__matmul__", "__rmatmul__", "bmm", "baddbmm", "einsum")
TIMES = ("mul", "__mul__", "__rmul__", "mul_", "__imul__", "multiply")
OVER = ("div", "__truediv__", "truediv", "true_divide", "div_", "divide", "__itruediv__")


@dataclass
class Seen:
    """One attention: scores as the softmax has them, its weights, those that meet the values, what comes out.

    factor: by what q kᵀ has been multiplied, None where nobody can say; head_width: features of q and k.
    """

    scores: Tensor
    weights: Tensor
    factor: float | None
    head_width: int
    used: Tensor | None = None
    out: Tensor | None = None
    fused: bool = False


@dataclass
class Trace:
    """What is known of a tensor: its factor since the last projection, whose weights it is, or what came of whose."""

    tensor: Tensor
    factor: float = 1.0
    width: int = 0
    seen: Seen | None = None
    came_of: Seen | None = None


@dataclass
class Watch(TorchFunctionMode):
    """Records every attention of what runs inside."""

    seen: list[Seen] = field(default_factory=list)
    traces: dict[int, Trace] = field(default_factory=dict)

    def __post_init__(self) -> None:
        super().__init__()

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        out, name = func(*args, **kwargs), getattr(func, "__name__", "")
        if name == "scaled_dot_product_attention":
            self._fused(out, *args, **kwargs)
        elif name in ("softmax", "_softmax", "softmax_") and isinstance(out, Tensor):
            self._softmax(out, args[0])
        elif name in PRODUCTS and isinstance(out, Tensor):
            self._product(name, out, args, kwargs)
        elif name in ROOTS:
            pass
        else:
            self._inherit(name, out, args)
        return out

    def _of(self, value: Any) -> Trace | None:
        return self.traces.get(id(value)) if isinstance(value, Tensor) else None

    def _put(self, trace: Trace) -> None:
        # The tensor is kept, so that its id is not given to another one.
        self.traces[id(trace.tensor)] = trace

    def _fused(self, out: Tensor, q: Tensor, k: Tensor, v: Tensor, *more: Any, **named: Any) -> None:
        scale = named.get("scale", more[3] if len(more) > 3 else None)
        mask, causal = named.get("attn_mask", more[0] if more else None), named.get("is_causal", False)
        if len(more) > 2:
            causal = more[2]
        repeats = q.shape[-3] // k.shape[-3] if q.dim() > 2 else 1
        wide = k.repeat_interleave(repeats, dim=-3) if repeats > 1 else k
        scores = q @ wide.transpose(-2, -1) * (q.shape[-1] ** -0.5 if scale is None else scale)
        if causal:
            triangle = torch.ones(scores.shape[-2:], dtype=torch.bool).tril()
            scores = scores.masked_fill(~triangle, -torch.inf)
        if mask is not None:
            scores = scores.masked_fill(~mask, -torch.inf) if mask.dtype == torch.bool else scores + mask
        factor = q.shape[-1] ** -0.5 if scale is None else float(scale)
        for part in (q, k):
            trace = self._of(part)
            factor *= trace.factor if trace is not None else 1.0
        self.seen.append(Seen(scores, scores.softmax(-1), factor, q.shape[-1], out=out, fused=True))
        self._put(Trace(out, came_of=self.seen[-1]))

    def _softmax(self, out: Tensor, scores: Any) -> None:
        trace = self._of(scores)
        if trace is None or not trace.width or out.dim() < 3:
            return
        seen = Seen(scores, out, trace.factor, trace.width)
        self.seen.append(seen)
        self._put(Trace(out, seen=seen))

    def _product(self, name: str, out: Tensor, args: Any, kwargs: Any) -> None:
        extra, parts = 1.0, [each for each in args if isinstance(each, Tensor)]
        if name == "einsum" and len(args) > 1 and isinstance(args[1], list | tuple):
            parts = list(args[1])
        if name == "baddbmm":
            extra, parts = float(kwargs.get("alpha", 1.0)), parts[1:]
        if len(parts) != 2 or min(part.dim() for part in parts) < 3:
            return
        for part in parts:
            trace = self._of(part)
            if trace is not None and trace.seen is not None:
                trace.seen.used, trace.seen.out = part, out
                self._put(Trace(out, came_of=trace.seen))
                return
        width = parts[0].shape[-1]
        if name == "einsum" and isinstance(args[0], str):
            width = _contracted(args[0], parts) or width
        for part in parts:
            trace = self._of(part)
            extra *= trace.factor if trace is not None else 1.0
        self._put(Trace(out, factor=extra, width=width))

    def _inherit(self, name: str, out: Any, args: Any) -> None:
        given = list(args[0]) if args and isinstance(args[0], list | tuple) else list(args)
        traces = [trace for trace in map(self._of, given) if trace is not None]
        factor = traces[0].factor if traces else 1.0
        numbers = [each for each in given if _number(each) is not None]
        if name in TIMES and numbers:
            factor *= _number(numbers[0]) or 0.0
        elif name in OVER and len(given) == 2 and _number(given[1]):
            factor /= _number(given[1]) or 1.0
        elif not traces:
            return
        for made in out if isinstance(out, list | tuple) else [out]:
            if isinstance(made, Tensor) and made.is_floating_point():
                first = traces[0] if traces else Trace(made)
                same = first.seen is not None and made.shape == first.seen.weights.shape
                still = first.came_of
                if still is not None and still.out is not None and made.shape == still.out.shape:
                    still.out = made
                self._put(Trace(made, factor, first.width, first.seen if same else None, still))


def _number(value: Any) -> float | None:
    if isinstance(value, bool):
        return None
    if isinstance(value, int | float):
        return float(value)
    return float(value) if isinstance(value, Tensor) and value.dim() == 0 and value.is_floating_point() else None


def _contracted(equation: str, parts: list[Tensor]) -> int:
    left, _, right = equation.replace(" ", "").partition("->")
    sides = left.split(",")
    both = [letter for letter in sides[0] if letter in sides[1] and letter not in right]
    return math.prod(parts[0].shape[sides[0].index(letter)] for letter in both) if both else 0


def attentions(target: Target, x: Tensor) -> list[Seen]:
    """Every attention of one call."""
    with Watch() as watch:
        target(x)
    return watch.seen


@dataclass(frozen=True)
class Called:
    """One block of a model with what it was given: `run(x)` calls it again, `given` is its x."""

    name: str
    block: nn.Module
    given: Tensor
    out: Tensor
    args: tuple[Any, ...]
    kwargs: dict[str, Any]

    def run(self, x: Tensor, block: nn.Module | None = None) -> Tensor:
        """The stream after the block."""
        args, kwargs = self.args, dict(self.kwargs)
        if args:
            args = (x, *args[1:])
        else:
            kwargs["hidden_states" if "hidden_states" in kwargs else next(iter(kwargs))] = x
        for name in CACHES:
            if name in kwargs:
                kwargs[name] = None
        answer = (block or self.block)(*args, **kwargs)
        return answer if isinstance(answer, Tensor) else next(p for p in answer if isinstance(p, Tensor))


def blocks(target: Target, x: Tensor) -> list[Called]:
    """The layers of a model, each as it was called: the longest list of modules of one class that maps B × T × D."""
    best: list[tuple[str, nn.Module]] = []
    for path, module in target.module.named_modules():
        if isinstance(module, nn.ModuleList | nn.Sequential):
            inside = [(f"{path}.{name}", each) for name, each in module.named_children()]
            alike = len({type(each) for _, each in inside}) == 1 and any(p.dim() > 1 for p in inside[0][1].parameters())
            if alike and sum(p.numel() for p in module.parameters()) > sum(
                p.numel() for _, m in best for p in m.parameters()
            ):
                best = inside
    calls: list[Called] = []

    def note(name: str) -> Callable[..., None]:
        def hook(module: nn.Module, args: Any, kwargs: Any, answer: Any) -> None:
            tensors = [t for t in (*args, *kwargs.values()) if isinstance(t, Tensor) and t.is_floating_point()]
            out = answer if isinstance(answer, Tensor) else next((p for p in answer if isinstance(p, Tensor)), None)
            if tensors and out is not None and tensors[0].dim() == 3 and out.shape == tensors[0].shape:
                calls.append(Called(name, module, tensors[0].clone(), out.clone(), args, kwargs))

        return hook

    handles = [module.register_forward_hook(note(name), with_kwargs=True) for name, module in best]
    try:
        target(x)
    finally:
        for handle in handles:
            handle.remove()
    return calls


def silenced(block: nn.Module) -> nn.Module:
    """A copy whose branches give 0: matrices and their biases zeroed, norms left."""
    made = copy.deepcopy(block)
    with torch.no_grad():
        for module in made.modules():
            own = [p for p in module.parameters(recurse=False) if p.is_floating_point()]
            if any(p.dim() >= 2 for p in own):
                for p in own:
                    p.zero_()
    return made


def norms(module: nn.Module) -> list[tuple[str, nn.Module]]:
    """Modules that look like norms: named so, with vectors only."""
    found = []
    for name, each in module.named_modules():
        last = f"{type(each).__name__} {name.rpartition('.')[2]}".lower()
        plain = all(p.dim() <= 1 for p in each.parameters()) and not any(True for _ in each.children())
        if plain and ("norm" in last or "ln" in last.split("_")) and any(True for _ in each.parameters()):
            found.append((name, each))
    return found
