"""Who holds what of a model that several processes train, and the whole of it when that is asked for."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from oneblock.config.distribution import Distribution
from oneblock.nn.block import Block
from oneblock.nn.experts.router import Router
from oneblock.nn.norm import NORMS
from oneblock.train.processes import ALONE, Processes
from oneblock.train.sharding import full, is_sharded, load_whole


class Layout:
    """A model's parameters laid out over processes as a `Distribution` says, in place; to be made before the optimiser.

    Sharded experts: each process holds some experts whole. Sharded parameters: each block, and what is outside the
    blocks, is a group of FSDP2's `fully_shard`, gathered in `precision` and reduced in float32. Norms and routers,
    whose arithmetic is float32 and whose size is nothing, stay replicated then. Names stay as they are.

    processes:  which one this is of how many; one alone holds everything
    replicated: the parameters whose gradients nobody adds up but `Sharded.backward`
    apart:      the names of those whose gradients come complete: sharded experts
    gathered:   the names of those that FSDP2 gathers, rounded
    """

    def __init__(
        self,
        model: nn.Module,
        option: Distribution | None = None,
        processes: Processes = ALONE,
        precision: torch.dtype = torch.float32,
    ) -> None:
        option = option or Distribution()
        self.model, self.processes = model, processes
        self.fully = option.parameters == "sharded" and processes.world > 1
        experts = option.experts == "sharded" and processes.world > 1
        self.apart: set[str] = set()
        self.gathered: set[str] = set()
        self.replicated: list[nn.Parameter] = []
        self._whole = _hollow(model) if self.fully or experts else None
        if self._whole is None:
            return
        from torch.distributed.device_mesh import init_device_mesh

        mesh = init_device_mesh(processes.device.type, (processes.world,))
        if experts:
            from oneblock.nn.experts.sharded import shard_experts

            shard_experts(model, mesh)
            self.apart = {name for name, p in model.named_parameters() if is_sharded(p)}
        if self.fully:
            self._shard(mesh, precision)

    @property
    def whole_everywhere(self) -> bool:
        """Whether each process holds the whole model."""
        return self._whole is None

    def _shard(self, mesh: Any, precision: torch.dtype) -> None:
        from torch.distributed.fsdp import MixedPrecisionPolicy, fully_shard

        modules = list(self.model.modules())
        self.replicated = [p for m in modules if isinstance(m, (*NORMS.values(), Router)) for p in m.parameters()]
        ours = {id(p) for p in self.replicated}
        self.gathered = {n for n, p in self.model.named_parameters() if id(p) not in ours} - self.apart
        ignored = set(self.replicated) | {self.model.get_parameter(name) for name in self.apart}
        rounding = {} if precision == torch.float32 else {"param_dtype": precision, "reduce_dtype": torch.float32}
        policy = MixedPrecisionPolicy(**rounding, cast_forward_inputs=False)
        for module in [*(m for m in modules if isinstance(m, Block)), self.model]:
            group: Any = fully_shard(module, mesh=mesh, mp_policy=policy, ignored_params=ignored)
            # The sum, in plain words: averages and scaled sums are not what every backend can do, or does right.
            group.set_gradient_divide_factor(1.0)
            group.set_force_sum_reduction_for_comms(True)

    @contextmanager
    def whole(self) -> Iterator[nn.Module]:
        """The model with all its weights in this process for a `with`, to be evaluated; not to be trained.

        All processes must ask. Where each holds the whole it is the model itself, else another of the same structure.
        """
        if self._whole is None:
            yield self.model
            return
        parts = dict(self.model.named_parameters())
        try:
            for name, parameter in self._whole.named_parameters():
                parameter.data = full(parts[name].detach())
            yield self._whole
        finally:
            for parameter in self._whole.parameters():
                parameter.data = parameter.data.new_empty(0)

    def load(self, weights: Mapping[str, Tensor]) -> None:
        """Take over whole weights, or sharded ones laid out as these are."""
        load_whole(self.model, weights)


def _hollow(model: nn.Module) -> nn.Module:
    """A copy without weights, whose buffers are the model's own."""
    known: dict[int, Any] = {id(buffer): buffer for buffer in model.buffers()}
    known |= {id(p): nn.Parameter(p.new_empty(0), requires_grad=p.requires_grad) for p in model.parameters()}
    return copy.deepcopy(model, known)
