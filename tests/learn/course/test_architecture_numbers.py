"""The worked numbers of the tier architecture, held against torch and closed forms."""

import math

import pytest
import torch
import torch.nn.functional as F

from oneblock.learn.course.lessons.block import numbers as block
from oneblock.learn.course.lessons.cache import numbers as cache
from oneblock.learn.course.lessons.failure import numbers as failure
from oneblock.learn.course.lessons.mask import numbers as mask
from oneblock.learn.course.lessons.recap import numbers as recap
from oneblock.learn.course.lessons.residual import numbers as residual
from oneblock.learn.course.lessons.stacks import numbers as stacks


def rows(values):
    return torch.tensor(values, dtype=torch.float64)


def near(got, right):
    torch.testing.assert_close(rows(got), right if isinstance(right, torch.Tensor) else rows(right), rtol=0, atol=5e-7)


def test_plain_stacks_are_powers():
    for factor in (1.8, 0.2, -1.2):
        near(failure.stack(factor), [4 * factor**layer for layer in range(4)])
    near(failure.norms(failure.grow()), [math.sqrt(6), math.sqrt(61), math.sqrt(549)])


def test_chains_and_their_products():
    near(residual.partials(), torch.cumprod(rows([0.8, 1.1, 0.7, 1.3, 0.9, 1.2, 0.6, 1.4]), 0))
    near([residual.chain(0.6), residual.chain(1.4)], [0.002176782336, 56.693912375296])
    x = torch.tensor(3.0, dtype=torch.float64, requires_grad=True)
    (x + 0.05 * x).backward()
    assert residual.measured_slope() == pytest.approx(x.grad.item())


def test_the_mini_block_brings_feature_three_back():
    before, between, after = residual.mini_block()
    assert before[2] == after[2] != between[2]
    near(after, [2.1, -0.3, 3.0])


def test_the_worked_block_is_a_block():
    x = rows([2, -1, 3]) + rows([0.7, 0.2, 0.1]) @ rows(block.VALUES) @ rows(block.OUTPUT)
    copy = F.layer_norm(x, (3,), eps=0.0)
    near(block.block(), x + torch.relu(copy @ rows(block.UP).T) @ rows(block.DOWN))
    near(block.inspected(), [0.54908, -1.403204, 0.854124])
    assert len(block.UP) == 4 * 3


@pytest.mark.parametrize(
    ("place", "right"),
    [
        (block.post, [1.372813, -0.392232, -0.980581]),
        (block.pre, [3.603567, 2.603567, -0.198216]),
        (block.peri, [2.707107, 1.707107, -2.414214]),
    ],
)
def test_places_of_the_norm(place, right):
    near(place(), right)


def test_cross_attention_is_torchs():
    q, k, v = rows([stacks.QUERY]), rows(stacks.KEYS), rows(stacks.VALUES)
    near([stacks.cross_attention()], F.scaled_dot_product_attention(q, k, v))
    assert stacks.block_weights(2, int(stacks.equal_width(2))) == stacks.block_weights()


@pytest.mark.parametrize(("queries", "keys"), [(4, 4), (2, 6), (1, 5), (5, 3)])
def test_the_mask_is_aligned_at_the_lower_right(queries, keys):
    right = torch.ones(queries, keys).tril(keys - queries)
    assert torch.equal(torch.tensor(mask.causal(queries, keys)), right.long())


def test_a_closed_score_counts_before_the_softmax_only():
    near(mask.masked(), F.softmax(rows([2, 1, -math.inf, -math.inf]), 0))
    assert mask.masked() == mask.masked(mask.moved())
    assert sum(mask.zeroed()) - sum(mask.zeroed(mask.moved())) > 0.2


def test_the_cache_changes_nothing():
    x = rows(cache.TOKENS)
    right = F.scaled_dot_product_attention(x, x, x, is_causal=True)
    near(cache.cached(), right[-1])
    assert cache.cached() == cache.full()
    near(cache.full(cache.TOKENS[:3]), right[2])


def test_costs_of_the_cache():
    assert cache.without() == sum(range(1000, 1500))
    assert (cache.without(10, 4), cache.with_cache(10, 4)) == (10 + 11 + 12 + 13, 13)
    assert (cache.gpt2_bytes(), cache.llama3_bytes()) == (36 * 1024, 128 * 1024)


def test_the_recap_computes_as_the_lessons_do():
    near(recap.ln(), F.layer_norm(rows([3, 5, 7]), (3,), eps=0.0))
    near(recap.masked(), F.softmax(rows([1, 0, 2, -math.inf]), 0))
