"""Computing in bfloat16 with float32 weights."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor, nn
from torch.func import functional_call

from oneblock.nn.norm import NORMS


class InPrecision:
    """`model` computed in `precision`: weights rounded once a pass, norms and softmax inside in float32 or wider.

    Gradients arrive at the model's own float32 weights. The residual stream is in `precision` too: on a CPU it is
    mostly memory that an elementwise step waits for. In float32 it is the model itself.
    """

    def __init__(self, model: nn.Module, precision: torch.dtype) -> None:
        self.model, self.precision = model, precision
        self.rounded = list(_rounded(model)) if precision != torch.float32 else []

    def __call__(self, *inputs: Tensor) -> Tensor:
        if not self.rounded:
            out: Tensor = self.model(*inputs)
            return out
        weights = {name: self.model.get_parameter(name).to(self.precision) for name in self.rounded}
        computed: Tensor = functional_call(self.model, weights, inputs)
        return computed


def _rounded(model: nn.Module) -> Iterator[str]:
    """The parameters that are rounded: all but the norms', whose arithmetic is float32."""
    for prefix, module in model.named_modules():
        if not isinstance(module, tuple(NORMS.values())):
            for name, _ in module.named_parameters(recurse=False):
                yield f"{prefix}.{name}".lstrip(".")
