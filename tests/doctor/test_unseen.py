"""What models that were written without a look at the checks taught them: one case for each lesson."""

import doctor_unseen as unseen
import pytest
import torch
from torch import nn

from oneblock.doctor import examine
from oneblock.doctor.checks.context import tables_of
from oneblock.doctor.layers import blocks
from oneblock.doctor.probing import recognise

TOLD = [
    ("gpt", "positions from one", "R2", "FAIL", "on 36 it runs"),
    ("gpt", "positions stop at 15", "R2", "WARN", "21 of 37 rows"),
    ("gpt", "norm without eps", "N2", "WARN", "a row of equal numbers"),
    ("gpt", "norm divides by the variance", "N2", "WARN", "0.1 times"),
    ("llama", "rms with eps of one", "N2", "WARN", "1.4 times"),
    ("llama", "rms of the sum", "N2", "WARN", "root mean square of 0.204"),
    ("llama", "stream of attention lost", "N1", "WARN", "through the feed-forward alone"),
    ("gpt", "no activation", "W2", "FAIL", "nothing stands between h.0.fc and h.0.proj"),
    ("gpt", "init of 1e-5", "I1", "WARN", "vanishingly small"),
    ("gpt", "dropout of what is kept", "E2", "WARN", "90%"),
    ("gpt", "dropout on scores", "A1", "WARN", "dropout falls on scores"),
    ("bert", "softmax of the last layer missing", "A1", "WARN", "without a softmax"),
    ("llama", "rope table a plain attribute", "W4", "WARN", "rotary.table"),
    ("llama", "cache changed in place", "K1", "WARN", "changed in place"),
    ("seq2seq", "labels not shifted right", "C1", "FAIL", "labels are not shifted right"),
    ("seq2seq", "encoder causal", "C1", "WARN", "the encoder is causal"),
    ("seq2seq", "memory of one place", "C1", "WARN", "1 of 7 places"),
    ("mixtral", "weight of the first slot for both", "M1", "WARN", "is not one expert"),
    ("mixtral", "second expert overwrites", "M1", "FAIL", "change no answer: 0 of 5"),
    ("mixtral", "router always the first experts", "M1", "FAIL", "change no answer: 2, 3, 4 of 5"),
    ("gpt", "probabilities for logits", "L1", "FAIL", "are probabilities"),
    ("gpt", "loss over the wrong axis", "L1", "FAIL", "swapped"),
    ("gpt", "loss detached", "L2", "FAIL", "no way back"),
    ("gpt", "scale 1/d", "A2", "INFO", "muP"),
    ("gpt", "qk-norm", "A2", "INFO", "a norm on queries and keys holds them"),
    ("gpt", "causal convolution", "N1", "INFO", "with a convolution"),
    ("bert", "classifier", "P1", "WARN", "right padding only"),
    ("seq2seq", "tied and scaled", "I2", "WARN", "5.212"),
]
WELL = [
    ("gpt", "plain", "R2 N1 N2 A1 A2 E2 W2 W4 I1 L1 L2"),
    ("llama", "plain", "R2 N1 N2 A1 W2 W4 K1"),
    ("llama", "padding row", "P1 C3"),
    ("bert", "padding found in the ids", "P1 C3"),
    ("bert", "positions count real tokens", "R2 P1"),
    ("mixtral", "weights not normed", "M1"),
    ("mixtral", "sigmoid router", "M1"),
    ("seq2seq", "plain", "C1 N1 A1"),
]


def case(host, name):
    return unseen.Case(host=host, name=name, says="").model()


@pytest.mark.parametrize(("host", "name", "check", "status", "words"), TOLD)
def test_it_is_told(host, name, check, status, words):
    (found,) = examine(case(host, name), only=[check]).checks
    assert found.status == status and words in found.message, found


@pytest.mark.parametrize(("host", "name", "checks"), WELL)
def test_its_healthy_neighbour_is_not(host, name, checks):
    report = examine(case(host, name), only=checks.split())
    assert not [each for each in report.checks if each.status in ("FAIL", "WARN")], report


@pytest.mark.parametrize("name", ["attention dropout always on", "noise always added", "memory of the last call"])
def test_answers_that_change_are_told_first_and_not_compared(name):
    first, *rest = examine(case("gpt", name), only=["C1", "B1", "A3"]).checks
    assert (first.id, first.status) == ("E1", "FAIL")
    assert [(each.id, each.status) for each in rest] == [("C1", "SKIP"), ("B1", "SKIP"), ("A3", "INFO")]
    assert "see E1 first" in rest[0].message


def test_rounding_inside_is_told_as_rounding():
    report = examine(case("llama", "rms in half"), only=["C1"])
    assert {each.id: each.status for each in report.checks} == {"C1": "SKIP", "D2": "WARN"}
    assert not examine(case("gpt", "mask of -8"), only=["C1"]).healthy


def test_a_score_of_mask_is_no_score():
    (found,) = examine(case("llama", "mask of -1e4"), only=["A3"]).checks
    assert found.status == "INFO" and found.value < 10


def test_lists_of_branches_are_no_blocks():
    target = recognise(case("seq2seq", "plain"), "", {})
    assert blocks(target, target.sample(1, 5, 0)) == []
    target = recognise(case("gpt", "no residual round attention"), "", {})
    assert [each.name for each in blocks(target, target.sample(1, 5, 0))] == ["h.0", "h.1"]


@torch.no_grad()
def test_a_subtracted_residual():
    class Block(nn.Module):
        def __init__(self):
            super().__init__()
            self.norm, self.mix = nn.LayerNorm(12), nn.Linear(12, 12)

        def forward(self, x):
            return self.mix(self.norm(x)) - x

    class Stream(nn.Module):
        def __init__(self):
            super().__init__()
            self.layers = nn.ModuleList(Block() for _ in range(2))

        def forward(self, x):
            return self.layers[1](self.layers[0](x))

    (found,) = examine(Stream(), only=["N1"]).checks
    assert found.status == "FAIL" and "subtracted" in found.message


def test_tables_of_positions_are_not_those_of_tokens():
    assert tables_of(recognise(case("gpt", "plain"), "", {})) == {"wpe.weight": 37}
    assert tables_of(recognise(case("llama", "plain"), "", {})) == {}
