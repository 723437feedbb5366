"""What a model does with its parameters on one input, in order: every matrix, norm, table and attention, whatever the
file calls them.

A tensor is *data* (depends on the input), *parameter* (made of parameters alone, as `1 + weight`) or *constant*. Where
data meets a parameter, the parameter is used: so a weight is seen as it acts, after every transpose and cast.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any
from unittest import mock

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from oneblock.doctor.target import Target

LIKE = ("type_as", "expand_as", "view_as", "reshape_as", "to")
"""Functions whose second tensor gives a form and no values."""
CASTS = ("to", "type_as", "float", "double", "type", "contiguous", "clone")
FRESH = ("zeros_like", "ones_like", "full_like", "empty_like", "rand_like", "randn_like", "new_zeros", "new_ones")
PRODUCTS = ("matmul", "__matmul__", "__rmatmul__", "mm", "bmm", "baddbmm", "einsum")
TIMES = ("mul", "__mul__", "__rmul__", "mul_", "__imul__", "multiply")
PLUS = ("add", "__add__", "__radd__", "add_", "__iadd__")


@dataclass
class Step:
    """One use: `kind` embed, table, norm, gain, matrix, product (data with data) or attention (a fused one).

    given, out: the data that came in and went out, rows × features. matrix: inputs × outputs, as it acts.
    vectors: gain and bias. module: path of the module it happened in; names: of the parameters it is made of.
    """

    kind: str
    given: Tensor
    out: Tensor
    module: str
    matrix: Tensor | None = None
    gain: Tensor | None = None
    bias: Tensor | None = None
    heads: int = 0
    made: int = 0
    came: int = 0
    names: tuple[str, ...] = ()


@dataclass
class Call:
    """One module with the tensors that went in and out."""

    path: str
    module: str
    given: list[Tensor]
    out: list[Tensor]


@dataclass
class Trace(TorchFunctionMode):
    """Records steps, and every tensor on the way."""

    module: nn.Module
    tokens: Tensor
    steps: list[Step] = field(default_factory=list)
    calls: list[Call] = field(default_factory=list)
    pool: list[Tensor] = field(default_factory=list)
    logits: Tensor | None = None
    islands: bool = False

    def __post_init__(self) -> None:
        super().__init__()
        self.parameters = {p.untyped_storage().data_ptr(): name for name, p in self.module.named_parameters()}
        self.origin: dict[int, str] = {id(self.tokens): "data"}
        self.names: dict[int, tuple[str, ...]] = {}
        self.kept: list[Tensor] = [self.tokens]
        self.stack: list[str] = [""]

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        name = getattr(func, "__name__", "")
        tensors = [t for t in _flat([*args, *kwargs.values()]) if isinstance(t, Tensor)]
        kinds = [self.kind(t) for t in tensors]
        pairs = list(zip(tensors, kinds, strict=True))
        before = [t.detach().clone() if k == "data" and name.endswith("_") else t for t, k in pairs]
        if func is F.multi_head_attention_forward:
            # It is written in Python, and its own parts are what is asked for.
            with mock.patch.object(F, "has_torch_function", lambda tensors: False), self:
                return func(*args, **kwargs)
        out = func(*args, **kwargs)
        made = [t for t in _flat([out]) if isinstance(t, Tensor)]
        kind = "data" if "data" in kinds else "parameter" if "parameter" in kinds else "constant"
        if name in LIKE and kinds:
            kind = kinds[0]
        elif name in FRESH:
            kind = "constant"
        elif name == "__setitem__" and kind == "data":
            self.mark(args[0], "data", ())
        names = tuple(dict.fromkeys(n for t, k in pairs if k == "parameter" for n in self.named(t)))
        for tensor in made:
            if tensor.untyped_storage().data_ptr() not in self.parameters:
                self.mark(tensor, kind, names if kind == "parameter" else ())
        if kind == "data" and made and made[0].is_floating_point():
            self.pool.append(made[0].detach().clone())
            self.use(name, args, kwargs, tensors, before, kinds, made[0], names)
        return out

    def kind(self, tensor: Tensor) -> str:
        """data, parameter or constant."""
        if tensor.untyped_storage().data_ptr() in self.parameters:
            return "parameter"
        return self.origin.get(id(tensor), "constant")

    def named(self, tensor: Tensor) -> tuple[str, ...]:
        """The parameters that a tensor is made of."""
        own = self.parameters.get(tensor.untyped_storage().data_ptr())
        return (own,) if own is not None else self.names.get(id(tensor), ())

    def mark(self, tensor: Tensor, kind: str, names: tuple[str, ...]) -> None:
        """Kept, so that no id is given twice."""
        self.kept.append(tensor)
        self.origin[id(tensor)], self.names[id(tensor)] = kind, names

    def use(
        self,
        name: str,
        args: Any,
        kwargs: Any,
        tensors: list[Tensor],
        before: list[Tensor],
        kinds: list[str],
        out: Tensor,
        names: tuple[str, ...],
    ) -> None:
        """Note a step where there is one."""
        data = [t for t, k in zip(before, kinds, strict=True) if k == "data"]
        ids = [id(t) for t, k in zip(tensors, kinds, strict=True) if k == "data"]
        fixed = [t for t, k in zip(tensors, kinds, strict=True) if k == "parameter"]

        def add(kind: str, **more: Any) -> None:
            step = Step(kind, data[0].detach().clone(), out.detach().clone(), self.stack[-1], names=names, **more)
            step.made, step.came = id(out), ids[0]
            self.steps.append(step)

        if name in CASTS and self.steps and self.steps[-1].made == ids[0]:
            self.steps[-1].made = id(out)
        elif name == "scaled_dot_product_attention":
            add("attention", heads=data[0].numel() // (data[0].shape[-1] * self.tokens.numel()))
        elif name in PRODUCTS and len(data) == 2 and not fixed and min(t.dim() for t in data) >= 3:
            add("product", heads=out.numel() // (self.tokens.numel() * self.tokens.shape[1]))
        elif not fixed:
            tables = [t for t, k in zip(tensors, kinds, strict=True) if k == "constant" and t.is_floating_point()]
            if name in PLUS and len(ids) == 2:
                self.gained(ids, out)
            elif name in PLUS and tables and self.wide(tables[0], out):
                add("table", matrix=self.rows(tables[0], out))
            elif name in ("layer_norm", "rms_norm"):
                add("norm")
        elif name in ("embedding", "__getitem__"):
            add("embed" if torch.equal(data[0], self.tokens) else "lookup", matrix=fixed[0].detach().clone())
        elif name in ("layer_norm", "rms_norm"):
            add("norm", gain=_vector(args, kwargs, 2, "weight"), bias=_vector(args, kwargs, 3, "bias"))
        elif name == "linear":
            add("matrix", matrix=fixed[0].detach().T, bias=_vector(args, kwargs, 2, "bias"))
        elif name == "addmm" and kinds[1:] == ["data", "parameter"]:
            add("matrix", matrix=tensors[2].detach(), bias=tensors[0].detach() if kinds[0] == "parameter" else None)
        elif name == "einsum":
            matrix = _of_einsum(args, tensors, kinds)
            if matrix is not None:
                add("matrix", matrix=matrix)
        elif name in PRODUCTS and kinds == ["data", "parameter"] and fixed[0].dim() == 2:
            add("matrix", matrix=fixed[0].detach())
        elif name in TIMES and fixed[0].numel() > 1:
            add("gain", gain=fixed[0].detach().flatten())
        elif name in PLUS:
            self.plus(fixed[0].detach(), ids[0], out, add)

    def plus(self, fixed: Tensor, came: int, out: Tensor, add: Callable[..., None]) -> None:
        """A bias of what came just before, or a table of positions."""
        last = self.steps[-1] if self.steps else None
        if last is not None and last.made == came and last.bias is None and fixed.numel() == fixed.shape[-1]:
            last.bias, last.out, last.made = fixed.flatten(), out.detach().clone(), id(out)
            last.names = (*last.names, *self.named(fixed))
        elif self.wide(fixed, out):
            add("table", matrix=self.rows(fixed, out))
        elif fixed.numel() == fixed.shape[-1]:
            add("bias", bias=fixed.flatten())

    def gained(self, ids: list[int], out: Tensor) -> None:
        """y + y · weight: the gain is 1 + weight."""
        last = self.steps[-1] if self.steps else None
        if last is not None and last.kind == "gain" and {last.made, last.came} == set(ids):
            last.out, last.made = out.detach().clone(), id(out)

    def wide(self, table: Tensor, out: Tensor) -> bool:
        """Whether it has a row for each position of the stream."""
        length = self.tokens.shape[1]
        sizes = (length * out.shape[-1], out.numel())
        return out.dim() == 3 and out.shape[1] == length and table.numel() in sizes and table.shape[-1] == out.shape[-1]

    def widen(self, dtype: torch.dtype) -> None:
        """All in the model's own format; `islands`: something was computed in another one."""
        self.islands = any(tensor.dtype != dtype for tensor in self.pool if tensor.is_floating_point())
        self.pool = [tensor.to(dtype) for tensor in self.pool]
        for step in self.steps:
            step.given, step.out = (t.to(dtype) if t.is_floating_point() else t for t in (step.given, step.out))
            step.matrix, step.gain, step.bias = (
                t if t is None else t.to(dtype) for t in (step.matrix, step.gain, step.bias)
            )

    def rows(self, table: Tensor, out: Tensor) -> Tensor:
        """T × D."""
        return table.detach().expand(out.shape)[0].clone()


def record(target: Target, tokens: Tensor) -> Trace:
    """The trace of one call, with its logits."""
    trace = Trace(target.module, tokens)
    handles = []
    for path, module in target.module.named_modules():
        handles.append(module.register_forward_pre_hook(_enter(trace, path)))
        handles.append(module.register_forward_hook(_leave(trace, path), with_kwargs=True))
    try:
        with trace:
            trace.logits = target(tokens).detach()
    finally:
        for handle in handles:
            handle.remove()
    trace.widen(target.dtype)
    return trace


def _enter(trace: Trace, path: str) -> Callable[..., None]:
    return lambda module, args: trace.stack.append(path)


def _leave(trace: Trace, path: str) -> Callable[..., None]:
    def hook(module: nn.Module, args: Any, kwargs: Any, out: Any) -> None:
        trace.stack.pop()
        given = [t.detach().clone() for t in _flat([*args, *kwargs.values()]) if _flows(t)]
        outs = [t.detach().clone() for t in _flat([out])[:1] if _flows(t)]
        trace.calls.append(Call(path, type(module).__name__, given, outs))

    return hook


def _flows(value: Any) -> bool:
    return isinstance(value, Tensor) and value.is_floating_point() and value.dim() >= 2


def _flat(values: Any) -> list[Any]:
    found: list[Any] = []
    for value in values:
        found += _flat(value) if isinstance(value, list | tuple) else [value]
    return found


def _vector(args: Any, kwargs: Any, place: int, name: str) -> Tensor | None:
    value = kwargs.get(name, args[place] if len(args) > place else None)
    return value.detach() if isinstance(value, Tensor) else None


def _of_einsum(args: Any, tensors: list[Tensor], kinds: list[str]) -> Tensor | None:
    """The parameter of an einsum as inputs × outputs; None where it is no matrix on the last features."""
    if not isinstance(args[0], str) or kinds != ["data", "parameter"]:
        return None
    left, _, right = args[0].replace(" ", "").partition("->")
    x, w = left.split(",")
    inner = [letter for letter in x if letter in w and letter not in right]
    outer = [letter for letter in right if letter in w]
    if not x.endswith("".join(inner)) or not right.endswith("".join(outer)) or len(inner) + len(outer) != len(w):
        return None
    moved = tensors[1].detach().permute([w.index(letter) for letter in [*inner, *outer]])
    size = 1
    for letter in inner:
        size *= tensors[1].shape[w.index(letter)]
    return moved.reshape(size, -1)
