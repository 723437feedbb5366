"""Both forms of dispatch beside a loop over tokens: values and gradients."""

import pytest
import torch
from torch import nn

from oneblock.config import Dense, Gated
from oneblock.nn.activation import ACTIVATIONS
from oneblock.nn.experts.dispatch import DISPATCHES, by_every_expert
from oneblock.nn.experts.groups import Groups
from oneblock.nn.experts.routing import gshard_routing, switch_routing, top_k_routing
from oneblock.nn.experts.stacked import EXPERTS, FewRows

B, T, D, E = 3, 10, 6, 5
OPTIONS = [
    Dense(activation="relu", hidden=7),
    Dense(activation="sigmoid", hidden=7, bias=True),
    Gated(activation="silu", hidden=11),
    Gated(activation="gelu", hidden=11, bias=True),
]
ROUTES = {
    "switch": lambda p, real: switch_routing(p, real),
    "switch, full": lambda p, real: switch_routing(p, real, 2),
    "gshard": lambda p, real: gshard_routing(p, real, 3, draw_GS=torch.full(p.shape[:2], 0.6).double()),
    "top 3": lambda p, real: top_k_routing(p, 3, real),
    "nobody": lambda p, real: switch_routing(p, torch.zeros(p.shape[:2], dtype=torch.bool)),
}


def made(option):
    torch.manual_seed(0)
    experts = EXPERTS[type(option)](option, E, D).double()
    for parameter in experts.parameters():
        nn.init.normal_(parameter)
    return experts


def inputs(size, padded):
    generator = torch.Generator().manual_seed(1)
    x = torch.randn(B, T, D, generator=generator, dtype=torch.float64)
    logits = torch.randn(B, T, E, generator=generator, dtype=torch.float64)
    real = torch.arange(T) >= torch.tensor([0, 2, 5])[:, None] if padded else None
    groups = Groups(B, T, size)
    return x, groups, logits, groups.real(real, logits)


def one_expert(experts, option, e, x_D):
    """Expert e on one token, by its own matrices."""

    def linear(stacked, x):
        return stacked.weight[e] @ x + (stacked.bias[e] if stacked.bias is not None else 0)

    act = ACTIVATIONS[option.activation]
    if isinstance(option, Gated):
        return linear(experts.down, act(linear(experts.gate, x_D)) * linear(experts.up, x_D))
    return linear(experts.down, act(linear(experts.up, x_D)))


def by_loop(x, routing, groups, experts, option):
    chosen, weights, kept = (groups.join(part) for part in (routing.experts, routing.weights, routing.kept))
    rows = []
    for b in range(B):
        for t in range(T):
            y = torch.zeros(D, dtype=torch.float64)
            for j in range(chosen.shape[-1]):
                if kept[b, t, j]:
                    y = y + weights[b, t, j] * one_expert(experts, option, int(chosen[b, t, j]), x[b, t])
            rows.append(y)
    return torch.stack(rows).view(B, T, D)


@pytest.mark.parametrize("option", OPTIONS, ids=["dense", "dense bias", "gated", "gated bias"])
@pytest.mark.parametrize("route", ROUTES)
@pytest.mark.parametrize(("size", "padded"), [(None, False), (None, True), (5, False), (4, True)])
def test_sorted_and_einsum_are_the_loop_with_their_gradients(option, route, size, padded):
    x, groups, logits, real = inputs(size, padded)
    experts, found = made(option), {}
    for name in ("loop", *DISPATCHES):
        x_BTD, logits_BTE = x.clone().requires_grad_(), logits.clone().requires_grad_()
        routing = ROUTES[route](groups.split(logits_BTE).softmax(-1), real)
        if name == "loop":
            y = by_loop(x_BTD, routing, groups, experts, option)
        else:
            y = DISPATCHES[name](x_BTD, routing, groups, E, experts)
        experts.zero_grad()
        # Not the plain sum: its gradient would be the same for every feature.
        (y * torch.arange(1.0, D + 1)).square().sum().backward() if y.requires_grad else None
        grads = [x_BTD.grad, logits_BTE.grad, *(parameter.grad for parameter in experts.parameters())]
        found[name] = [y, *(torch.zeros(()) if g is None else g.clone() for g in grads)]
    for name in DISPATCHES:
        for one, other in zip(found["loop"], found[name], strict=True):
            torch.testing.assert_close(one.expand_as(other), other, rtol=1e-9, atol=1e-9, check_dtype=False)


@pytest.mark.parametrize("dispatch", DISPATCHES)
def test_dropped_tokens_and_pads_give_zero(dispatch):
    option = OPTIONS[1]
    x, groups, logits, real = inputs(None, True)
    routing = switch_routing(groups.split(logits).softmax(-1), real, 2)
    y = DISPATCHES[dispatch](x, routing, groups, E, made(option))
    kept = groups.join(routing.kept).squeeze(-1)
    assert 0 < kept.sum() <= 2 * E and not y[~kept].any() and y[kept].any(-1).all()


@pytest.mark.parametrize("option", OPTIONS)
@torch.no_grad()
def test_the_forms_for_a_few_rows(option):
    x, groups, logits, _ = inputs(None, False)
    routing, experts = top_k_routing(groups.split(logits).softmax(-1), 2), made(option)
    expected = DISPATCHES["sorted"](x, routing, groups, E, experts).flatten(0, 1)
    chosen, weights = (groups.join(part).flatten(0, 1) for part in (routing.experts, routing.weights))
    every = by_every_expert(x.flatten(0, 1), chosen, E, experts).unflatten(0, (-1, 2))
    torch.testing.assert_close((every * weights.unsqueeze(-1)).sum(1), expected)
    one = experts(x[0, :1].expand(2, -1), FewRows(chosen[0]))
    torch.testing.assert_close((one * weights[0].unsqueeze(-1)).sum(0), expected[0])


def test_nothing_of_the_size_tokens_by_experts_by_places_is_made():
    """Memory for 512 tokens and 64 experts: sorted, far less than one S × E × C mask of half precision."""
    from torch.utils._python_dispatch import TorchDispatchMode

    class Largest(TorchDispatchMode):
        size = 0

        def __torch_dispatch__(self, func, types, args=(), kwargs=None):
            out = func(*args, **(kwargs or {}))
            for tensor in out if isinstance(out, tuple | list) else [out]:
                if isinstance(tensor, torch.Tensor):
                    self.size = max(self.size, tensor.numel())
            return out

    x, logits = torch.randn(1, 512, 8), torch.randn(1, 512, 64)
    experts = EXPERTS[Dense](Dense(hidden=8), 64, 8)
    groups = Groups(1, 512, None)
    sizes = {}
    for name, dispatch in DISPATCHES.items():
        with Largest() as largest:
            dispatch(x, switch_routing(groups.split(logits).softmax(-1), None, 8), groups, 64, experts)
        sizes[name] = largest.size
    assert sizes["einsum"] >= 512 * 64 * 8 and sizes["sorted"] <= 512 * 64
