"""Cross-attention: the reference against what others compute."""

import pytest
import torch

from oneblock.learn.exercises import exercise_named, text_of
from oneblock.learn.prove import here


def test_the_reference_is_torchs_own():
    names: dict = {}
    exec(text_of("cross_attention", "reference"), names)
    ours, theirs = (
        names["CrossAttention"](15, 3).double(),
        torch.nn.MultiheadAttention(15, 3, bias=False, batch_first=True),
    )
    theirs = theirs.double()
    with torch.no_grad():
        theirs.in_proj_weight.copy_(torch.cat((ours.query.weight, ours.key_value.weight)))
        theirs.out_proj.weight.copy_(ours.output.weight)
    x, memory, real = torch.randn(2, 5, 15).double(), torch.randn(2, 7, 15).double(), torch.rand(2, 7) < 0.6
    real[:, 0] = True
    right, _ = theirs(x, memory, memory, key_padding_mask=~real)
    torch.testing.assert_close(ours(x, memory, real), right)


@pytest.mark.parametrize("name", ["one_encoder_layer", "one_decoder_layer"])
def test_each_side_has_layers_of_its_own(name):
    exercise = exercise_named("cross_attention")
    wrong = next(each for each in exercise.wrong if each.name == name)
    outcome, diagnosis = here(exercise, wrong.switches, seed=0)
    assert outcome.root.id == "layers" and diagnosis.named == (name,)
