import copy
import json

import pytest
import torch
from torch import nn

from oneblock.config.errors import ConfigError, OneblockError
from oneblock.train.average import WeightAverage


def model(dtype=torch.float32):
    torch.manual_seed(3)
    return nn.Sequential(nn.Linear(5, 7), nn.LayerNorm(7), nn.Linear(7, 3)).to(dtype)


@torch.no_grad()
def walk(net, seed):
    generator = torch.Generator().manual_seed(seed)
    for parameter in net.parameters():
        parameter.add_(torch.randn(parameter.shape, generator=generator).to(parameter.dtype), alpha=0.1)


@pytest.mark.parametrize("warmup", [True, False])
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16])
def test_the_average_equals_the_formula_in_float64(warmup, dtype):
    net = model(dtype)
    average = WeightAverage(net.named_parameters(), 0.9, warmup=warmup)
    expected = {name: p.detach().double().clone() for name, p in net.named_parameters()}
    for n in range(120):
        walk(net, n)
        average.update()
        decay = min(0.9, (1 + n) / (10 + n)) if warmup else 0.9
        for name, parameter in net.named_parameters():
            expected[name] = decay * expected[name] + (1 - decay) * parameter.detach().double()
    for name, tensor in expected.items():
        kept = average.tensors()[f"average.{name}"]
        assert kept.dtype == (torch.float64 if dtype == torch.float64 else torch.float32)
        torch.testing.assert_close(kept.double(), tensor, rtol=1e-5, atol=1e-6)


def test_bfloat16_weights_do_not_stall_a_slow_average():
    parameter = nn.Parameter(torch.ones(3, dtype=torch.bfloat16))
    average = WeightAverage([("w", parameter)], 0.999, warmup=False)
    with torch.no_grad():
        parameter.fill_(2.0)
    for _ in range(1000):
        average.update()
    assert float(average.tensors()["average.w"][0]) == pytest.approx(2 - 0.999**1000, rel=1e-3)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_swap_puts_the_average_in_and_restores_every_bit(dtype):
    net = model(dtype)
    average = WeightAverage(net.named_parameters(), 0.9)
    walk(net, 0)
    average.update()
    before = copy.deepcopy(net.state_dict())
    addresses = [p.data_ptr() for p in net.parameters()]
    with average.swap(net):
        for name, parameter in net.named_parameters():
            assert torch.equal(parameter, average.tensors()[f"average.{name}"].to(dtype))
            assert not torch.equal(parameter, before[name])
    assert all(torch.equal(value, before[name]) for name, value in net.state_dict().items())
    assert addresses == [p.data_ptr() for p in net.parameters()]


def test_swap_restores_after_an_exception_and_keeps_the_gradient_mode():
    net = model()
    average = WeightAverage(net.named_parameters(), 0.5)
    walk(net, 0)
    before = copy.deepcopy(net.state_dict())
    with pytest.raises(RuntimeError, match="inside"), average.swap():
        assert torch.is_grad_enabled()
        raise RuntimeError("inside")
    with torch.no_grad(), average.swap():
        assert not torch.is_grad_enabled()
    assert all(torch.equal(value, before[name]) for name, value in net.state_dict().items())
    average.update()


def test_the_average_is_not_updated_while_it_stands_in():
    average = WeightAverage(model().named_parameters(), 0.5)
    with pytest.raises(AssertionError), average.swap():
        average.update()


def test_swap_into_another_model_of_the_same_names():
    net, other = model(), model()
    average = WeightAverage(net.named_parameters(), 0.5)
    walk(net, 1)
    average.update()
    before = copy.deepcopy(net.state_dict())
    with average.swap(other):
        assert torch.equal(other[0].weight, average.tensors()["average.0.weight"])
        assert torch.equal(net[0].weight, before["0.weight"])
    with pytest.raises(OneblockError, match=r"missing .*0\.bias"), average.swap(nn.Linear(5, 7)):
        pass


def test_tied_parameters_are_averaged_once():
    tied = nn.Parameter(torch.randn(3, 5))
    average = WeightAverage([("embedding", tied), ("head", tied)], 0.9)
    assert list(average.tensors()) == ["average.embedding"]


def test_resume_is_bitwise():
    net = model()
    straight = WeightAverage(net.named_parameters(), 0.95)
    for n in range(5):
        walk(net, n)
        straight.update()
    kept = {name: tensor.clone() for name, tensor in straight.tensors().items()}
    scalars = json.loads(json.dumps(straight.scalars()))
    resumed = WeightAverage(net.named_parameters(), 0.95)
    resumed.load(kept | {"optimizer.0.weight.exp_avg": torch.zeros(1)}, scalars)
    for n in range(5, 12):
        walk(net, n)
        straight.update()
        resumed.update()
    assert resumed.num_updates == 12
    assert all(torch.equal(t, straight.tensors()[name]) for name, t in resumed.tensors().items())
    assert not torch.equal(kept["average.0.weight"], resumed.tensors()["average.0.weight"])


def test_a_checkpoint_of_another_model_is_refused_and_changes_nothing():
    net = model()
    average = WeightAverage(net.named_parameters(), 0.9)
    before = {name: tensor.clone() for name, tensor in average.tensors().items()}
    wrong = {name: tensor + 1 for name, tensor in before.items()}
    with pytest.raises(OneblockError, match=r"missing \['2\.weight'\]"):
        average.load({k: v for k, v in wrong.items() if k != "average.2.weight"}, {"num_updates": 1})
    with pytest.raises(OneblockError, match=r"2\.weight has shape \(3, 8\)"):
        average.load(wrong | {"average.2.weight": torch.zeros(3, 8)}, {"num_updates": 1})
    assert all(torch.equal(tensor, before[name]) for name, tensor in average.tensors().items())


@pytest.mark.parametrize("decay", [-0.1, 1.0, float("nan")])
def test_a_decay_out_of_bounds_is_refused(decay):
    with pytest.raises(ConfigError, match="decay"):
        WeightAverage([], decay)
