"""Routing beside the papers' algorithms, written as loops, and vectors worked by hand."""

import itertools

import pytest
import torch

from oneblock.nn.experts.routing import best, gshard_routing, places, switch_routing, top_k_routing

LOGITS = torch.tensor(
    [[2, 1, 0], [1, 2, 0], [3, 0, 0], [0.5, 0, 1], [2, 1.5, 1], [0, 0, 1]], dtype=torch.float64
).unsqueeze(0)
P = LOGITS.softmax(-1)


def close(found, expected, atol=6e-7):
    torch.testing.assert_close(found, torch.tensor(expected, dtype=found.dtype), rtol=0, atol=atol)


def random_groups(seed=0, groups=3, tokens=17, experts=5):
    generator = torch.Generator().manual_seed(seed)
    logits = torch.randn(groups, tokens, experts, generator=generator, dtype=torch.float64)
    draw = torch.rand(groups, tokens, generator=generator, dtype=torch.float64)
    real = torch.rand(groups, tokens, generator=generator) > 0.3
    return (2 * logits).softmax(-1), draw, real


def test_the_best_expert_is_the_first_of_equal_ones():
    assert best(P, 1).flatten().tolist() == [0, 1, 0, 2, 0, 2]
    # The last token's experts 0 and 1 are equal; so are 1 and 2 of the third.
    assert best(P, 2)[0].tolist() == [[0, 1], [1, 0], [0, 1], [2, 0], [0, 1], [2, 0]]
    assert best(torch.zeros(1, 1, 4), 3).flatten().tolist() == [0, 1, 2]


@pytest.mark.parametrize(
    ("capacity", "weights"),
    [
        (1, [0.665241, 0.665241, 0, 0.506480, 0, 0]),
        (2, [0.665241, 0.665241, 0.909443, 0.506480, 0, 0.576117]),
        (3, [0.665241, 0.665241, 0.909443, 0.506480, 0.506480, 0.576117]),
        (None, [0.665241, 0.665241, 0.909443, 0.506480, 0.506480, 0.576117]),
    ],
)
def test_switch_by_hand(capacity, weights):
    routing = switch_routing(P, capacity=capacity)
    close(routing.weights.flatten(), weights)
    assert routing.kept.flatten().tolist() == [weight > 0 for weight in weights]


def test_gshard_weights_by_hand():
    first = [0.731059, 0.731059, 0.952574, 0.622459, 0.622459, 0.731059]
    routing = gshard_routing(P)
    close(routing.weights[0, :, 0], first)
    close(routing.weights.sum(-1), [[1.0] * 6])


@pytest.mark.parametrize(
    ("capacity", "sums"),
    [
        (2, [1, 0.7311, 0.9526, 0.6225, 0, 0.7311]),
        (3, [1, 0.7311, 1, 0.6225, 0.6225, 0.7311]),
        (4, [1, 1, 1, 0.6225, 1, 0.7311]),
    ],
)
def test_gshard_capacity_by_hand(capacity, sums):
    close(gshard_routing(P, capacity=capacity).weights.sum(-1)[0], sums, atol=6e-5)


def switch_by_loop(p, capacity, real):
    """Tokens in order; an expert counts all who ask."""
    weights = torch.zeros(p.shape[0])
    counts = [0] * p.shape[1]
    for s in range(p.shape[0]):
        if real[s]:
            e = int(p[s].argmax())
            if counts[e] < capacity:
                weights[s] = p[s, e]
            counts[e] += 1
    return weights


def gshard_by_loop(p, capacity, real, draw):
    """Algorithm 1: all first choices, then all second ones; a counter goes up whatever becomes of the token."""
    num, experts = p.shape
    gates = torch.zeros(num, experts, dtype=p.dtype)
    counts = [0] * experts
    second = []
    for s in range(num):
        e1, e2 = p[s].topk(2).indices.tolist()
        second.append(e2)
        if real[s]:
            if counts[e1] < capacity:
                gates[s, e1] = p[s, e1] / (p[s, e1] + p[s, e2])
            counts[e1] += 1
    for s, e2 in enumerate(second):
        if real[s]:
            g2 = p[s, e2] / (p[s].max() + p[s, e2])
            if counts[e2] < capacity and 2 * g2 > draw[s]:
                gates[s, e2] = g2
            counts[e2] += 1
    return gates


@pytest.mark.parametrize("capacity", [1, 2, 5, 100])
def test_switch_and_gshard_are_their_papers_loops(capacity):
    p, draw, real = random_groups()
    for mask in (None, real):
        switch = switch_routing(p, mask, capacity)
        gshard = gshard_routing(p, mask, capacity, draw_GS=draw)
        gates = torch.zeros_like(p).scatter_add(-1, gshard.experts, gshard.weights)
        for g in range(p.shape[0]):
            alive = torch.ones(p.shape[1], dtype=torch.bool) if mask is None else mask[g]
            expected = switch_by_loop(p[g], capacity, alive).double()
            torch.testing.assert_close(switch.weights[g, :, 0], expected, rtol=1e-6, atol=1e-7)
            torch.testing.assert_close(gates[g], gshard_by_loop(p[g], capacity, alive, draw[g]))


def test_token_by_token_a_first_choice_is_before_its_second_and_before_the_next_tokens():
    p, _, real = random_groups(1)
    found = places(best(p, 2), p.shape[-1], real)
    for g in range(p.shape[0]):
        counts = [0] * p.shape[-1]
        for s, j in itertools.product(range(p.shape[1]), range(2)):
            if real[g, s]:
                e = int(best(p, 2)[g, s, j])
                assert found[g, s, j] == counts[e]
                counts[e] += 1


def test_no_later_token_displaces_an_earlier_one_but_in_algorithm_1():
    p, draw, _ = random_groups(2)
    changed = p.clone()
    changed[:, 9:] = random_groups(3)[0][:, 9:]

    def same(route):
        return torch.equal(route(p).weights[:, :9], route(changed).weights[:, :9])

    assert same(lambda p: switch_routing(p, capacity=2))
    assert same(lambda p: top_k_routing(p, 3))
    assert same(lambda p: gshard_routing(p, capacity=4, draw_GS=draw, by_choice=False))
    # As printed, all first choices find their places before any second one: what comes later is seen.
    assert not same(lambda p: gshard_routing(p, capacity=4, draw_GS=draw))


@pytest.mark.parametrize("capacity", [1, 3])
def test_no_expert_takes_more_than_its_places_and_none_is_taken_twice(capacity):
    p, draw, real = random_groups(4)
    for routing in (
        switch_routing(p, real, capacity),
        gshard_routing(p, real, capacity, draw_GS=draw),
        gshard_routing(p, real, capacity, by_choice=False),
    ):
        for g, e in itertools.product(range(p.shape[0]), range(p.shape[-1])):
            taken = routing.places[g][routing.kept[g] & (routing.experts[g] == e)].tolist()
            assert len(taken) == len(set(taken)) <= capacity
        assert not routing.kept[~real].any() and not routing.weights[~routing.kept].any()


def test_a_capacity_of_each_group():
    p, _, _ = random_groups(5)
    limits = torch.tensor([1, 2, 100])
    together = switch_routing(p, capacity=limits)
    for g, capacity in enumerate(limits.tolist()):
        assert torch.equal(together.weights[g], switch_routing(p[g : g + 1], capacity=capacity).weights[0])


@pytest.mark.parametrize("k", [1, 2, 5])
def test_top_k_is_the_softmax_over_the_chosen(k):
    logits = torch.randn(2, 11, 5, dtype=torch.float64)
    top, indices = logits.topk(k)
    routing = top_k_routing(logits.softmax(-1), k)
    assert torch.equal(routing.experts, indices)
    torch.testing.assert_close(routing.weights, top.softmax(-1))
    plain = top_k_routing(logits.softmax(-1), k, renormalise=False)
    torch.testing.assert_close(plain.weights, logits.softmax(-1).gather(-1, indices))
    assert routing.kept.all() and not routing.without_place().any()


def test_a_bias_changes_the_choice_and_not_the_weights():
    bias = torch.tensor([0, 0, 10.0], dtype=torch.float64)
    routing = top_k_routing(P, 2, bias_E=bias, renormalise=False)
    assert (routing.experts[..., 0] == 2).all() and torch.equal(routing.weights, P.gather(-1, routing.experts))


def test_weights_carry_gradients_to_every_probability_that_counts():
    p = P.clone().requires_grad_()
    (switch_routing(p, capacity=2).weights.sum() + gshard_routing(p).weights[..., 0].sum()).backward()
    assert p.grad.abs().sum(-1).gt(0).all()
    p.grad = None
    top_k_routing(p, 1).weights.sum().backward()
    assert p.grad.abs().max() < 1e-12, "normalised over one expert, the weight is always 1"
