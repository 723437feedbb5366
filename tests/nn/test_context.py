"""Masks and positions: who sees whom, counted key by key."""

import itertools

import pytest
import torch

from oneblock.nn.cache import Cache
from oneblock.nn.context import Context
from oneblock.nn.position import Position

CPU = torch.device("cpu")


def context(num_queries, *, cached=0, padding=None, causal=True, batch=1):
    cache = None
    if cached:
        cache = Cache([(1, 1)], batch, cached + num_queries)
        cache.length = cached
    padding = None if padding is None else torch.tensor(padding, dtype=torch.bool)
    return Context(num_queries, CPU, position=Position(), padding_BS=padding, cache=cache, causal=causal)


def seen(ctx, window=None):
    mask = ctx.visible(window)
    dense = mask.dense(ctx.num_queries, ctx.num_keys, CPU)
    return torch.ones(ctx.num_queries, ctx.num_keys, dtype=torch.bool) if dense is None else dense


@pytest.mark.parametrize("causal", [True, False])
@pytest.mark.parametrize("window", [None, 1, 2, 3, 7, 50])
@pytest.mark.parametrize("cached", [0, 1, 4])
@pytest.mark.parametrize("num_queries", [1, 3, 5])
def test_counted_by_hand(num_queries, cached, window, causal):
    found = seen(context(num_queries, cached=cached, causal=causal), window)
    for t, s in itertools.product(range(num_queries), range(cached + num_queries)):
        distance = cached + t - s
        expected = (distance >= 0 or not causal) and (window is None or abs(distance) < window)
        assert bool(found[t, s]) == expected, (t, s)


@pytest.mark.parametrize("window", [None, 1, 2])
@pytest.mark.parametrize("causal", [True, False])
def test_padding_counted_by_hand(window, causal):
    padding = [[1, 1, 0, 0, 0], [0, 0, 0, 1, 1], [0, 1, 0, 0, 1], [1, 1, 1, 1, 1], [0, 0, 0, 0, 0]]
    found = seen(context(5, padding=padding, batch=5, causal=causal), window)
    assert found.shape == (5, 1, 5, 5)
    for b, t, s in itertools.product(range(5), repeat=3):
        if padding[b][t]:
            continue
        distance = sum(1 - p for p in padding[b][: t + 1]) - sum(1 - p for p in padding[b][: s + 1])
        expected = not padding[b][s] and (distance >= 0 or not causal) and (window is None or abs(distance) < window)
        assert bool(found[b, 0, t, s]) == expected
    assert found.any(-1).all(), "every row sees something, so that no softmax is over nothing"
    assert found[3, 0].eq(torch.eye(5, dtype=torch.bool)).all() if window == 1 else True


def test_positions_count_from_the_first_real_token():
    ctx = context(4, padding=[[0, 0, 0, 0], [1, 1, 0, 0], [0, 0, 0, 1]], batch=3)
    assert ctx.positions.tolist() == [[0, 1, 2, 3], [0, 0, 0, 1], [0, 1, 2, 2]]
    assert ctx.distance()[1].tolist()[3] == [1, 1, 1, 0]


def test_positions_go_on_after_a_cache():
    assert context(2, cached=3).positions.tolist() == [3, 4]
    padded = context(2, cached=3, padding=[[1, 1, 0, 0, 0], [0, 0, 0, 0, 0]], batch=2)
    assert padded.positions.tolist() == [[1, 2], [3, 4]]
    assert seen(padded)[0, 0].tolist() == [
        [False, False, True, True, False],
        [False, False, True, True, True],
    ]


def test_fast_forms_are_used_where_they_are_exact():
    assert context(5).visible(None) == (True, None)
    assert context(5).visible(5) == (True, None), "a window that holds everything is no window"
    assert context(1, cached=4).visible(None) == (False, None)
    assert context(5, causal=False).visible(None) == (False, None)
    assert context(5).visible(4).allowed is not None
    assert context(2, cached=4).visible(None).allowed is not None, "the triangle is bottom-right aligned with a cache"


def test_what_layers_share_is_made_once():
    ctx, made = context(3), []
    assert ctx.once("a", lambda: made.append(1) or "made") == ctx.once("a", lambda: made.append(2)) == "made"
    assert made == [1]
    wide = context(9)
    assert wide.visible(2) is wide.visible(2) and wide.visible(2) is not wide.visible(3)
