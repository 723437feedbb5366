"""The depth report: the same model at other depths, what is measured there, and what is said of it."""

import math
from dataclasses import dataclass, replace
from types import SimpleNamespace

import doctor_hosts as hosts
import doctor_zoo as zoo
import pytest
import torch
from torch import nn

import oneblock
from oneblock.doctor.deep_answers import answers
from oneblock.doctor.depth import Depth, DepthReport, depth_report
from oneblock.doctor.examine import examine
from oneblock.doctor.restore import fingerprint


def patient(model, again=None):
    met = []
    examine(model, only=["E1"], again=again, meet=met.append)
    return met[0]


class Deep(nn.Module):
    """A plain decoder of vectors whose blocks multiply the stream by 1 + step."""

    def __init__(self, config):
        super().__init__()
        self.config, layers = config, config["n_layer"] if isinstance(config, dict) else config.n_layer
        self.blocks = nn.ModuleList([Times(0.5) for _ in range(layers)])

    def forward(self, x):
        for block in self.blocks:
            x = block(x)
        return x


class Times(nn.Module):
    def __init__(self, step):
        super().__init__()
        self.mix = nn.Linear(6, 6, bias=False)
        nn.init.eye_(self.mix.weight)
        self.step = step

    def forward(self, x):
        return x + self.step * self.mix(x)


@dataclass(frozen=True)
class Frozen:
    n_layer: int = 2


@pytest.mark.parametrize("config", [{"n_layer": 2}, Frozen(), SimpleNamespace(n_layer=2)])
def test_a_stream_that_explodes(config):
    """Every block multiplies by 1.5, exactly: growth 1.5^(L-1); the gradient of block n is as large whatever n is."""
    report = depth_report(patient(Deep(config)), (3, 5, 17))
    assert not report.refused and [each.layers for each in report.depths] == [3, 5, 17]
    for each in report.depths:
        assert each.growth == pytest.approx(1.5 ** (each.layers - 1), rel=1e-5)
        assert len(each.stream) == each.layers + 1 and len(each.gradients) == each.layers
        assert each.stream[3] / each.stream[0] == pytest.approx(1.5**3, rel=1e-5)
        assert each.unevenness == pytest.approx(1.0, rel=1e-4)
    found = {each.id: each for each in answers(report)}
    assert found["H1"].status == "WARN" and "explodes, by a factor of 1.50 a block" in found["H1"].message
    assert found["N1"].status == "WARN" and "nothing holds the stream" in found["N1"].message
    assert found["A3"].status == "SKIP" and found["gradient"].status == "PASS"


def test_our_own_at_other_depths():
    model = zoo.preset("nano")
    before, state = fingerprint(model), torch.get_rng_state()
    report = depth_report(patient(model), (2, 8))
    assert fingerprint(model) == before and torch.equal(torch.get_rng_state(), state)
    shallow, deep = report.depths
    # As `build` makes them, and their first block as the random numbers of the seed have it.
    same = oneblock.build(replace(model.config, num_layers=8))
    assert deep.parameters == sum(p.numel() for p in same.parameters())
    found = {each.id: each for each in answers(report)}
    assert {each.status for each in found.values()} <= {"PASS", "INFO"}
    assert "attention.output" in found["I1"].message and "feed_forward.down" in found["I1"].message
    assert "pre-norm" in found["N1"].message
    # GPT-2's start: what writes to the stream shrinks by √(8/2) = 2.
    name = "attention.output.weight"
    assert shallow.spread[name] / deep.spread[name] == pytest.approx(2.0, rel=0.1)
    assert report.to_dict()["layers"] == [2, 8] and len(report.to_dict()["answers"]) == 5


def test_the_gradient_that_vanishes_behind_post_norms():
    report = depth_report(patient(zoo.preset("vaswani")), (24,))
    found = {each.id: each for each in answers(report)}
    # As docs/doctor.md shows it.
    assert report.depths[0].gradients[0] == pytest.approx(0.00306, rel=0.05)
    assert report.depths[0].gradients[-1] == pytest.approx(2.08, rel=0.05)
    assert found["gradient"].status == "WARN" and "vanishes towards the first block" in found["gradient"].message
    assert "warm-up" in found["N1"].message


@pytest.mark.parametrize("name", ["seq2seq-nano", "switch-nano", "encoder-nano", "dit-nano"])
def test_every_kind_of_ours_is_rebuilt(name):
    report = depth_report(patient(zoo.preset(name)), (3,))
    assert not report.refused and len(report.depths[0].gradients) == 3
    if name == "dit-nano":
        # adaLN-Zero: the head starts at 0, so no block has a gradient yet.
        found = {each.id: each for each in answers(report)}
        assert found["gradient"].status == "INFO" and "start at 0" in found["gradient"].message


def test_a_factory_with_a_number_of_layers(monkeypatch):
    def make(n_layer=2):
        monkeypatch.setattr(hosts, "L", n_layer)
        return hosts.Gpt()

    report = depth_report(patient(make(), again=make), (2, 5))
    assert [len(each.stream) for each in report.depths] == [3, 6]


def test_what_is_refused_and_why():
    assert "give file.py:factory" in depth_report(patient(zoo.ill("Gpt", ""))).refused

    class Two(Deep):
        def __init__(self, config):
            super().__init__({"n_layer": 2})
            self.config = config

    assert "asked for 3 layers it has 2" in depth_report(patient(Two({"n_layer": 2})), (3,)).refused

    class Strict(Deep):
        def __init__(self, config):
            if config["n_layer"] > 2:
                raise ValueError("two at most")
            super().__init__(config)

    assert "ValueError: two at most" in depth_report(patient(Strict({"n_layer": 2})), (3,)).refused

    class Flat(nn.Module):
        def __init__(self):
            super().__init__()
            self.config, self.one = {"n_layer": 2}, nn.Linear(5, 5)

        def forward(self, x):
            return self.one(x)

    assert "no list of blocks" in depth_report(patient(Flat())).refused
    many = depth_report(patient(zoo.preset("nano")), (10**7,)).refused
    assert "too many" in many and "parameters" in many
    assert answers(DepthReport(refused="for a reason")) == []


def test_numbers_that_are_none():
    usual = {"layers": 4, "parameters": 7, "loss": 3.0, "gradients": (1.0, 1.0), "logits": (1.0,), "spread": {"a": 1.0}}
    broken = DepthReport(placement="pre-norm", depths=(Depth(**usual, stream=(1.0, 1.0, math.inf)),))
    assert answers(broken)[0].status == "FAIL" and broken.failed
    loud = DepthReport(placement="pre", depths=(Depth(**usual | {"logits": (101.0,)}, stream=(1.0, 1.0, 1.0)),))
    assert {each.id: each.status for each in answers(loud)}["A3"] == "WARN" and not loud.failed
    large = DepthReport(placement="pre", depths=(Depth(**usual | {"spread": {"a": 5.1}}, stream=(1.0, 1.0, 1.0)),))
    assert {each.id: each.status for each in answers(large)}["I1"] == "WARN"
