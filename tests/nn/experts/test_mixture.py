"""The mixtures as branches, beside slow references; what holds in training and what in evaluation."""

import math
from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F

from oneblock.config import Dense, Gated, GShard, RMSNorm, Switch, TopK
from oneblock.nn.context import Context
from oneblock.nn.feedforward import FEED_FORWARDS
from oneblock.nn.norm import make_norm
from oneblock.nn.position import Position
from oneblock.nn.record import Record

B, T, D, E = 3, 8, 13, 5
EXPERT = Dense(activation="relu", hidden=7)
OPTIONS = {
    "switch": Switch(num_experts=E, expert=EXPERT, jitter=0.0),
    "gshard": GShard(num_experts=E, expert=EXPERT, random_second=False),
    "top_k": TopK(num_experts=E, expert=EXPERT, k=3, shared_experts=2),
}


def made(option, **parts):
    torch.manual_seed(0)
    module = FEED_FORWARDS[type(option)](option, D, **parts).double()
    for parameter in module.parameters():
        torch.nn.init.normal_(parameter, std=0.5)
    return module


def context(length=T, **settings):
    return Context(length, torch.device("cpu"), position=Position(), **settings)


def some(*shape, seed=1):
    return torch.randn(*shape, D, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def expert(module, e, x):
    return F.relu(x @ module.experts.up.weight[e].T) @ module.experts.down.weight[e].T


@pytest.mark.parametrize("dispatch", ["sorted", "einsum"])
def test_switch_in_training_by_hand(dispatch):
    option = Switch(num_experts=E, expert=EXPERT, jitter=0.0, capacity_factor=0.7, dispatch=dispatch)
    module, x = made(option), some(B, T)
    p = (x @ module.router.weight.T).softmax(-1)
    expected, counts = torch.zeros_like(x), [0] * E
    capacity = math.floor(0.7 * B * T / E)
    for t in range(T):
        for b in range(B):
            e = int(p[b, t].argmax())
            counts[e] += 1
            if counts[e] <= capacity:
                expected[b, t] = p[b, t, e] * expert(module, e, x[b, t])
    assert sum(counts) > sum(min(count, capacity) for count in counts) > 0
    torch.testing.assert_close(module(x, context()), expected)


@pytest.mark.parametrize("name", OPTIONS)
@pytest.mark.parametrize("dispatch", ["sorted", "einsum"])
def test_evaluation_drops_nothing(name, dispatch):
    option = OPTIONS[name]
    option = type(option)(**{**vars(option), "dispatch": dispatch})
    module, x = made(option).eval(), some(B, T)
    p = (x @ module.router.weight.T).softmax(-1)
    top, chosen = p.topk(option.num_chosen)
    weights = top if name == "switch" else top / top.sum(-1, keepdim=True)
    expected = torch.zeros_like(x)
    for b in range(B):
        for t in range(T):
            for weight, e in zip(weights[b, t], chosen[b, t], strict=True):
                expected[b, t] += weight * expert(module, int(e), x[b, t])
    if name == "top_k":
        shared = module.shared
        assert shared.up.weight.shape == (14, D)
        expected += F.relu(x @ shared.up.weight.T) @ shared.down.weight.T
    torch.testing.assert_close(module(x, context()), expected)


def test_norms_and_dropout_stand_where_every_branch_has_them():
    module, x = made(OPTIONS["switch"], norm_in=make_norm(RMSNorm(), D), norm_out=make_norm(RMSNorm(), D)), some(B, T)
    module.eval()
    plain = made(OPTIONS["switch"]).eval()
    plain.load_state_dict({k: v for k, v in module.state_dict().items() if "norm" not in k})
    torch.testing.assert_close(module(x, context()), module.norm_out(plain(module.norm_in(x), context())))
    dropping = made(OPTIONS["switch"], dropout=0.5)
    assert (dropping(x, context()) == 0).double().mean() > 0.4


@pytest.mark.parametrize("name", OPTIONS)
@pytest.mark.parametrize("training", [False, True])
def test_pads_take_no_place_and_do_not_count(name, training):
    """A row alone, padded or not: all is the same, the places too, the losses too."""
    option = OPTIONS[name]
    if name != "top_k":
        option = type(option)(**{**vars(option), "capacity_factor": 1.3})
        assert option.places(1.3, T) > option.places(1.3, T - 3)
    module, x = made(option).train(training), some(1, T)
    pads = torch.tensor([[True, True, True] + [False] * (T - 3)])
    padded, alone = Record(), Record()
    found = module(x, context(padding_BS=pads, record=padded))
    expected = module(x[:, 3:], context(T - 3, record=alone))
    torch.testing.assert_close(found[:, 3:], expected)
    if name != "top_k":
        assert not found[:, :3].any()
    for one, other in zip(padded.layers[0], alone.layers[0], strict=True):
        torch.testing.assert_close(one, other)
    garbage = torch.where(pads.unsqueeze(-1), 100 * some(1, T, seed=5), x)
    torch.testing.assert_close(module(garbage, context(padding_BS=pads))[:, 3:], expected)


@pytest.mark.parametrize("group_size", [None, T])
@pytest.mark.parametrize("option", [Switch, GShard])
def test_in_training_no_later_token_displaces_an_earlier_one_of_any_row(option, group_size):
    module = made(option(num_experts=E, expert=EXPERT, capacity_factor=0.6, group_size=group_size, jitter=0.0))
    x = some(B, T)
    later = torch.cat([x[:, :5], some(B, T, seed=7)[:, 5:]], 1)
    record = Record()
    torch.manual_seed(3)
    one = module(x, context(record=record))
    torch.manual_seed(3)
    other = module(later, context())
    assert record.layers[0].dropped > 0
    torch.testing.assert_close(one[:, :5], other[:, :5])


def test_gshard_takes_the_papers_order_where_both_sides_are_seen():
    x = some(B, T)
    later = torch.cat([x[:, :5], some(B, T, seed=7)[:, 5:]], 1)

    def leaks(priority, causal):
        option = GShard(
            num_experts=E, expert=EXPERT, capacity_factor=0.6, random_second=False, priority=priority, dispatch="sorted"
        )
        module = made(option)
        one, other = (module(y, context(causal=causal))[:, :5] for y in (x, later))
        return not torch.allclose(one, other)

    assert [leaks(p, c) for p in ("auto", "choices", "tokens") for c in (True, False)] == [
        *(False, True),
        *(True, True),
        *(False, False),
    ]


def test_groups_keep_rows_apart():
    grouped = made(Switch(num_experts=E, expert=EXPERT, capacity_factor=0.6, group_size=T // 2, jitter=0.0))
    whole = made(Switch(num_experts=E, expert=EXPERT, capacity_factor=0.6, jitter=0.0))
    x = some(B, T)
    for module, apart in ((grouped, True), (whole, False)):
        alone = torch.cat([module(x[b : b + 1], context()) for b in range(B)])
        assert torch.allclose(module(x, context()), alone) == apart
    # Groups do not come out even: five tokens in fours.
    torch.testing.assert_close(grouped(x[:, :4], context(4)), grouped(x[:, :5], context(5))[:, :4])


def test_evaluation_has_a_capacity_where_it_is_set():
    x = some(B, T)
    for factor in (0.4, 100.0, None):
        module = made(Switch(num_experts=E, expert=EXPERT, eval_capacity_factor=factor)).eval()
        record = Record()
        module(x, context(record=record))
        assert (record.layers[0].dropped > 0) == (factor == 0.4)
    module = made(Switch(num_experts=E, expert=EXPERT, eval_capacity_factor=0.4)).eval()
    assert module(x[:1, :1], context(1)).any(), "an expert has at least one place"


@pytest.mark.parametrize("dispatch", ["sorted", "einsum"])
@pytest.mark.parametrize("training", [False, True])
def test_a_capacity_that_is_a_number_holds_in_training_and_evaluation(training, dispatch):
    option = Switch(
        num_experts=E, expert=EXPERT, jitter=0.0, capacity=2, capacity_factor=None, group_size=2 * T, dispatch=dispatch
    )
    module, x = made(option).train(training), some(B, T)
    padding = torch.zeros(B, T, dtype=torch.bool)
    padding[1, 3:5] = True
    p = (x @ module.router.weight.T).softmax(-1)
    expected, dropped = torch.zeros_like(x), 0
    for b in range(B):
        taken = [0] * E
        for t in range(T):
            e = int(p[b, t].argmax())
            if not padding[b, t]:
                taken[e] += 1
                dropped += taken[e] > 2
                if taken[e] <= 2:
                    expected[b, t] = p[b, t, e] * expert(module, e, x[b, t])
    assert dropped > 0
    torch.testing.assert_close(module(x, context(padding_BS=padding)), expected)


@pytest.mark.parametrize("name", OPTIONS)
def test_a_router_in_bfloat16_is_rounded_and_nothing_else(name):
    x, record = some(B, T), Record()
    option = replace(OPTIONS[name], router_precision="bfloat16", auxiliary_weight=0.3)
    module, wide = made(option), made(replace(option, router_precision="float32"))
    assert {*module.state_dict()} == {*wide.state_dict()}
    module.load_state_dict(wide.state_dict())
    module.eval()
    wide.eval()
    found, exact = module(x, context(record=record)), wide(x, context())
    assert found.dtype == torch.float64 and 1e-6 < (found - exact).abs().median() < 0.1
    # Told of rounded probabilities, but not rounded again.
    told = record.layers[0]
    assert told.entropy.dtype == told.load.dtype == torch.float32
    assert told.load.sum().item() == pytest.approx(1, abs=1e-6)
    if name == "switch":
        logits = F.linear(x.bfloat16(), module.router.weight.bfloat16())
        weight, chosen = logits.softmax(-1).double().max(-1)
        for b, t in ((0, 0), (B - 1, T - 1), (1, 2)):
            own = weight[b, t] * expert(module, int(chosen[b, t]), x[b, t])
            torch.testing.assert_close(found[b, t], own)


def test_jitter_reaches_the_router_and_not_the_experts():
    option = Switch(num_experts=1, expert=EXPERT, jitter=0.5)
    module, x = made(option), some(B, T)
    before = x.clone()
    # One expert: its probability is 1 whatever the router's input.
    torch.testing.assert_close(module(x, context()), expert(module, 0, x))
    assert torch.equal(x, before)
    several = made(Switch(num_experts=E, expert=EXPERT, jitter=0.5))
    assert not torch.equal(several(x, context()), several(x, context()))
    several.eval()
    assert torch.equal(several(x, context()), several(x, context()))


def test_gshards_second_expert_is_taken_at_random_in_training_by_twice_its_weight():
    option = GShard(num_experts=2, expert=EXPERT, capacity_factor=100.0)
    module, x = made(option).requires_grad_(False), some(1, 1).expand(40, 50, D)
    p = (x[0, 0] @ module.router.weight.T).softmax(-1)
    first, second = p.argmax(), p.argmin()
    with_one = p[first] * expert(module, first, x[0, 0])
    with_both = with_one + p[second] * expert(module, second, x[0, 0])
    y = module(x, context(50))
    one = torch.isclose(y, with_one).all(-1)
    both = torch.isclose(y, with_both).all(-1)
    assert (one ^ both).all()
    chance = min(1.0, 2 * float(p[second]))
    assert 0.05 < chance < 0.95
    assert both.double().mean().item() == pytest.approx(chance, abs=5 * (0.25 / 2000) ** 0.5)
    assert torch.isclose(module.eval()(x, context(50)), with_both).all()


@pytest.mark.parametrize("name", OPTIONS)
def test_what_is_recorded(name):
    option = type(OPTIONS[name])(**{**vars(OPTIONS[name]), "z_loss_weight": 0.3, "auxiliary_weight": 0.2})
    module, x, record = made(option), some(B, T), Record()
    y = module(x, context(record=record))
    logits = x @ module.router.weight.T
    p = logits.softmax(-1)
    chosen = p.topk(option.num_chosen).indices.flatten().tolist()
    (told,) = record.layers
    load = [chosen.count(e) / len(chosen) for e in range(E)]
    torch.testing.assert_close(told.load, torch.tensor(load, dtype=torch.float64))
    first = torch.tensor([p.argmax(-1).flatten().tolist().count(e) for e in range(E)]) / (B * T)
    share = torch.tensor(load) * option.num_chosen if name == "top_k" else first
    product = float((share.double() * p.detach().flatten(0, 1).mean(0)).sum())
    balance = {"switch": E * product, "gshard": product / E, "top_k": E * product}[name]
    z = float(logits.detach().logsumexp(-1).square().mean())
    assert told.loss.item() == pytest.approx(0.2 * balance + 0.3 * z, rel=1e-6)
    assert told.entropy.item() == pytest.approx((-(p * p.log()).sum(-1).mean()).item())
    assert not told.load.requires_grad and told.loss.requires_grad
    empty = (y == 0).all(-1).double().mean().item()
    if name == "switch":
        assert told.dropped.item() == pytest.approx(empty) and empty > 0
    if name == "top_k":
        assert told.dropped == 0
    assert torch.equal(y, module(x, context()))


def test_the_task_teaches_the_router():
    for name, option in OPTIONS.items():
        module = made(option)
        module(some(B, T), context()).square().sum().backward()
        assert module.router.weight.grad.abs().max() > 1e-3, name
    trap = made(TopK(num_experts=E, expert=EXPERT, k=1))
    trap(some(B, T), context()).square().sum().backward()
    assert trap.router.weight.grad.abs().max() < 1e-9
    raw = made(TopK(num_experts=E, expert=EXPERT, k=1, renormalise=False))
    raw(some(B, T), context()).square().sum().backward()
    assert raw.router.weight.grad.abs().max() > 1e-3


def test_expert_dropout_is_on_the_inner_features_and_in_training_only():
    module, x = made(Switch(num_experts=E, expert=Dense(dropout=0.4, hidden=7), jitter=0.0)), some(B, T)
    assert not torch.equal(module(x, context()), module(x, context()))
    module.eval()
    assert torch.equal(module(x, context()), module(x, context()))


def test_a_stream_in_bfloat16_keeps_the_router_wide():
    module, x = made(Switch(num_experts=E, expert=EXPERT)).float().eval(), some(B, T).bfloat16()
    module.experts.bfloat16()
    seen = []
    module.router.register_forward_hook(lambda m, i, out: seen.append(out))
    y = module(x, context())
    assert y.dtype == torch.bfloat16 and seen[0].dtype == torch.float32
    exact = module.double()
    expected = exact(x.double(), context())
    assert ((y.double() - expected).abs().max() / expected.abs().max()).item() < 0.03


def test_autocast_computes_the_experts_in_its_type():
    for dispatch in ("sorted", "einsum"):
        module, x = made(TopK(num_experts=E, expert=Gated(bias=True), dispatch=dispatch)).float(), some(B, T).float()
        with torch.autocast("cpu", torch.bfloat16):
            y = module(x, context())
        y.float().sum().backward()
        assert all(p.grad is not None and p.grad.isfinite().all() for p in module.parameters())
        torch.testing.assert_close(y.float(), module(x, context()), rtol=0.1, atol=0.5)
