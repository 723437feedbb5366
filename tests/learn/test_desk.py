"""The desk: calls, gradients, weights by name, and what a call has left otherwise than it found it."""

import random

import pytest
import torch
from torch import nn

from oneblock.learn.asker import Asker, Failed, Raised
from oneblock.learn.child.desk import Desk
from oneblock.learn.child.wire import Handle, Seeded


class Plain(nn.Module):
    def __init__(self, width, out):
        super().__init__()
        self.up, self.down = nn.Linear(width, out, bias=False), nn.Linear(out, width, bias=False)

    def forward(self, x):
        return self.down(self.up(x).relu())


class Split(nn.Module):
    """The same in another layout: `up` in two parts, `down` transposed."""

    def __init__(self, width, out):
        super().__init__()
        self.a, self.b = nn.Linear(width, 2, bias=False), nn.Linear(width, out - 2, bias=False)
        self.turned = nn.Parameter(torch.zeros(out, width))

    def forward(self, x):
        return torch.cat([self.a(x), self.b(x)], -1).relu() @ self.turned


def asker(**names):
    return Asker(Desk(names, folder=__file__).answer, check="c", seed=3, dtype=torch.float64, calls=[])


def weights():
    generator = torch.Generator().manual_seed(1)
    return {
        "up.weight": torch.randn(5, 3, generator=generator, dtype=torch.float64),
        "down.weight": torch.randn(3, 5, generator=generator, dtype=torch.float64),
    }


def right(x):
    given = weights()
    return (x @ given["up.weight"].T).relu() @ given["down.weight"].T


def test_a_module_is_built_loaded_called():
    a = asker(Net=Plain)
    net = a.build("Net", 3, 5)
    net.load(weights())
    x = a.randn(2, 3)
    assert a.same(net(x), right(x)) is None
    assert net.inventory() == [("", "Plain"), ("up", "Linear"), ("down", "Linear")]
    assert net.get("up.in_features") == 3 and set(net.weights()) == {"up.weight", "down.weight"}


@pytest.mark.parametrize(
    "mapping",
    [
        lambda: {"up": ["a", "b"], "down.weight": "turned.T"},
        lambda kind: {"Net": {"up": ["a", "b"], "down.weight": "turned.T"}}[kind],
        lambda: {"Net": {"up": ["a", "b"], "down.weight": "turned.T"}},
        lambda: {"up": ["a", "b"], "down.weight": lambda w: {"turned": w.T}},
        lambda: {"up.weight": lambda w: {"a.weight": w[:2], "b.weight": w[2:]}, "down.weight": "turned.T"},
    ],
)
def test_another_layout_comes_through_mapping(mapping):
    a = asker(Net=Split, mapping=mapping)
    net = a.build("Net", 3, 5)
    net.load(weights())
    x = a.randn(2, 3)
    assert a.same(net(x), right(x)) is None


def test_a_mapping_may_be_written_the_other_way_round():
    class Renamed(Plain):
        def __init__(self, width, out):
            super().__init__(width, out)
            self.in_proj, self.out_proj = self.up, self.down
            del self.up, self.down

        def forward(self, x):
            return self.out_proj(self.in_proj(x).relu())

    for said in ({"up": "in_proj", "down": "out_proj"}, {"in_proj": "up", "out_proj": "down"}):
        a = asker(Net=Renamed, mapping=lambda said=said: said)
        net = a.build("Net", 3, 5)
        net.load(weights())
        x = a.randn(2, 3)
        assert a.same(net(x), right(x)) is None


def test_a_mapping_may_know_of_classes_without_being_asked():
    asked = []

    def mapping(kind=None):
        asked.append(kind)
        return {"up": "first", "down": "second"} if kind == "Net" else {}

    class Renamed(Plain):
        def __init__(self, width, out):
            super().__init__(width, out)
            self.first, self.second = self.up, self.down
            del self.up, self.down

    asker(Net=Renamed, mapping=mapping).build("Net", 3, 5).load(weights())
    assert asked == ["Net"]


def test_what_cannot_be_loaded_is_named():
    with pytest.raises(Failed, match=r"no parameter up\.weight, down\.weight; it has turned, a\.weight, b\.weight"):
        asker(Net=Split).build("Net", 3, 5).load(weights())
    a = asker(Net=Plain)
    with pytest.raises(Failed, match=r"up\.weight is \[7, 3\], not \[5, 3\]"):
        a.build("Net", 3, 7).load({"up.weight": weights()["up.weight"]}, partial=True)
    with pytest.raises(Failed, match=r"belong to nothing here: down\.weight"):
        a.build("Net", 3, 5).load({"up.weight": weights()["up.weight"]})


def test_gradients_of_inputs_and_parameters():
    a = asker(Net=Plain)
    net = a.build("Net", 3, 5)
    net.load(weights())
    x, weigh = a.randn(2, 3), a.randn(2, 3)
    found = net.grads(x, weigh=weigh)
    own = {name: value.clone().requires_grad_(True) for name, value in weights().items()}
    leaf = x.clone().requires_grad_(True)
    total = (((leaf @ own["up.weight"].T).relu() @ own["down.weight"].T) * weigh).sum()
    total.backward()
    assert torch.allclose(found["inputs"]["0.0"], leaf.grad)
    assert all(torch.allclose(found["parameters"][name], value.grad) for name, value in own.items())


def test_objects_and_generators():
    def store(cache, x, generator=None):
        cache = {"seen": cache["seen"] + [x]} if cache else {"seen": [x]}
        return sum(cache["seen"]) + (torch.rand(1, generator=generator) if generator else 0), cache

    a = asker(store=store)
    one, cache = a.call("store", None, torch.ones(1), keep=(1,))
    assert isinstance(cache, Handle) and cache.kind == "dict"
    two, _ = a.call("store", cache, torch.ones(1), keep=(1,))
    assert (one.item(), two.item()) == (1, 2)
    drawn = [a.call("store", None, torch.zeros(1), generator=Seeded(5), keep=(1,))[0] for _ in range(2)]
    assert drawn[0] == drawn[1] > 0


def test_an_exception_has_the_learners_line():
    def f(x):
        return torch.zeros(2) @ x

    a = asker(f=f)
    with pytest.raises(Raised, match=r"f raised RuntimeError: .*torch\.zeros\(2\) @ x"):
        a.call("f", torch.ones(3))
    assert a.raises("f", torch.ones(3)) is not None
    assert a.raises("f", torch.ones(3), kind="RuntimeError") is None
    assert "must raise ValueError, and says nothing" in a.raises("f", torch.ones(2)).message


def after(function, *args):
    return Desk({"f": function}).answer({"do": "call", "target": "f", "method": "", "args": args, "kwargs": {}})[
        "after"
    ]


def test_the_world_is_watched_and_put_right():
    assert after(lambda x: x + torch.rand(2), torch.ones(2)) == {"drew": True}
    assert after(lambda: torch.manual_seed(5)) == {"seeded": ["torch.manual_seed"]}
    assert after(lambda: torch.set_default_dtype(torch.float64)) == {"dtype": "torch.float64"}
    assert torch.get_default_dtype() == torch.float32
    assert after(lambda: torch.set_grad_enabled(False)) == {"no_grad": True}
    assert torch.is_grad_enabled()
    kept = torch.exp
    try:
        assert after(lambda: setattr(torch, "exp", torch.log)) == {"patched": ["torch.exp"]}
    finally:
        torch.exp = kept
    assert after(lambda: None) == {}


@pytest.mark.parametrize("draw", [lambda: torch.rand(()), random.random])
def test_who_draws_from_the_chance_of_all_is_seen_and_answers_as_before(draw):
    desk = Desk({"f": lambda: float(draw()), "still": lambda: 1.0})
    order = {"do": "call", "target": "f", "method": "", "args": (), "kwargs": {}, "seed": 3}
    one, two, other = desk.answer(order), desk.answer(order), desk.answer(order | {"seed": 4})
    assert one["after"]["drew"] and one["value"] == two["value"] != other["value"]
    assert "drew" not in desk.answer(order | {"target": "still"})["after"]


def test_inputs_changed_in_place_are_told():
    x = torch.ones(3)
    assert after(lambda x, m: x.mul_(2), x, torch.ones(1)) == {"changed": ["0.0"]}
    assert after(lambda x: x.data.add_(1), x) == {"changed": ["0.0"]}
    assert after(lambda x: x.unsqueeze_(0), x) == {"changed": ["0.0"]}
    assert after(lambda xs: xs.pop(), [x, x]) == {"changed": ["0.0"]}
    assert after(lambda rows: rows[1].append(1.0), [[1.0], [2.0]]) == {"changed": ["0.0.1"]}
    assert after(lambda x, y: y.sort(), [2.0, 1.0], [1.0, 3.0, 2.0]) == {"changed": ["0.1.1", "0.1.2"]}
    assert after(lambda x: [*x, 3.0].sort(), [float("nan"), 1.0]) == {}
    assert after(lambda x: x.clone().mul_(2), torch.tensor([float("nan"), 1.0])) == {}
    assert torch.equal(x, torch.ones(3))


@pytest.mark.parametrize(
    ("call", "name"),
    [
        (lambda x: torch.softmax(x, 0), "softmax"),
        (lambda x: x.softmax(0), "softmax"),
        (lambda x: nn.functional.softmax(x, 0), "softmax"),
        (lambda x: nn.Softmax(0)(x), "softmax"),
        (lambda x: getattr(torch, "soft" + "max")(x, 0), "softmax"),
        (lambda x: nn.MultiheadAttention(2, 1)(x[None], x[None], x[None]), "multi_head_attention_forward"),
        (lambda x: nn.functional.scaled_dot_product_attention(x, x, x), "scaled_dot_product_attention"),
        (lambda x: nn.TransformerEncoderLayer(2, 1, 4)(x[None]), "multi_head_attention_forward"),
    ],
)
def test_shortcuts_are_seen_while_they_run(call, name):
    watched = ("softmax", "multi_head_attention_forward", "scaled_dot_product_attention")
    desk = Desk({"f": call}, folder=__file__, watched=watched)
    x = torch.ones(2, 2)
    seen = desk.answer({"do": "call", "target": "f", "method": "", "args": (x,), "kwargs": {}})["after"]["shortcuts"]
    assert seen[0]["name"].endswith(name) and seen[0]["line"] > 100
