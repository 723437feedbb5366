import copy
import json

import pytest
import torch
from safetensors.torch import load, save
from torch import nn

from oneblock.config.errors import ConfigError, OneblockError
from oneblock.train.muon import Muon
from oneblock.train.optimizers import OptimizerSet, adamw, decay_groups, hidden_matrices

EMBEDDINGS = ("embedding.weight", "position")


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.embedding = nn.Embedding(11, 7)
        self.position = nn.Parameter(torch.randn(5, 7) * 0.1)
        self.up = nn.Linear(7, 13)
        self.down = nn.Linear(13, 7)
        self.norm = nn.LayerNorm(7)
        self.head = nn.Linear(7, 11, bias=False)
        self.head.weight = self.embedding.weight

    def forward(self, tokens_BT):
        x_BTD = self.embedding(tokens_BT) + self.position
        return self.head(self.norm(x_BTD + self.down(torch.relu(self.up(x_BTD)))))


def net(dtype=torch.float32):
    torch.manual_seed(0)
    return Net().to(dtype)


def names(group):
    return [name for name, _ in group["params"]]


def test_matrices_decay_and_the_rest_does_not():
    decayed, free = decay_groups(net().named_parameters(), 0.3)
    assert names(decayed) == ["position", "embedding.weight", "up.weight", "down.weight"]
    assert names(free) == ["up.bias", "down.bias", "norm.weight", "norm.bias"]
    assert (decayed["weight_decay"], free["weight_decay"]) == (0.3, 0.0)


@pytest.mark.parametrize("by", ["name", "id"])
def test_embeddings_can_be_left_without_decay(by):
    model = net()
    marked = EMBEDDINGS if by == "name" else (id(model.embedding.weight), id(model.position))
    decayed, free = decay_groups(model.named_parameters(), 0.3, embeddings=marked, decay_embeddings=False)
    assert names(decayed) == ["up.weight", "down.weight"]
    assert {"position", "embedding.weight"} <= set(names(free))
    decayed, _ = decay_groups(model.named_parameters(), 0.3, embeddings=marked, decay_embeddings=True)
    assert {"position", "embedding.weight"} <= set(names(decayed))


def test_tied_tensors_come_once_and_any_of_their_names_marks_them():
    model = net()
    listed = list(model.named_parameters(remove_duplicate=False))
    assert "head.weight" in dict(listed)
    groups = decay_groups(listed, 0.1, embeddings=["head.weight"], decay_embeddings=False)
    assert [sum("embedding" in n or "head" in n for n in names(g)) for g in groups] == [0, 1]
    hidden, rest = hidden_matrices(listed, ["head.weight", "position"])
    assert [name for name, _ in hidden] == ["up.weight", "down.weight"]
    assert len(hidden) + len(rest) == len(list(model.parameters()))


def test_frozen_parameters_and_empty_groups_are_left_out():
    model = net()
    model.up.weight.requires_grad_(False)
    decayed, free = decay_groups(model.named_parameters(), 0.1)
    assert "up.weight" not in names(decayed) + names(free)
    assert len(decay_groups([("w", nn.Parameter(torch.ones(3, 2)))], 0.1)) == 1


def test_an_unknown_name_and_a_negative_decay_are_refused():
    with pytest.raises(OneblockError, match="no parameter is called 'wte'"):
        decay_groups(net().named_parameters(), 0.1, embeddings=["wte"])
    with pytest.raises(OneblockError, match="no parameter is called 'wte'"):
        hidden_matrices(net().named_parameters(), ["wte"])
    with pytest.raises(ConfigError, match="weight_decay"):
        decay_groups(net().named_parameters(), -0.1)
    with pytest.raises(ConfigError, match="lr"):
        adamw(decay_groups(net().named_parameters(), 0.1), -1.0)


def test_adamw_is_fused_where_it_can_be():
    assert adamw(decay_groups(net().named_parameters(), 0.1), 1e-3).defaults["fused"]
    assert not adamw(decay_groups(net().named_parameters(), 0.1), 1e-3, fused=False).defaults["fused"]
    meta = [{"params": [("w", nn.Parameter(torch.ones(3, 2, device="meta")))], "weight_decay": 0.0}]
    assert not adamw(meta, 1e-3).defaults["fused"]


@pytest.mark.parametrize("fused", [True, False])
def test_adamw_equals_the_formula_in_float64(fused):
    model = net(torch.float64)
    optimizer = OptimizerSet(adamw(decay_groups(model.named_parameters(), 0.2), 0.01, (0.8, 0.9), 1e-6, fused))
    expected = {name: p.detach().clone() for name, p in model.named_parameters()}
    first = {name: torch.zeros_like(p) for name, p in expected.items()}
    second = {name: torch.zeros_like(p) for name, p in expected.items()}
    for step in range(1, 5):
        train_once(model, optimizer, step)
        rate = 0.01 * factor(step)
        for name, p in model.named_parameters():
            first[name] = 0.8 * first[name] + 0.2 * p.grad
            second[name] = 0.9 * second[name] + 0.1 * p.grad**2
            unbiased = first[name] / (1 - 0.8**step)
            root = (second[name] / (1 - 0.9**step)).sqrt()
            decay = 0.2 if p.ndim >= 2 else 0.0
            expected[name] = expected[name] * (1 - rate * decay) - rate * unbiased / (root + 1e-6)
    for name, p in model.named_parameters():
        torch.testing.assert_close(p.detach(), expected[name], rtol=1e-10, atol=1e-12)


def factor(step):
    return 1.0 / step


def train_once(model, optimizer, step):
    generator = torch.Generator().manual_seed(step)
    tokens_BT = torch.randint(0, 11, (3, 5), generator=generator)
    targets_BT = torch.randint(0, 11, (3, 5), generator=generator)
    optimizer.zero_grad()
    nn.functional.cross_entropy(model(tokens_BT).flatten(0, 1), targets_BT.flatten()).backward()
    optimizer.set_lr_factor(factor(step))
    optimizer.step()


def adamw_fused(model):
    return OptimizerSet(adamw(decay_groups(model.named_parameters(), 0.1), 0.01, fused=True))


def adamw_plain(model):
    return OptimizerSet(adamw(decay_groups(model.named_parameters(), 0.1), 0.01, fused=False))


def muon_and_adamw(model):
    hidden, rest = hidden_matrices(model.named_parameters(), EMBEDDINGS)
    muon = Muon(decay_groups(hidden, 0.1), lr=0.02, splits={model.up.weight: [5, 8]})
    return OptimizerSet(muon, adamw(decay_groups(rest, 0.1), 0.01))


def reversed_adamw(model):
    """The same optimizer, its parameters in another order: the state must find them by name."""
    turned = list(reversed(list(model.named_parameters())))
    return OptimizerSet(adamw(decay_groups(turned, 0.1), 0.01, fused=True))


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize(
    ("make", "remake"),
    [
        (adamw_fused, adamw_fused),
        (adamw_plain, adamw_plain),
        (muon_and_adamw, muon_and_adamw),
        (adamw_fused, reversed_adamw),
    ],
)
def test_resume_through_safetensors_and_json_is_bitwise(make, remake, dtype):
    straight = net(dtype)
    optimizer = make(straight)
    for step in range(1, 5):
        train_once(straight, optimizer, step)
    file, words = (
        save({k: v.contiguous() for k, v in optimizer.tensors().items()}),
        json.dumps(optimizer.scalars()),
    )

    resumed = net(dtype)
    resumed.load_state_dict(copy.deepcopy(straight.state_dict()))
    again = remake(resumed)
    again.load(load(file), json.loads(words))
    rates = [group["lr"] for o in again.optimizers for group in o.param_groups]
    assert rates == [group["lr"] for o in optimizer.optimizers for group in o.param_groups]
    for step in range(5, 9):
        train_once(straight, optimizer, step)
        train_once(resumed, again, step)
    for (name, a), (_, b) in zip(straight.named_parameters(), resumed.named_parameters(), strict=True):
        assert torch.equal(a, b), name
    assert optimizer.tensors().keys() == again.tensors().keys()
    assert all(torch.equal(tensor, again.tensors()[name]) for name, tensor in optimizer.tensors().items())


def test_state_is_named_by_parameter_and_counts_exactly():
    model = net()
    optimizer = muon_and_adamw(model)
    assert optimizer.tensors() == {}
    for step in range(1, 4):
        train_once(model, optimizer, step)
    tensors = optimizer.tensors()
    assert tensors["optimizer.up.weight.momentum_buffer"].shape == (13, 7)
    assert tensors["optimizer.embedding.weight.exp_avg"].shape == (11, 7)
    assert tensors["optimizer.norm.bias.step"] == 3
    assert set(optimizer.scalars()["optimizers"]) == {"Muon", "AdamW"}
    assert len(optimizer.parameters()) == len(list(model.parameters()))


def test_what_is_loaded_is_copied():
    model = net()
    optimizer = adamw_fused(model)
    train_once(model, optimizer, 1)
    kept = {name: tensor.clone() for name, tensor in optimizer.tensors().items()}
    before = {name: tensor.clone() for name, tensor in kept.items()}
    optimizer.load(kept, optimizer.scalars())
    train_once(model, optimizer, 2)
    assert all(torch.equal(tensor, before[name]) for name, tensor in kept.items())


def test_a_fresh_state_loads_and_the_factor_scales_each_groups_own_rate():
    model = net()
    optimizer = muon_and_adamw(model)
    optimizer.load(optimizer.tensors(), optimizer.scalars())
    optimizer.set_lr_factor(0.5)
    optimizer.set_lr_factor(0.25)
    rates = {type(o).__name__: {group["lr"] for group in o.param_groups} for o in optimizer.optimizers}
    assert rates == {"Muon": {0.005}, "AdamW": {0.0025}}


def test_state_of_something_else_is_refused_and_changes_nothing():
    model = net()
    optimizer = adamw_fused(model)
    train_once(model, optimizer, 1)
    tensors, scalars = optimizer.tensors(), optimizer.scalars()
    before = {name: tensor.clone() for name, tensor in tensors.items()}
    foreign = {f"optimizer.gone.{name.rpartition('.')[2]}": tensor for name, tensor in list(tensors.items())[:1]}
    missing = dict(list(tensors.items())[1:])
    misshapen = tensors | {"optimizer.up.weight.exp_avg": torch.zeros(7, 13)}
    for given, words in [
        (tensors | foreign, "has gone, the model has not"),
        (missing, "has 23 of the optimizer's 24 tensors"),
        (misshapen, r"exp_avg of up\.weight has shape \(7, 13\)"),
    ]:
        with pytest.raises(OneblockError, match=words):
            optimizer.load(given, scalars)
    with pytest.raises(OneblockError, match="is Muon, this run's is AdamW"):
        optimizer.load(tensors, scalars | {"optimizers": ["Muon"]})
    assert all(torch.equal(tensor, before[name]) for name, tensor in optimizer.tensors().items())


def test_a_parameter_has_one_optimizer_and_a_name():
    model = net()
    with pytest.raises(AssertionError, match="two optimizers"):
        OptimizerSet(adamw(decay_groups(model.named_parameters(), 0.1), 0.1), Muon([("x", model.up.weight)]))
    with pytest.raises(AssertionError, match="pairs"):
        OptimizerSet(Muon([model.up.weight]))
