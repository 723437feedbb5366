"""How models are found, called, declared and left."""

import random

import doctor_zoo as zoo
import numpy as np
import pytest
import torch
from torch import nn

import oneblock
from oneblock.doctor import examine
from oneblock.doctor.checks import CHECKS
from oneblock.doctor.checks.check import Check, judged
from oneblock.doctor.errors import DoctorError
from oneblock.doctor.examine import chosen, expectations
from oneblock.doctor.patient import difference
from oneblock.doctor.restore import fingerprint, left_as_found

LIGHT = ["C1", "K1", "B1", "W2", "E2", "N1"]


def test_the_patient_is_left_as_found():
    model = zoo.ill("Gpt", "").train()
    model.blocks[0].eval()
    model.wte.weight.grad = torch.ones_like(model.wte.weight)
    model.head.register_forward_hook(lambda *_: None)
    torch.manual_seed(7)
    np.random.seed(7)
    random.seed(7)
    before, state, arrays, python = fingerprint(model), torch.get_rng_state(), np.random.get_state(), random.getstate()
    weights = [p.clone() for p in model.parameters()]
    examine(model)
    assert fingerprint(model) == before
    assert all(torch.equal(p, w) for p, w in zip(model.parameters(), weights, strict=True))
    assert torch.equal(torch.get_rng_state(), state) and random.getstate() == python
    assert (np.random.get_state()[1] == arrays[1]).all()


@pytest.mark.parametrize("change", ["weight", "mode", "grad", "hook"])
def test_a_changed_patient_is_told(change):
    model = nn.Sequential(nn.Linear(3, 5))
    with pytest.raises(DoctorError, match="changed the model"), left_as_found(model):
        if change == "weight":
            model[0].weight.data[0, 1] += 1e-3
        elif change == "mode":
            model[0].eval()
        elif change == "grad":
            model[0].weight.grad = torch.ones(5, 3)
        else:
            model[0].register_forward_hook(lambda *_: None)


def test_callings_are_said():
    said = {host: examine(zoo.ill(host, ""), only=["E1"]) for host in ("Gpt", "Nano", "Bert")}
    assert "input_ids=ids, attention_mask=1 = real, past_key_values=…, labels=…" in said["Gpt"].called
    assert "dummy targets for all positions" in said["Nano"].called
    assert [said[host].kind for host in said] == ["causal", "causal", "encoder"]


def test_an_adapter_is_examined():
    class Adapter:
        def __init__(self, fault=""):
            self.module, self.vocab_size = zoo.ill("Gpt", fault).eval(), 23

        def logits(self, ids, mask=None, positions=None, cache=None):
            return self.module(ids, attention_mask=None if mask is None else mask.long()).logits

    report = examine(Adapter(), only=[*LIGHT, "P1"])
    assert report.healthy, report
    assert {each.id for each in report.checks if each.status == "SKIP"} == {"K1"}
    assert not examine(Adapter("no mask"), only=["C1"], expect=["causal"]).healthy
    assert not examine(Adapter("pads unmasked"), only=["P1"]).healthy


class Stream(nn.Module):
    """Layers alone: vectors in, vectors out."""

    def __init__(self, mask):
        super().__init__()
        self.layers = nn.ModuleList(nn.TransformerEncoderLayer(12, 3, 20, norm_first=True) for _ in range(2))
        for layer in self.layers:
            layer.self_attn.batch_first = True
        self.mask = mask

    def forward(self, x):
        mask = torch.full((x.shape[1],) * 2, -torch.inf, dtype=x.dtype).triu(1) if self.mask else None
        for layer in self.layers:
            x = layer(x, src_mask=mask)
        return x


def test_vectors_in_vectors_out():
    report = examine(Stream(True), only=LIGHT)
    assert report.healthy and report.checks[0].status == "PASS", report
    (found,) = examine(Stream(False), only=["C1"]).checks
    assert found.status == "INFO" and "--expect causal" in found.message
    assert not examine(Stream(False), only=["C1"], expect=["causal"]).healthy


def test_what_is_declared_is_held_against():
    assert not examine(zoo.ill("Gpt", "post-norm"), only=["N1"], expect=["norm=pre"]).healthy
    assert examine(zoo.ill("Gpt", "post-norm"), only=["N1"], expect=["norm=post"]).healthy
    assert examine(zoo.ill("Gpt", "no scale"), only=["A2"], expect=["unscaled"]).healthy
    assert examine(zoo.ill("Gpt", "one block many times"), only=["W3"], expect=["shared"]).healthy
    assert not examine(zoo.ill("Gpt", ""), only=["W1"], expect=["tied"]).healthy
    assert examine(zoo.ill("Gpt", "tied"), only=["W1"], expect=["tied"]).healthy
    assert examine(zoo.ill("Gpt", "no mask"), only=["C1"], expect=["encoder"]).healthy


def test_words():
    assert chosen(["cache"]) == ["K1", "K2", "K3"]
    assert chosen(["E1", "leak"]) == ["C1", "C2", "E1"]
    assert expectations(["causal", "norm=peri", "tied"]) == {"kind": "causal", "norm": "peri", "tied": "yes"}
    with pytest.raises(DoctorError, match="no check 'leek'; the words: leak"):
        chosen(["leek"])
    with pytest.raises(DoctorError, match="'norm=sandwich' cannot be expected"):
        expectations(["norm=sandwich"])


@pytest.mark.parametrize(("difference", "verdict"), [(0.0, "PASS"), (3e-5, "WARN")])
def test_what_float32_leaves_open_is_asked_in_float64(monkeypatch, difference, verdict):
    """A large model rounds more in float32 than one layer does; what is a difference in float64 too stays one."""
    asked = []

    def check(patient):
        asked.append(patient.dtype)
        return judged(2e-5 if patient.dtype == torch.float32 else difference, "well", "wrong")

    monkeypatch.setitem(CHECKS, "C3", Check(question="?", run=check))
    model = zoo.ill("Gpt", "")
    for small, large, dtypes in ((10, 10**9, 2), (10, 100, 1), (10**9, 10**9, 1)):
        asked.clear()
        monkeypatch.setattr("oneblock.doctor.patient.SMALL", small)
        monkeypatch.setattr("oneblock.doctor.patient.LARGE", large)
        (found,) = examine(model, only=["C3"]).checks
        assert len(asked) == dtypes
        if dtypes == 2:
            assert asked == [torch.float32, torch.float64] and found.status == verdict


def test_a_difference_that_is_no_number_is_infinite():
    assert difference(torch.tensor([float("nan")]), torch.ones(1)) == float("inf")
    assert difference(torch.ones(2), torch.ones(1, 2)) == float("inf")
    assert difference(torch.tensor([2.0, 4.0]), torch.tensor([2.0, 5.0])) == pytest.approx(0.2)


@pytest.mark.parametrize(
    ("module", "says"),
    [
        (nn.Conv2d(3, 5, 3), "cannot be called"),
        ("nowhere", "nowhere is not there"),
        (7, "give a torch module or an adapter"),
    ],
)
def test_what_cannot_be_examined_is_said(module, says):
    with pytest.raises(DoctorError, match=says):
        examine(module)


def test_written_out_attention_is_a_path_of_ours():
    model = oneblock.build(
        oneblock.override(oneblock.presets.nano(), "width=24", "num_layers=1", "context=24", "vocab_size=29"), seed=0
    )
    model.blocks[0].attention.attend.forward = lambda q, k, v, mask, bias: v.mean(2, keepdim=True).expand_as(q)
    assert not examine(model, only=["C1"]).healthy
