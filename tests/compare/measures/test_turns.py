"""Things done in turns: who has its turn when, and what is made of the seconds."""

import itertools
import math

import pytest
import torch

from oneblock.compare.measures import turns

CPU = torch.device("cpu")


@pytest.mark.parametrize(("threads", "clock_of"), [(1, "process_time"), (2, "perf_counter")])
def test_turns_go_round_in_alternate_order_and_the_first_round_does_not_count(monkeypatch, threads, clock_of):
    done, clock = [], itertools.count()
    monkeypatch.setattr(turns.torch, "get_num_threads", lambda: threads)
    monkeypatch.setattr(turns.time, clock_of, lambda: next(clock) ** 2)
    things = {name: lambda name=name: done.append(name) for name in "abc"}
    taken = turns.in_turns(things, 3, CPU)
    assert "".join(done) == "abccbaabccba"
    # The n-th thing takes from (2n)² to (2n + 1)²: 4n + 1.
    assert taken == {"a": [21, 25, 45], "b": [17, 29, 41], "c": [13, 33, 37]}


def test_a_ratio_is_taken_round_by_round():
    # Two rounds of five met a machine ten times as slow: neither the ratio nor its median is moved by it.
    plain, twice = [1.0, 10.0, 1.0, 1.0, 10.0], [2.0, 20.0, 2.0, 2.0, 10.0]
    assert turns.longer(twice, plain) == pytest.approx(math.log(2))
    assert turns.longer(plain, twice) == pytest.approx(-math.log(2))


def test_a_layer_alone_has_its_gradients():
    weight = torch.nn.Parameter(torch.tensor([[2.0, 3.0], [5.0, 7.0], [11.0, 13.0]]))
    seen = []

    def layer(x):
        seen.append(x)
        return (x @ weight.T).split([1, 2], dim=-1)

    once = turns.forward_and_backward(layer, torch.ones(5, 2), [weight])
    of_x, of_weight = once()
    assert torch.equal(of_x, torch.tensor([18.0, 23.0]).expand(5, 2)) and torch.equal(
        of_weight, torch.full((3, 2), 5.0)
    )
    assert weight.grad is None and len(seen) == 2


def test_a_step_trains(subject):
    made = subject()
    tokens = made.windows(8, 3)
    before = {name: p.detach().clone() for name, p in made.model.named_parameters()}
    step = turns.training_step(made.model, tokens)
    losses = []
    for _ in range(20):
        step()
        losses.append(torch.nn.functional.cross_entropy(made.model(tokens)[:, :-1].mT, tokens[:, 1:]).item())
    assert losses[-1] < losses[0]
    assert all(not torch.equal(p, before[name]) for name, p in made.model.named_parameters())
