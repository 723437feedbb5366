"""Loss-free balance: towards even loads, by a bias that never enters a weight."""

import pytest
import torch
from torch import nn

from oneblock.config import Dense, Switch, TopK
from oneblock.nn.context import Context
from oneblock.nn.experts.balance import balance
from oneblock.nn.feedforward import FEED_FORWARDS
from oneblock.nn.position import Position
from oneblock.nn.record import Record

D, E = 13, 6


def mixtures(*options):
    torch.manual_seed(0)
    model = nn.ModuleList(FEED_FORWARDS[type(option)](option, D) for option in options)
    for parameter in model.parameters():
        nn.init.normal_(parameter, std=0.3)
    return model


def ran(model, x):
    record = Record()
    for mixture in model:
        mixture(x, Context(x.shape[1], x.device, position=Position(), record=record))
    return record


BALANCED = TopK(num_experts=E, expert=Dense(hidden=3), bias_rate=0.01)


def test_the_busy_sink_and_the_idle_rise():
    model = mixtures(BALANCED, Switch(num_experts=E), TopK(num_experts=E))
    record = ran(model, torch.randn(2, 50, D))
    load = record.layers[0].load
    balance(model, record)
    expected = torch.where(load > load.mean(), -0.01, 0.01)
    torch.testing.assert_close(model[0].choice_bias, expected)
    assert model[2].choice_bias is None and "0.choice_bias" in model.state_dict()


def test_several_passes_of_one_step_count_together():
    x = torch.randn(2, 50, D)
    whole, parts = mixtures(BALANCED), mixtures(BALANCED)
    balance(whole, ran(whole, x))
    balance(parts, ran(parts, x[:, :25]), ran(parts, x[:, 25:]))
    assert torch.equal(whole[0].choice_bias, parts[0].choice_bias)
    balance(parts)
    assert torch.equal(whole[0].choice_bias, parts[0].choice_bias), "no pass, no move"


def test_loads_become_even():
    model, x = mixtures(BALANCED), torch.randn(4, 100, D) + 1
    before = ran(model, x).layers[0].load
    for _ in range(150):
        balance(model, ran(model, x))
    after = ran(model, x).layers[0].load
    assert before.max() > 1.5 / E and after.max() < 1.1 / E


def test_a_record_of_another_model_is_refused():
    model = mixtures(BALANCED, BALANCED)
    with pytest.raises(ValueError, match="a record of 1 mixtures for a model of 2"):
        balance(model, ran(model[:1], torch.randn(1, 5, D)))
