"""The loss over a whole split, against one written out in numpy a window at a time."""

import numpy as np
import pytest
import torch

from oneblock.models.build import build
from oneblock.train.evaluate import evaluate, excerpts

CONTEXT, V = 8, 11


def made(small, *settings):
    config = small("recipe.steps=1", f"vocab_size={V}", f"context={CONTEXT}", *settings)
    return build(config.model, seed=1).double()


def tokens(count, dtype=np.uint8):
    return np.random.default_rng(3).integers(0, V, count).astype(dtype)


def by_numpy(model, ids):
    """Every token but the first, read with what its window holds before it."""
    losses = []
    for start in range(0, len(ids) - 1, CONTEXT):
        window = ids[start : start + CONTEXT + 1].astype(np.int64)
        with torch.no_grad():
            logits = model(torch.from_numpy(window[None, :-1]))[0].numpy()
        for row, target in zip(logits, window[1:], strict=True):
            losses.append(np.log(np.exp(row - row.max()).sum()) + row.max() - row[target])
    assert len(losses) == len(ids) - 1
    return np.mean(losses)


@pytest.mark.parametrize("batch_size", [1, 3, 16])
@pytest.mark.parametrize("count", [2, 8, 9, 10, 57, 131])
def test_against_numpy(small, count, batch_size):
    model, ids = made(small).eval(), tokens(count)
    found = evaluate(model, ids, context=CONTEXT, batch_size=batch_size, precision=torch.float64)
    assert found == pytest.approx(by_numpy(model, ids), abs=1e-12)


def test_each_token_counts_once_also_in_other_types(small):
    model = made(small).eval()
    found = {
        evaluate(model, tokens(57, dtype), context=CONTEXT, precision=torch.float64)
        for dtype in (np.uint8, np.uint16, np.int64)
    }
    assert len(found) == 1


def test_dropout_is_off_and_the_mode_comes_back(small):
    model = made(small, "block.dropout=0.5").train()
    first = evaluate(model, tokens(57), context=CONTEXT)
    assert model.training and first == evaluate(model, tokens(57), context=CONTEXT)
    model.eval()
    assert first == evaluate(model, tokens(57), context=CONTEXT) and not model.training
    with pytest.raises(IndexError):
        evaluate(model.train(), tokens(57) + 100, context=CONTEXT)
    assert model.training


def test_no_gradient_and_no_random_number_is_used(small):
    model = made(small, "block.dropout=0.5")
    state = torch.get_rng_state()
    evaluate(model, tokens(57), context=CONTEXT)
    assert torch.equal(state, torch.get_rng_state())
    assert all(parameter.grad is None for parameter in model.parameters())


def test_bfloat16_is_near(small):
    model = made(small).float()
    exact = evaluate(model, tokens(131), context=CONTEXT)
    near = evaluate(model, tokens(131), context=CONTEXT, precision=torch.bfloat16)
    assert near == pytest.approx(exact, abs=1e-3) and near != exact


def test_excerpts():
    ids = np.arange(1009)
    pieces = excerpts(ids, 101)
    assert len(pieces) == 8 and {len(piece) for piece in pieces} == {12}
    assert pieces[0][0] == 0 and pieces[-1][-1] == 1008
    assert all((np.diff(piece) == 1).all() for piece in pieces)
    assert [len(piece) for piece in excerpts(ids, 1017)] == [1009]
    assert [len(piece) for piece in excerpts(ids, 3)] == [2] * 8
