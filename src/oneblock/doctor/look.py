"""Looking inside a model that is not ours: what its softmax is given and what its values are weighed with.

`Watch` sees every torch function of a forward pass, whatever module it stands in. From the operations between a
projection and a softmax it follows the constant by which q kᵀ has been multiplied, wherever that was done.
"""

from __future__ import annotations

import math
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from oneblock.doctor.noting import Noting
from oneblock.doctor.target import Target

ROOTS = ("linear", "layer_norm", "rms_norm", "embedding", "addmm", "conv1d", "batch_norm", "group_norm")
PRODUCTS = ("matmul", "__matmul__", "__rmatmul__", "bmm", "baddbmm", "einsum")
WEIGHED = ("sigmoid", "exp", "exp_")
CURVED = ("cos", "sin", "pow", "__pow__", "__rpow__", "reciprocal")
"""What makes weights of scores in ways of its own; behind what a constant is no factor (angles scale nothing)."""
TIMES = ("mul", "__mul__", "__rmul__", "mul_", "__imul__", "multiply")
OVER = ("div", "__truediv__", "truediv", "true_divide", "div_", "divide", "__itruediv__")


@dataclass
class Seen:
    """One attention: scores as the softmax has them, its weights, those that meet the values, what comes out.

    factor: by what q kᵀ has been multiplied, None where nobody can say; head_width: features of q and k.
    q, k, v: as they were multiplied, heads at dimension 1; place: the module and the line that asked for the softmax.
    """

    scores: Tensor
    weights: Tensor
    factor: float | None
    head_width: int
    used: Tensor | None = None
    out: Tensor | None = None
    fused: bool = False
    whole: bool = False
    q: Tensor | None = None
    k: Tensor | None = None
    v: Tensor | None = None
    place: str = ""


@dataclass
class Trace:
    """What is known of a tensor: its factor since the last projection, whose weights it is, or what came of whose."""

    tensor: Tensor
    factor: float = 1.0
    width: int = 0
    seen: Seen | None = None
    came_of: Seen | None = None
    parts: tuple[Tensor, ...] = ()


@dataclass
class Watch(TorchFunctionMode):
    """Records every attention of what runs inside.

    names: of modules by id, for the places. alone: every token is made to attend to itself only, so that whatever
    still mixes tokens is no attention. dropped: where scores pass a dropout. bare: where products of queries and keys
    meet values without a softmax.
    """

    names: dict[int, str] = field(default_factory=dict)
    alone: bool = False
    seen: list[Seen] = field(default_factory=list)
    dropped: list[str] = field(default_factory=list)
    bare: list[str] = field(default_factory=list)
    traces: dict[int, Trace] = field(default_factory=dict)

    def __post_init__(self) -> None:
        super().__init__()

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        out, name = func(*args, **kwargs), getattr(func, "__name__", "")
        if name == "scaled_dot_product_attention":
            self._fused(out, *args, **kwargs)
            out = self._own_value(out, *args) if self.alone else out
        elif name == "multi_head_attention_forward":
            self._whole(func, args, kwargs)
        elif name in ("softmax", "_softmax", "softmax_") and isinstance(out, Tensor):
            self._softmax(out, args[0])
            if self.alone and self.traces.get(id(out)) is not None and out.shape[-1] >= out.shape[-2]:
                out = _own_key(out)
        elif name in PRODUCTS and isinstance(out, Tensor):
            self._product(name, out, args, kwargs)
        elif name in (*ROOTS, *WEIGHED, *CURVED):
            pass
        else:
            if "dropout" in name and args and self._scores(args[0]):
                self.dropped.append(place(self.names))
            self._inherit(name, out, args)
        return out

    def _scores(self, value: Any) -> bool:
        """Whether it came of a product of two projections, tokens by tokens, and of no softmax."""
        trace = self._of(value)
        if trace is None or not trace.width or trace.seen is not None or trace.came_of is not None:
            return False
        return value.dim() == 4 and value.shape[-1] == value.shape[-2] != trace.width

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
        seen = Seen(scores, scores.softmax(-1), factor, q.shape[-1], out=out, fused=True, q=q, k=k, v=v)
        seen.place = place(self.names)
        self.seen.append(seen)
        self._put(Trace(out, came_of=self.seen[-1]))

    def _softmax(self, out: Tensor, scores: Any) -> None:
        trace = self._of(scores)
        if trace is None or not trace.width or out.dim() < 3:
            return
        q, k = trace.parts if len(trace.parts) == 2 else (None, None)
        seen = Seen(scores, out, trace.factor, trace.width, q=q, k=k, place=place(self.names))
        self.seen.append(seen)
        self._put(Trace(out, seen=seen))

    def _whole(self, func: Any, args: Any, kwargs: Any) -> None:
        """PyTorch's own attention, projections and all, in one function: only its weights can be asked for."""
        _, weights = func(*args, **kwargs | {"need_weights": True, "average_attn_weights": False})
        if isinstance(weights, Tensor) and weights.dim() == 4:
            width = int(args[3] if len(args) > 3 else kwargs["embed_dim_to_check"]) // weights.shape[1]
            where = place(self.names)
            self.seen.append(Seen(weights.log(), weights, width**-0.5, width, place=where, whole=True))

    @staticmethod
    def _own_value(out: Tensor, q: Tensor, k: Tensor, v: Tensor, *more: Any) -> Tensor:
        if q.shape[-2] != v.shape[-2] or out.shape[-1] != v.shape[-1]:
            return out
        repeats = out.shape[-3] // v.shape[-3] if out.dim() > 2 else 1
        return (v.repeat_interleave(repeats, dim=-3) if repeats > 1 else v).expand_as(out).contiguous()

    def _product(self, name: str, out: Tensor, args: Any, kwargs: Any) -> None:
        extra, parts = 1.0, [each for each in args if isinstance(each, Tensor)]
        if name == "einsum" and len(args) > 1 and isinstance(args[1], list | tuple):
            parts = list(args[1])
        if name == "baddbmm":
            given = [*parts[1:], *(kwargs[key] for key in ("batch1", "batch2") if key in kwargs)]
            extra, parts = float(kwargs.get("alpha", 1.0)), given
        if len(parts) != 2 or min(part.dim() for part in parts) < 3:
            return
        for part in parts:
            trace = self._of(part)
            if trace is not None and trace.seen is not None:
                trace.seen.used, trace.seen.out = part, out
                trace.seen.v = next(other for other in parts if other is not part)
                self._put(Trace(out, came_of=trace.seen))
                return
        if self._scores(parts[0]) and float((parts[0].sum(-1) - 1).abs().max()) > 1e-3:
            self.bare.append(place(self.names))
        width = parts[0].shape[-1]
        if name == "einsum" and isinstance(args[0], str):
            width = _contracted(args[0], parts) or width
        for part in parts:
            trace = self._of(part)
            extra *= trace.factor if trace is not None else 1.0
        self._put(Trace(out, factor=extra, width=width, parts=tuple(parts)))

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
                self._put(Trace(made, factor, first.width, first.seen if same else None, still, first.parts))


def _own_key(weights: Tensor) -> Tensor:
    """All weight on the query's own key. Columns that are no token's (a sink) stand where the first query sees them."""
    queries, keys = weights.shape[-2:]
    behind = keys == queries or bool((weights[..., 0, -1] > 0).any())
    own = torch.eye(queries, keys, dtype=weights.dtype) if behind else _shifted(queries, keys, weights.dtype)
    return own.expand_as(weights).contiguous()


def _shifted(queries: int, keys: int, dtype: torch.dtype) -> Tensor:
    return torch.cat([torch.zeros(queries, keys - queries, dtype=dtype), torch.eye(queries, dtype=dtype)], dim=1)


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


def watched(target: Target, x: Tensor) -> Watch:
    """All that a watch has recorded of one call."""
    with Watch(names=names_of(target.module)) as watch:
        target(x)
    return watch


def attentions(target: Target, x: Tensor) -> list[Seen]:
    """Every attention of one call."""
    return watched(target, x).seen


class Narrow(Noting):
    """Records where a number of 16 bits is made."""

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        out = func(*args, **(kwargs or {}))
        if not self.found and isinstance(out, Tensor) and out.dtype in (torch.float16, torch.bfloat16):
            self.found.append(place(self.names))
        return out


def narrowed(target: Target, seed: int) -> str:
    """Where a model in float32 computes in half precision; "" where it does not."""
    with torch.autocast("cpu", enabled=False), Narrow(names_of(target.module)) as narrow:
        target(target.sample(2, min(11, target.max_len), seed))
    return next(iter(narrow.found), "")


def names_of(module: nn.Module) -> dict[int, str]:
    """id -> name of every module."""
    return {id(each): name for name, each in module.named_modules()}


def place(names: dict[int, str]) -> str:
    """The module that runs, and the line of the person's own code that it has come to."""
    frame, line, name = sys._getframe(1), "", ""
    while frame is not None and not name:
        path, parts = frame.f_code.co_filename, Path(frame.f_code.co_filename).parts
        foreign = "torch" in parts or ("oneblock" in parts and "doctor" in parts) or path.startswith("<")
        if not line and not foreign:
            line = f"{shown(path)}:{frame.f_lineno}"
        for word in ("self", "module"):
            owner = frame.f_locals.get(word)
            name = name or (names.get(id(owner), "") if isinstance(owner, nn.Module) else "")
        frame = frame.f_back  # type: ignore[assignment]
    return f"{name} ({line})" if name and line else name or line


def shown(path: str) -> str:
    """A file's path, from the folder one stands in where it lies below that."""
    try:
        return str(Path(path).resolve().relative_to(Path.cwd()))
    except ValueError:
        return path
