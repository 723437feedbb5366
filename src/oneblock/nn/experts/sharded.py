"""Experts shared out over processes: what is replicated, split and sharded, and the collectives that follow."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.distributed.device_mesh import DeviceMesh
from torch.distributed.tensor import DTensor, Placement, Replicate, Shard

from oneblock.config.errors import ConfigError
from oneblock.config.experts import experts_of_each
from oneblock.nn.experts.dispatch import Dispatch
from oneblock.nn.experts.exchange import Elsewhere
from oneblock.nn.experts.groups import Groups
from oneblock.nn.experts.mixture import Mixture
from oneblock.nn.experts.routing import Routing
from oneblock.nn.experts.stacked import Experts, StackedLinear

PLACEMENTS: dict[str, Placement] = {
    "tokens": Shard(0),  # the rows of the batch, and with them the groups: each process feeds its own
    "experts": Shard(0),  # weights E × out × in and biases E × out: each process holds E/n experts
    "others": Replicate(),  # router, shared experts, attention, norms, embeddings: in every process
}
"""What is split, sharded and replicated (Lepikhin et al. 2021, section 3.2), by the first axis of each."""


def placements(model: nn.Module) -> dict[str, Placement]:
    """Where each parameter of a model lies, by its name: the experts' are sharded, all others replicated."""
    experts = {id(p) for module in model.modules() if isinstance(module, StackedLinear) for p in module.parameters()}
    return {name: PLACEMENTS["experts" if id(p) in experts else "others"] for name, p in model.named_parameters()}


def shard_experts(model: nn.Module, mesh: DeviceMesh) -> None:
    """Share the experts of every mixture out over a mesh of one axis, in place, without a message.

    The model is the same full one in every process; of each expert parameter a process keeps its own E/n experts, as
    a DTensor under the same name. To be called before the optimiser is made. From then on all processes run the model
    together. For each mixture: forward, one exchange of counts and two all-to-alls; backward, two all-to-alls. The
    experts' gradients need no collective: they are sums over the tokens of all processes, of each process's own loss.
    People get wrong that they must then not be averaged over the processes as the replicated ones are.
    Raises `ConfigError` where the experts cannot be shared out evenly.
    """
    if mesh.ndim != 1:
        raise ValueError(f"experts are sharded over a mesh of one axis, and this has {mesh.ndim}")
    mixtures = {name: module for name, module in model.named_modules() if isinstance(module, Mixture)}
    for name, mixture in mixtures.items():
        try:
            experts_of_each(mixture.num_experts, mesh.size())
        except ConfigError as error:
            raise (error.at(name) if name else error) from None
    where = placements(model)
    for name, mixture in mixtures.items():
        for path, module in mixture.named_modules(prefix=name):
            if isinstance(module, StackedLinear):
                for own, parameter in list(module.named_parameters(recurse=False)):
                    sharded = _own_part(parameter, mesh, where[f"{path}.{own}".lstrip(".")])
                    setattr(module, own, nn.Parameter(sharded, requires_grad=parameter.requires_grad))
        mixture.dispatch = _across(mixture.dispatch, mesh)


def _own_part(parameter: Tensor, mesh: DeviceMesh, placement: Placement) -> DTensor:
    if isinstance(parameter, DTensor):
        raise ValueError("the experts are sharded already")
    own = parameter.detach().chunk(mesh.size())[mesh.get_local_rank()].clone()
    return DTensor.from_local(own, mesh, [placement], run_check=False)


def _across(dispatch: Dispatch, mesh: DeviceMesh) -> Dispatch:
    """The same dispatch, to the experts of all processes. Not compiled: how much goes where is known only then."""
    group = mesh.get_group()

    def dispatched(x_BTD: Tensor, routing: Routing, groups: Groups, num_experts: int, experts: Experts) -> Tensor:
        return dispatch(x_BTD, routing, groups, num_experts, Elsewhere(experts, group))

    eager: Dispatch = torch.compiler.disable(dispatched)
    return eager
