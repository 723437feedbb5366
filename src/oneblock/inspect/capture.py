"""`capture(model, tokens)`: everything that flows in one forward pass, by name.

Plain hooks on modules; nothing inside the block knows of them. torch is loaded when a capture is made: the
statistics and drawings beside it stay free of it.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torch import Tensor, nn


class Captured(dict[str, "Tensor"]):
    """Name -> tensor, in the order of the flow; detached copies. Unknown names are KeyErrors with near ones.

    embedding                      the stream that enters the first block, B × T × D
    blocks.0.attention.norm_in     a norm's output (likewise norm_out, q_norm, k_norm, a residual's, norm)
    blocks.0.attention.queries     B × H × T × K, as they meet: normed and rotated; keys, values B × G × S × K
    blocks.0.attention.scores      B × H × T × S, masked with −∞; weights: their softmax
    blocks.0.attention             what a branch contributes, before the residual scales it
    blocks.0.feed_forward.hidden   B × T × F, what enters `down`
    blocks.0.feed_forward.router   B × T × E, a mixture's logits; its experts' inner features have no place in a text
    blocks.0.attention_residual    the stream after a step; blocks.0: after the block
    logits                         B × T × V; of a diffusion transformer `answer`, as its images are
    """

    def __missing__(self, name: str) -> Tensor:
        near = difflib.get_close_matches(name, self, n=3, cutoff=0.4)
        raise KeyError(f"nothing was captured as {name!r}; near it: {', '.join(near) or ', '.join(self)}")

    def __repr__(self) -> str:
        return "\n".join(f"{name:40} {' × '.join(map(str, tensor.shape))}" for name, tensor in self.items())

    @property
    def stream(self) -> dict[str, Tensor]:
        """The residual stream alone: after the embedding and after every step."""
        return {name: self[name] for name in self if name == "embedding" or name.endswith("_residual")}


def capture(
    model: nn.Module,
    tokens: Tensor,
    padding: Tensor | None = None,
    target: Tensor | None = None,
    *,
    time: Tensor | None = None,
    classes: Tensor | None = None,
) -> Captured:
    """Run the model once in eval mode, without gradients, and record what flows; names as in `Captured`.

    Attention is written out for the time of the capture, since fused kernels never store their weights. The
    model is left as found (modes, modules, hooks, random generators), also where its forward raises. Absent
    parts have no name. target: of an encoder-decoder, whose tokens are the source; its embedding is the source's.
    time, classes: of a diffusion transformer, both B, whose `tokens` are images B × C × H × W.
    """
    import torch

    model = getattr(model, "_orig_mod", model)  # what torch.compile wraps
    found = Captured()
    with ExitStack() as undo:
        undo.enter_context(torch.no_grad())
        undo.enter_context(torch.random.fork_rng(devices=_cuda_devices(model)))
        undo.enter_context(torch.compiler.set_stance("force_eager"))
        undo.enter_context(_evaluating(model))
        undo.enter_context(_written_out(model))
        for handle in _hooks(model, found):
            undo.callback(handle.remove)
        given = [tensor for tensor in (tokens, target, time, classes) if tensor is not None]
        answer = model(*given) if padding is None else model(*given, padding=padding)
        found["logits" if time is None else "answer"] = answer.detach().clone()
    return found


def _cuda_devices(model: nn.Module) -> list[int]:
    return sorted({p.device.index for p in model.parameters() if p.device.type == "cuda"})


@contextmanager
def _evaluating(model: nn.Module) -> Iterator[None]:
    modes = [(module, module.training) for module in model.modules()]
    model.eval()
    try:
        yield
    finally:
        for module, training in modes:
            module.training = training


@contextmanager
def _written_out(model: nn.Module) -> Iterator[None]:
    """Every fused attention replaced by the written-out one of the same numbers, and put back."""
    from oneblock.nn.attend import Fused, WrittenOut

    fused = [
        (parent, name, child)
        for parent in model.modules()
        for name, child in parent.named_children()
        if isinstance(child, Fused)
    ]
    try:
        for parent, name, child in fused:
            setattr(parent, name, WrittenOut(child.scale, None, child.p).eval())
        yield
    finally:
        for parent, name, child in fused:
            setattr(parent, name, child)


def _hooks(model: nn.Module, found: Captured) -> Iterator[Any]:
    """Register the hooks; gives their handles one by one, so that each is undone whatever comes after it."""
    from oneblock.nn.attend import WrittenOut
    from oneblock.nn.block import Block
    from oneblock.nn.branch import Branch, Residual
    from oneblock.nn.experts.router import Router
    from oneblock.nn.feedforward import Dense, Gated

    def output(name: str) -> Callable[..., None]:
        def hook(module: nn.Module, inputs: Any, answer: Tensor) -> None:
            found[name] = answer.detach().clone()

        return hook

    def inputs(*names: str) -> Callable[..., None]:
        def hook(module: nn.Module, given: tuple[Tensor, ...]) -> None:
            for name, tensor in zip(names, given, strict=False):
                found[name] = tensor.detach().clone()

        return hook

    first = next((module for module in model.modules() if isinstance(module, Block)), None)
    if first is None:
        raise TypeError(f"capture reads models made of oneblock's blocks, and {type(model).__name__} has none")
    yield first.register_forward_pre_hook(inputs("embedding"))
    for path, module in model.named_modules():
        if isinstance(module, WrittenOut):
            within = path.rpartition(".")[0]
            yield module.register_forward_pre_hook(inputs(*(f"{within}.{n}" for n in ("queries", "keys", "values"))))
            yield module.softmax.register_forward_pre_hook(inputs(f"{within}.scores"))
            yield module.softmax.register_forward_hook(output(f"{within}.weights"))
        if isinstance(module, Dense | Gated):
            yield module.down.register_forward_pre_hook(inputs(f"{path}.hidden"))
        if isinstance(module, Block | Branch | Residual | Router) or _acts(path, module):
            yield module.register_forward_hook(output(path))


def _acts(path: str, module: nn.Module) -> bool:
    """Whether this is a norm, or a scale on the way, that does something."""
    from torch import nn

    from oneblock.nn.attention import OverHeads

    last = path.rpartition(".")[2]
    inner = module.norm if isinstance(module, OverHeads) else module
    if isinstance(inner, nn.Identity) or path.endswith(("q_norm.norm", "k_norm.norm")):
        return False
    return last.endswith("norm") or last in ("norm_in", "norm_out", "skip", "scale")
