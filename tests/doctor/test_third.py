"""Faults that nothing was said of: numbers dropped in training, tables not saved, one-sided branches, shells; and lines."""

import inspect
import re

import doctor_hosts as hosts
import doctor_zoo as zoo
import pytest
import torch
import torch.nn.functional as F
from torch import nn
from unseen_late import Late, Tutorial

from oneblock.doctor import examine
from oneblock.doctor.again import maker
from oneblock.doctor.calling import read_signature
from oneblock.doctor.shells import hides, tried


def case(made, *on):
    torch.manual_seed(0)
    return made(frozenset(on)).eval()


def only(model, check, **more):
    (found,) = examine(model, only=[check], **more).checks
    return found


class Drops(nn.Module):
    """A stream with something drawn in training: `how` is given x and a tensor of draws."""

    def __init__(self, how):
        super().__init__()
        self.how, self.table, self.norm = how, nn.Embedding(13, 22), nn.LayerNorm(22)
        self.head = nn.Linear(22, 13)

    def forward(self, ids):
        x = self.table(ids)
        if self.training:
            x = self.how(x, torch.rand(x.shape).to(x))
        return self.head(self.norm(x))


@pytest.mark.parametrize(
    ("how", "says"),
    [
        (lambda x, draws: x * (draws > 0.3), "0.7"),
        (lambda x, draws: x * (draws > 0.1) * 1.5, "1.3"),
        (lambda x, draws: x * (draws[:, :1] > 0.4), "0."),
        (lambda x, draws: x * (draws > 0.3) / 0.7, ""),
        (lambda x, draws: x + 0.1 * (draws - 0.5), ""),
        (lambda x, draws: F.dropout(x, 0.4), ""),
        (lambda x, draws: x, ""),
    ],
)
def test_what_is_dropped_must_be_made_up_for(how, says):
    torch.manual_seed(1)
    found = only(Drops(how), "E2")
    assert (found.status == "WARN") is bool(says), found
    assert says in found.message and ("test_third.py" in found.where) is bool(says)


def test_a_table_that_is_not_saved_is_told_by_a_second_model_of_its_class():
    found = only(case(Tutorial, "random features not saved"), "W1")
    assert found.status == "FAIL" and found.where.startswith("features (") and "unseen_late.py:" in found.where
    line = int(re.search(r"unseen_late.py:(\d+)", found.where)[1])
    lines, start = inspect.getsourcelines(Tutorial)
    assert "register_buffer" in lines[line - start]
    assert "a fresh model" in only(case(Tutorial), "W1").message


def test_or_by_its_looks_where_none_can_be_made():
    class Held(nn.Module):
        """What it is made with is not kept, so that its class cannot be called again."""

        def __init__(self, table):
            super().__init__()
            self.tokens, self.head = nn.Embedding(13, 20), nn.Linear(20, 13)
            self.register_buffer("places", table, persistent=False)

        def forward(self, ids):
            return self.head(self.tokens(ids) + self.places[: ids.shape[1]])

    steps, rates = torch.arange(40.0)[:, None], 100 ** (-torch.arange(0, 20, 2) / 20)
    sines = torch.cat([(steps * rates).sin(), (steps * rates).cos()], 1)
    assert maker(Held(sines)) is None
    found = only(Held(torch.randn(40, 20, generator=torch.Generator().manual_seed(3))), "W1")
    assert found.status == "WARN" and "places is not in the state dict and looks drawn" in found.message
    assert only(Held(sines), "W1").status == "PASS"


def test_a_model_that_was_changed_since_its_class_made_it_saves_well():
    """Two of its class agree with one another, so that nothing unsaved is at work."""
    model = case(Tutorial)
    model.layers[0]["norm1"].eps = 0.5
    found = only(model, "W1")
    assert found.status == "PASS" and "a copy with other weights" in found.message


def test_a_start_is_that_of_the_model_in_hand():
    """Its class would make another one, that starts well."""
    model = case(Tutorial)
    nn.init.normal_(model.head.weight, std=2.0)
    assert only(model, "I2").status == "FAIL" and only(case(Tutorial), "I2").status == "PASS"


@pytest.mark.parametrize(
    ("made", "name", "check", "words"),
    [
        (Tutorial, "relu on what attention gives", "N1", "nowhere below zero"),
        (Late, "qk-norm over heads", "N2", "are normed along the heads"),
    ],
)
def test_a_branch_of_one_sign_and_a_norm_along_heads(made, name, check, words):
    found, well = only(case(made, name), check), only(case(made), check)
    assert found.status == "WARN" and words in found.message and "unseen_late.py:" in found.where
    assert well.status not in ("WARN", "FAIL"), well


def test_norms_of_queries_over_features_and_over_all_heads_are_well():
    class Queries(nn.Module):
        def __init__(self, axes):
            super().__init__()
            self.axes, self.table, self.qkv = axes, nn.Embedding(13, 24), nn.Linear(24, 72)

        def forward(self, ids):
            x = self.table(ids)
            q, k, v = (z.view(*ids.shape, 4, 6).transpose(1, 2) for z in self.qkv(x).chunk(3, -1))
            q, k = (z / z.square().mean(self.axes, keepdim=True).sqrt() for z in (q, k))
            y = F.scaled_dot_product_attention(q, k, v, is_causal=True)
            return (x + y.transpose(1, 2).flatten(2)) @ self.table.weight.T

    told = {axes: only(Queries(axes), "N2", expect=["causal"]).status for axes in ((-1,), (1, 3), (1,))}
    assert told == {(-1,): "SKIP", (1, 3): "SKIP", (1,): "WARN"}


class Shell(nn.Module):
    def __init__(self, inner):
        super().__init__()
        self.inner = inner

    def forward(self, *args, **kwargs):
        return self.inner(*args, **kwargs)


class Keywords(Shell):
    def forward(self, **kwargs):
        return self.inner(**kwargs)


class Named(Shell):
    def forward(self, input_ids, **kwargs):
        return self.inner(input_ids, **kwargs)


@pytest.mark.parametrize("shell", [Shell, Keywords, Named])
def test_a_shell_is_called_as_what_it_stands_around(shell):
    inner = zoo.ill("Gpt", "pads unmasked")
    assert hides(shell(inner).forward) and not hides(inner.forward)
    report = examine(shell(inner), only=["P1", "K1", "L1"])
    assert [each.status for each in report.checks] == ["PASS", "FAIL", "PASS"], report
    assert "attention_mask=1 = real, past_key_values=…, labels=…), found by trying" in report.called
    encoder = examine(shell(zoo.ill("Bert", "")), only=["C1"])
    assert encoder.kind == "encoder" and encoder.healthy


def test_a_shell_around_a_function_is_tried_name_by_name():
    class Swallows(nn.Module):
        """Takes every keyword and uses one, under a name that nothing inside has."""

        def __init__(self):
            super().__init__()
            self.table, self.head = nn.Embedding(13, 8), nn.Linear(8, 13)

        def forward(self, *args, **kwargs):
            x, pads = self.table(args[0]), kwargs.get("padding_mask")
            x = x if pads is None else x.masked_fill(pads[..., None], 0)
            return self.head(x.mean(1, keepdim=True).expand_as(x))

    found = tried(Swallows())
    assert (found.ids, found.mask, found.mask_says_real, found.labels, found.cache) == (
        "",
        "padding_mask",
        False,
        "",
        "",
    )
    assert read_signature(Swallows().forward).mask == ""


def test_labels_of_a_model_of_unknown_kind_may_be_shifted_inside():
    class Plain(nn.Module):
        def __init__(self):
            super().__init__()
            self.table, self.head = nn.Embedding(13, 8), nn.Linear(8, 13)

        def forward(self, input_ids, labels=None):
            logits = self.head(self.table(input_ids))
            if labels is None:
                return logits
            return logits, F.cross_entropy(logits[:, :-1].flatten(0, 1), labels[:, 1:].flatten(), ignore_index=-100)

    assert only(Plain(), "L1").status == "PASS"


LINES = [
    ("sees the next embedding", "C1", "F.pad(x[:, 1:]"),
    ("noise in eval", "E1", "torch.randn_like(x)"),
    ("stale state", "E1", "x + previous"),
    ("dropout in eval", "E1", "F.dropout(w, self.drop)"),
    ("positions one behind with a cache", "K1", "place = torch.arange(start"),
    ("positions one behind with a cache", "K3", "place = torch.arange(start"),
    ("top-left mask with a cache", "K2", ".tril()"),
    ("pads mean over all", "P1", "x.mean((0, 1))"),
    ("norm over the batch", "B1", "x.mean(0)"),
]


@pytest.mark.parametrize(("fault", "check", "text"), LINES)
def test_a_fault_is_told_with_the_line_that_is_wrong(fault, check, text):
    found = only(zoo.ill("Gpt", fault), check)
    line = int(re.search(r"doctor_hosts.py:(\d+)", found.where)[1])
    assert found.status == "FAIL" and text in inspect.getsource(hosts).splitlines()[line - 1], found.where


def test_a_constant_in_a_table_of_angles_is_no_scale():
    class Turned(nn.Module):
        def __init__(self):
            super().__init__()
            self.table, self.qkv = nn.Embedding(13, 16), nn.Linear(16, 48)

        def forward(self, ids):
            x = self.table(ids)
            q, k, v = (z.view(*ids.shape, 2, 8).transpose(1, 2) for z in self.qkv(x).chunk(3, -1))
            angles = torch.arange(ids.shape[1])[:, None] * 100 ** (-torch.arange(0, 8, 2) / 8)
            cos, sin = angles.cos().to(x), angles.sin().to(x)

            def turn(z):
                a, b = z.chunk(2, -1)
                return torch.cat([a * cos - b * sin, a * sin + b * cos], -1)

            scores = turn(q) @ turn(k).transpose(-1, -2) / 8**0.5
            scores = scores.masked_fill(torch.ones(ids.shape[1], ids.shape[1]).triu(1).bool(), -torch.inf)
            return (x + (scores.softmax(-1) @ v).transpose(1, 2).flatten(2)) @ self.table.weight.T

    assert only(Turned(), "A2", expect=["causal"]).status == "PASS"
