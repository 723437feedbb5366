"""Sampling: the filters against a reference written out in Python, the draw by its frequencies."""

import math

import pytest
import torch

from oneblock.config.errors import OneblockError
from oneblock.decoding.errors import GenerateError
from oneblock.decoding.sampling import Sampling, keep_top_k, keep_top_p, sample

LOGITS = torch.tensor([1.1, -0.3, 2.0, 0.4, -1.7, 1.6, 0.0])


def chance_of(seen, wanted):
    """Pearson's chi-square: how likely counts are at least so far from the wanted ones."""
    seen, wanted = torch.tensor(seen, dtype=torch.float64), torch.tensor(wanted, dtype=torch.float64)
    statistic = ((seen - wanted).square() / wanted).sum()
    return torch.special.gammaincc(torch.tensor((len(seen) - 1) / 2, dtype=torch.float64), statistic / 2).item()


def reference(logits, temperature=1.0, top_k=None, top_p=None):
    """The distribution, one token at a time."""
    weights = [math.exp(value / temperature) for value in logits.tolist()]
    order = sorted(range(len(weights)), key=lambda token: (-weights[token], token))
    kept = order[: top_k or len(order)]
    total = sum(weights[token] for token in kept)
    nucleus, mass = [], 0.0
    for token in kept:
        nucleus.append(token)
        mass += weights[token] / total
        if top_p is not None and mass >= top_p:
            break
    total = sum(weights[token] for token in nucleus)
    return [weights[token] / total if token in nucleus else 0.0 for token in range(len(weights))]


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"temperature": 0.6},
        {"temperature": 1.9},
        {"top_k": 3},
        {"top_p": 0.8},
        {"temperature": 1.4, "top_k": 5, "top_p": 0.7},
        # Of the three that top-k leaves, 0.6 is reached by two; of all seven it would take three.
        {"temperature": 2.0, "top_k": 3, "top_p": 0.6},
    ],
)
def test_frequencies_are_those_of_the_distribution(settings):
    draws = 20_011
    generator = torch.Generator().manual_seed(7)
    ids = sample(LOGITS.expand(draws, -1), **settings, generator=generator)
    seen = torch.bincount(ids, minlength=len(LOGITS)).tolist()
    wanted = reference(LOGITS, **settings)
    possible = [token for token, share in enumerate(wanted) if share]
    assert sum(seen[token] for token in possible) == draws
    assert chance_of([seen[t] for t in possible], [draws * wanted[t] for t in possible]) > 1e-4


@pytest.mark.parametrize("top_k", [1, 2, 5, 7, 100])
@pytest.mark.parametrize("top_p", [None, 1e-9, 0.35, 0.5, 0.9, 1.0])
def test_filters_keep_what_the_reference_keeps(top_k, top_p):
    wanted = [share > 0 for share in reference(LOGITS, top_k=top_k, top_p=top_p)]
    chances = torch.linspace(0, 1 - 1e-12, 5003, dtype=torch.float64)
    chosen = Sampling(top_k=top_k, top_p=top_p).choose(LOGITS.expand(5003, -1), chances)
    assert [token in chosen.tolist() for token in range(7)] == wanted


def test_the_token_that_crosses_p_is_kept_and_the_one_after_it_is_not():
    scores = torch.tensor([[0.5, 0.3, 0.2]]).log()
    assert keep_top_p(scores, 0.51).isfinite().tolist() == [[True, True, False]]
    assert keep_top_p(scores, 0.8).isfinite().tolist() == [[True, True, False]]
    assert keep_top_p(scores, 0.5).isfinite().tolist() == [[True, False, False]]
    assert keep_top_p(scores, 0.81).isfinite().tolist() == [[True, True, True]]
    assert keep_top_p(scores.flip(1), 0.51).isfinite().tolist() == [[False, True, True]]


def test_of_equals_the_lowest_ids_are_kept():
    assert keep_top_k(torch.tensor([[1.0, 2.0, 1.0, 1.0, 0.0]]), 3).isfinite().tolist() == [
        [True, True, True, False, False]
    ]
    assert keep_top_p(torch.zeros(1, 4), 0.5).isfinite().tolist() == [[True, True, False, False]]
    assert sample(torch.tensor([[0.0, 3.0, 3.0]]), 0).tolist() == [1]
    assert sample(torch.tensor([[0.0, 3.0, 3.0]]), 1.0, top_k=1).tolist() == [1]


def test_a_token_without_probability_is_never_drawn():
    logits = torch.tensor([-torch.inf, 0.0, -torch.inf, 0.0, -torch.inf])
    edges = torch.tensor([0.0, 0.5, 1 - 2**-53], dtype=torch.float64)
    assert Sampling().choose(logits.expand(3, -1), edges).tolist() == [3, 1, 1]


def test_the_generator_gives_all_randomness():
    logits = torch.randn(3, 11)
    state = torch.get_rng_state()
    first = sample(logits.repeat(50, 1), generator=torch.Generator().manual_seed(3))
    again = sample(logits.repeat(50, 1), generator=torch.Generator().manual_seed(3))
    other = sample(logits.repeat(50, 1), generator=torch.Generator().manual_seed(4))
    assert torch.equal(first, again) and not torch.equal(first, other)
    assert torch.equal(state, torch.get_rng_state())


def test_half_precision_is_sampled_in_float32():
    logits = torch.randn(53, generator=torch.Generator().manual_seed(5)).bfloat16().expand(4001, -1)
    chances = torch.linspace(0, 1 - 1e-9, 4001, dtype=torch.float64)
    sampling = Sampling(temperature=0.7)
    assert torch.equal(sampling.choose(logits, chances), sampling.choose(logits.float(), chances))


def test_large_numbers_do_not_overflow():
    assert sample(torch.tensor([1.0, 2.0], dtype=torch.float64), 1e-300).item() == 1
    assert sample(torch.tensor([500.0, 900.0]), 1.0).item() == 1


def test_one_row_gives_one_id():
    assert sample(LOGITS, 0).shape == () and sample(LOGITS[None], 0).shape == (1,)


def test_the_input_is_left_as_it_was():
    logits = torch.randn(2, 7)
    before = logits.clone()
    sample(logits, 0.7, 3, 0.9, torch.Generator())
    assert torch.equal(before, logits)


@pytest.mark.parametrize("bad", [torch.nan, torch.inf])
@pytest.mark.parametrize("temperature", [0, 0.7])
def test_what_is_no_logit_is_named(bad, temperature):
    logits = torch.zeros(3, 5)
    logits[1, 2] = bad
    with pytest.raises(GenerateError, match=r"row 1 .*NaN or infinite"):
        sample(logits, temperature)
    with pytest.raises(GenerateError, match="row 0"):
        sample(torch.full((1, 5), -torch.inf), temperature)


@pytest.mark.parametrize(
    "settings",
    [
        {"temperature": -0.1},
        {"temperature": math.nan},
        {"temperature": math.inf},
        {"temperature": "hot"},
        {"temperature": True},
        {"top_k": 0},
        {"top_k": -2},
        {"top_k": 2.0},
        {"top_k": True},
        {"top_p": 0},
        {"top_p": 0.0},
        {"top_p": 1.01},
        {"top_p": -0.5},
        {"top_p": math.nan},
        {"top_p": "most"},
    ],
)
def test_settings_out_of_range_say_what_is_allowed(settings):
    ((name, value),) = settings.items()
    with pytest.raises(OneblockError, match=rf"^{name}={value!r} must be .*; try "):
        sample(LOGITS, **settings)


@pytest.mark.parametrize("logits", [torch.zeros(2, 0), torch.zeros(()), torch.zeros(2, 3, dtype=torch.long)])
def test_what_has_not_the_shape_of_logits_is_refused(logits):
    with pytest.raises(GenerateError, match="B × V"):
        sample(logits)
