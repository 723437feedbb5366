"""The exchange with a group of one, and what it says where it cannot be; between processes: test_sharded.py."""

import copy

import pytest
import torch
import torch.distributed as dist
from torch import nn
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.tensor import DTensor

from oneblock.config import Dense, Switch, TopK
from oneblock.nn.context import Context
from oneblock.nn.experts.exchange import AllToAll, Elsewhere
from oneblock.nn.experts.sharded import shard_experts
from oneblock.nn.experts.stacked import EXPERTS, FewRows, Rows
from oneblock.nn.feedforward import FEED_FORWARDS
from oneblock.nn.position import Position

B, T, D, E = 3, 5, 7, 4


@pytest.fixture(scope="module")
def mesh():
    dist.init_process_group("gloo", store=dist.HashStore(), rank=0, world_size=1)
    yield init_device_mesh("cpu", (1,))
    dist.destroy_process_group()


def mixture(**settings):
    torch.manual_seed(0)
    option = TopK(num_experts=E, expert=Dense(hidden=11), **settings)
    module = FEED_FORWARDS[TopK](option, D).double()
    for parameter in module.parameters():
        nn.init.normal_(parameter)
    return module


def context(length=T):
    return Context(length, torch.device("cpu"), position=Position())


def some(*shape):
    return torch.randn(*shape, D, generator=torch.Generator().manual_seed(1), dtype=torch.float64)


@pytest.mark.parametrize("rows", [0, 5])
def test_the_gradient_is_the_reverse_exchange(mesh, rows):
    x = some(rows).requires_grad_()
    exchange = lambda x: AllToAll.apply(x, [rows], [rows], mesh.get_group())  # noqa: E731
    assert torch.equal(exchange(x), x)
    assert rows == 0 or (torch.autograd.gradcheck(exchange, x) and torch.autograd.gradgradcheck(exchange, x))


@pytest.mark.parametrize("dispatch", ["sorted", "einsum"])
def test_one_process_that_holds_all(mesh, dispatch):
    whole, x = mixture(dispatch=dispatch), some(B, T)
    sharded = copy.deepcopy(whole)
    shard_experts(sharded, mesh)
    torch.testing.assert_close(sharded(x, context()), whole(x, context()))
    with pytest.raises(ValueError, match="sharded already"):
        shard_experts(sharded, mesh)


@torch.no_grad()
def test_no_shortcut_is_taken_to_experts_that_are_not_here(mesh, monkeypatch):
    """One row alone in a compiled step: its experts' weights are looked up, where they are here."""
    whole, x = mixture().eval(), some(1, 1)
    sharded, seen = copy.deepcopy(whole), []
    shard_experts(sharded, mesh)
    for model in (whole, sharded):
        model.experts.up.register_forward_pre_hook(lambda module, inputs: seen.append(type(inputs[1]).__name__))
    monkeypatch.setattr(torch.compiler, "is_compiling", lambda: True)
    torch.testing.assert_close(sharded(x, context(1)), whole(x, context(1)))
    assert seen == ["Own", "FewRows"]
    elsewhere = Elsewhere(EXPERTS[Dense](Dense(), E, D), mesh.get_group())
    with pytest.raises(TypeError, match="Rows or Places, not FewRows"):
        elsewhere(x[0], FewRows(torch.zeros(1)))


def test_a_frozen_expert_stays_frozen_and_one_who_turned_to_another_type_sharded(mesh):
    model = mixture()
    model.experts.down.requires_grad_(False)
    shard_experts(model, mesh)
    assert model.experts.up.weight.requires_grad and not model.experts.down.weight.requires_grad
    turned = copy.deepcopy(model).to(torch.bfloat16)
    assert isinstance(turned.experts.up.weight, DTensor) and turned.experts.up.weight.dtype == torch.bfloat16
    assert model.experts.up.weight.dtype == torch.float64


@pytest.mark.slow
def test_compiled_all_but_the_exchange(mesh):
    model, x = mixture(shared_experts=1), some(B, T)
    shard_experts(model, mesh)

    def gradients(module):
        model.zero_grad()
        module(x, context()).square().sum().backward()
        return [p.grad.to_local() if isinstance(p.grad, DTensor) else p.grad for p in model.parameters()]

    eager = gradients(model)
    for one, other in zip(eager, gradients(torch.compile(model, backend="aot_eager")), strict=True):
        torch.testing.assert_close(other, one)


def test_only_a_mesh_of_one_axis(mesh):
    with pytest.raises(ValueError, match="a mesh of one axis, and this has 2"):
        shard_experts(mixture(), init_device_mesh("cpu", (1, 1)))


def test_a_model_without_mixtures_stays_as_it_is(mesh):
    model = nn.Linear(2, 3)
    shard_experts(model, mesh)
    assert not isinstance(model.weight, DTensor)


def test_rows_of_nobody_give_zero(mesh):
    """Those dropped come last, and are not carried."""
    experts, x = mixture().experts, some(9)
    counts, carried = torch.tensor([2, 0, 3, 1]), []
    model = mixture()
    shard_experts(model, mesh)
    model.experts.up.register_forward_pre_hook(lambda module, inputs: carried.append(len(inputs[0])))
    numbers = torch.tensor([0, 0, 2, 2, 2, 3, 3, 3, 3])
    y = Elsewhere(model.experts, mesh.get_group())(x, Rows(counts, numbers))
    torch.testing.assert_close(y[:6], experts(x, Rows(counts, numbers))[:6])
    assert carried == [6] and not y[6:].any() and y[:6].any(-1).all()


def test_a_limit_is_kept(mesh):
    option = Switch(num_experts=E, expert=Dense(hidden=11), group_size=T, capacity_factor=1.0, jitter=0.0)
    whole, x = FEED_FORWARDS[Switch](option, D).double(), some(B, T)
    for parameter in whole.parameters():
        nn.init.normal_(parameter)
    sharded = copy.deepcopy(whole)
    shard_experts(sharded, mesh)
    y = sharded(x, context())
    torch.testing.assert_close(y, whole(x, context()))
    assert (y == 0).all(-1).any()
