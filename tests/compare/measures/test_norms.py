"""Norms against LayerNorm: the formulas are those of the kernels, and the clock is read the right way round."""

import math

import pytest
import torch

from oneblock.compare.measures import norms
from oneblock.config import LayerNorm, NoNorm, RMSNorm
from oneblock.config.norm import PartialRMSNorm
from oneblock.nn.norm import make_norm

D = 13
OPTIONS = (
    LayerNorm(eps=0.3),
    LayerNorm(gain=False, bias=False),
    RMSNorm(eps=0.3),
    RMSNorm(one_plus=True),
    RMSNorm(gain=False),
    PartialRMSNorm(fraction=0.4, eps=0.3),
    NoNorm(),
)


@pytest.mark.parametrize("option", OPTIONS, ids=str)
def test_written_out_it_is_the_same_function(option):
    torch.manual_seed(0)
    written, kernel = norms.WrittenOut(option, D).double(), make_norm(option, D).double()
    for parameter in written.parameters():
        torch.nn.init.normal_(parameter)
    kernel.load_state_dict(written.own.state_dict())
    x = 2 + torch.randn(5, 7, D, dtype=torch.float64)
    torch.testing.assert_close(written(x), kernel(x))


def test_longer_for_layer_norm_is_a_gain(subject, monkeypatch):
    asked = []

    def in_turns(things, rounds, device):
        asked.append((rounds, list(things)))
        for thing in things.values():
            thing()
        # A norm alone takes 2 µs, LayerNorm 6, a step 5 and 10.
        alone = rounds == norms.ALONE
        return {"own": [2e-6 if alone else 5.0] * 3, "layer": [6e-6 if alone else 10.0] * 3}

    monkeypatch.setattr(norms, "in_turns", in_turns)
    found = norms.measure(subject("block.norm=rms"))
    assert found.measures == pytest.approx(
        {"norm_gain": math.log(3), "written_norm_gain": math.log(3), "norm_step_gain": math.log(2)}
    )
    assert found.curves["norm by width"] == [[3.0, 2.0], [6.0, 2.0], [12.0, 2.0], [24.0, 2.0], [48.0, 2.0]]
    assert all({*names} == {"own", "layer"} for _, names in asked)
    assert [rounds for rounds, _ in asked] == [norms.ALONE] * 6 + [norms.STEPS]


def test_as_many_tokens_as_a_batch_and_the_models_own_norm(subject, monkeypatch):
    made = subject("block.norm=partial_rms", "recipe.batch_size=3")
    seen = []
    monkeypatch.setattr(norms.WrittenOut, "forward", lambda self, x: seen.append((x.shape, self.norm)) or self.own(x))
    norms.measure(made)
    options = {type(norm) for _, norm in seen}
    assert {shape for shape, _ in seen} == {(24, 12)} and options == {PartialRMSNorm, LayerNorm}
