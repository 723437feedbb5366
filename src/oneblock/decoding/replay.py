"""A compiled step again, without what comes before its kernels: on a GPU a CUDA graph, on a CPU a single call.

PyTorch's own call finds each of the model's tensors by name again. For 30 layers that takes 1.5 ms, as the weights that
were read have put everything else out of the caches. A replay reads and writes the tensors of the first call, where
they lay then; `Ground` tells whether they are still the model's.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Hashable, Iterator, Sequence
from operator import getitem, is_
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules import module as torch_module
from torch.utils.hooks import RemovableHandle

from oneblock.decoding.entry import entry

Again = Callable[[], Tensor]
Call = tuple[Again, Sequence[Any], Sequence[Any]]
"""How to get the first output of a compiled graph again, and what went in and came out of it."""

_here = threading.local()
"""`calls`: those of compiled graphs in this thread, while `replayed` looks on."""
_lock = threading.Lock()
"""Held while PyTorch's class is another's, for one call."""


class Ground:
    """What a replay takes for granted: which modules and tensors a model is made of, where these lie, and no hooks.

    Numbers may change where they lie. A changed attribute of a module is noticed neither here nor by the compiled step
    (`compiled`).
    """

    def __init__(self, model: nn.Module) -> None:
        self.model = model
        self.hooks, self.hooked = RemovableHandle.next_id, hooked(model)
        modules: dict[nn.Module, bool] = {}
        _holding(model, modules)
        tables: list[dict[str, Any]] = [
            table for m, holds in modules.items() if holds for table in (m._modules, m._parameters, m._buffers)
        ]
        entries = [(table, name, value) for table in tables for name, value in table.items() if value is not None]
        self.tables, self.names, self.values = map(list, zip(*entries, strict=True))
        self.tensors = list(_tensors(model))
        self.addresses = [t.data_ptr() for t in self.tensors]

    def holds(self) -> bool:
        """Whether all is as it was."""
        # Whoever puts a hook anywhere draws a number.
        if self.hooks != RemovableHandle.next_id:
            if hooked(self.model) != self.hooked:
                return False
            self.hooks = RemovableHandle.next_id
        try:
            same = all(map(is_, map(getitem, self.tables, self.names), self.values))
        except KeyError:
            return False
        return same and list(map(Tensor.data_ptr, self.tensors)) == self.addresses


def hooked(model: nn.Module) -> bool:
    """Whether a call of the model calls something else too, which may do anything each time."""
    everywhere = torch_module._global_forward_hooks or torch_module._global_forward_pre_hooks
    return bool(everywhere) or any(m._forward_hooks or m._forward_pre_hooks for m in model.modules())


def setting() -> Hashable:
    """What of PyTorch's state a compiled step is made for: gradients, autocast, threads."""
    autocast = torch.is_autocast_enabled("cpu"), torch.is_autocast_enabled("cuda")
    return torch.is_grad_enabled(), torch.is_inference_mode_enabled(), autocast, torch.get_num_threads()


def watched(graph: Any, inputs: Sequence[Tensor], options: dict[str, Any]) -> Callable[..., Any]:
    """PyTorch's compiler, as a backend of torch.compile whose calls `replayed` sees."""
    # Loaded by whoever compiles.
    from torch._inductor.compile_fx import compile_fx

    made: Any = compile_fx(graph, list(inputs), config_patches=options)

    def call(*given: Any) -> Any:
        looking = getattr(_here, "calls", ())
        if not looking:
            return made(*given)
        noted = _innermost(made, given)
        for calls in looking:
            calls.append(noted)
        return noted[2]

    return call


def _innermost(made: Callable[..., Any], given: tuple[Any, ...]) -> Call:
    """A call of what PyTorch made; where that is one call of kernels with Python around it, the call of the kernels."""
    inside: list[Call] = []
    with _looking_inside(inside):
        answers = made(*given)
    if len(inside) == 1:
        again, inputs, outputs = inside[0]
        if len(outputs) == len(answers) and all(map(is_, outputs, answers)):
            return again, inputs, outputs
    return (lambda: made(*given)[0]), given, answers


@contextlib.contextmanager
def _looking_inside(calls: list[Call]) -> Iterator[None]:
    """Notes calls of compiled kernels in this thread. Nothing is noted where this PyTorch has no such class."""
    try:
        from torch._inductor.output_code import CompiledFxGraph
    except ImportError:
        yield
        return
    here = threading.get_ident()

    def noting(graph: Any, inputs: Any) -> Any:
        # The list is the callee's to empty.
        kept, kernels = list(inputs), graph.current_callable
        answers = real(graph, inputs)
        if threading.get_ident() == here:
            direct = entry(kernels, kept, answers)
            calls.append((direct or (lambda: kernels(list(kept))[0]), kept, answers))
        return answers

    kind: Any = CompiledFxGraph
    with _lock:
        real, kind.__call__ = kind.__call__, noting
        try:
            yield
        finally:
            kind.__call__ = real


def replayed(step: Again) -> tuple[Tensor, Again]:
    """The answer of a compiled step, and how to get the next: only the call of what was compiled, on the same tensors.

    Where the step is more than one graph of tensors, or gives more than the answer: the step itself.
    """
    calls: list[Call] = []
    _here.calls = [*getattr(_here, "calls", ()), calls]
    try:
        answer = step()
    finally:
        _here.calls = _here.calls[:-1]
    if len(calls) != 1:
        return answer, step
    again, given, answers = calls[0]
    if answers[0] is not answer or not all(isinstance(one, Tensor) for one in (*given, *answers)):
        return answer, step
    # A table that was moved to where it was already is given back: the same once more.
    places = {one.data_ptr() for one in given}
    same = all(one.data_ptr() in places for one in answers[1:])
    return answer, again if same else step


def record(step: Again) -> Again:
    """The step as a CUDA graph: its kernels are recorded once and replayed without Python between them.

    What it reads and writes must stay where it is, and running it twice must be as good as once.
    """
    side = torch.cuda.Stream()
    side.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(side):
        for _ in range(3):
            step()
    torch.cuda.current_stream().wait_stream(side)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        logits_BV = step()

    def replay() -> Tensor:
        graph.replay()
        return logits_BV

    return replay


def _holding(module: nn.Module, found: dict[nn.Module, bool]) -> bool:
    """Whether it or a part of it holds tensors, noted for it and each part.

    One without is left out, to be quick: to replace it is to change an attribute.
    """
    if module not in found:
        found[module] = any(x is not None for x in (*module._parameters.values(), *module._buffers.values()))
        parts = [_holding(part, found) for part in module._modules.values() if part is not None]
        found[module] |= any(parts)
    return found[module]


def _tensors(module: nn.Module) -> Any:
    yield from module.parameters()
    yield from module.buffers()
