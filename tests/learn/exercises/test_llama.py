"""From GPT to Llama: the reference against what others compute."""

import pytest
import torch
import torch.nn.functional as F

from oneblock.learn.exercises import exercise_named, text_of
from oneblock.learn.prove import here


def test_the_reference_turns_as_complex_numbers_do():
    names: dict = {}
    exec(text_of("llama", "reference"), names)
    x, places = torch.randn(2, 3, 5, 8).double(), torch.arange(3, 8)
    turn = torch.polar(torch.ones(5, 4).double(), places[:, None] * 50.0 ** (-torch.arange(4).double() / 4))
    right = torch.view_as_real(torch.view_as_complex(x.unflatten(-1, (4, 2))) * turn).flatten(-2)
    torch.testing.assert_close(names["rope"](x, places, 50.0, "interleaved"), right)
    order = torch.arange(8).reshape(4, 2).T.flatten()
    torch.testing.assert_close(names["rope"](x[..., order], places, 50.0, "half"), right[..., order])


def test_the_slopes_are_the_papers():
    names: dict = {}
    exec(text_of("llama", "reference"), names)
    assert names["slopes"](8) == [2.0**-n for n in range(1, 9)]
    assert names["slopes"](6) == [2.0**-2, 2.0**-4, 2.0**-6, 2.0**-8, 2.0**-1, 2.0**-3]
    bias = names["alibi"](8, 2, 3)
    assert bias[0].tolist() == [[-0.5, 0.0, -0.5], [-1.0, -0.5, 0.0]]


def test_the_reference_is_torchs_own_attention_in_groups():
    names: dict = {}
    exec(text_of("llama", "reference"), names)
    ours, x = names["MultiHeadAttention"](18, 6, 2).double(), torch.randn(2, 5, 18).double()
    q, k, v = (part.unflatten(-1, (-1, 3)).transpose(1, 2) for part in ours.qkv(x).split([18, 6, 6], -1))
    right = F.scaled_dot_product_attention(q, k, v, is_causal=True, enable_gqa=True).transpose(1, 2).flatten(2)
    causal = torch.ones(5, 5, dtype=torch.bool).tril()
    torch.testing.assert_close(ours(x, causal), right @ ours.output.weight.T)


@pytest.mark.parametrize(
    ("name", "check"),
    [("short_table", "far"), ("last_place", "far"), ("coarse_places", "far"), ("turned_too", "heads_plain")],
)
def test_far_places_and_heads_of_an_even_width_are_asked(name, check):
    exercise = exercise_named("llama")
    wrong = next(each for each in exercise.wrong if each.name == name)
    outcome, diagnosis = here(exercise, wrong.switches, seed=0)
    assert outcome.root.id == check and diagnosis.named == (name,)
