"""Computing in bfloat16 with float32 weights."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call

from oneblock.nn.experts.router import Router
from oneblock.nn.norm import NORMS


class InPrecision(nn.Module):
    """`model` computed in `precision`: weights rounded once a pass, norms and softmax inside in float32 or wider.

    Images are rounded too. Gradients arrive at the model's own float32 weights. The residual stream is in `precision`:
    on a CPU it is mostly memory that an elementwise step waits for. In float32 it is the model itself.

    rounded_already: names of parameters that come rounded, where several processes gather them
    """

    def __init__(self, model: nn.Module, precision: torch.dtype, rounded_already: Collection[str] = ()) -> None:
        super().__init__()
        self.model, self.precision = model, precision
        rounded = _rounded(model) if precision != torch.float32 else ()
        self.rounded = [name for name in rounded if name not in rounded_already]

    def forward(self, *inputs: Any, **options: Any) -> Tensor:
        """The model's answer."""
        if self.precision == torch.float32:
            out: Tensor = self.model(*inputs, **options)
            return out
        inputs = tuple(
            x.to(self.precision) if isinstance(x, Tensor) and x.is_floating_point() and x.dim() > 1 else x
            for x in inputs
        )
        weights = {name: self.model.get_parameter(name).to(self.precision) for name in self.rounded}
        computed: Tensor = functional_call(self.model, weights, inputs, options)
        return computed


def _rounded(model: nn.Module) -> Iterator[str]:
    """The parameters that are rounded: all but the norms' and routers', whose arithmetic is float32."""
    for prefix, module in model.named_modules():
        if not isinstance(module, (*NORMS.values(), Router)):
            for name, _ in module.named_parameters(recurse=False):
                yield f"{prefix}.{name}".lstrip(".")
