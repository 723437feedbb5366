"""The hunt: a test that asks no more than the rules may not be blamed."""

import torch

from oneblock.learn.child.desk import Desk
from oneblock.learn.exercises import exercise_named
from oneblock.learn.judge import judge


def own(q, k, v, mask):
    scores = q @ k.mT / q.shape[-1] ** 0.5
    weights = (scores if mask is None else scores.masked_fill(~mask, -1e300)).softmax(-1)
    return weights @ v, weights


def a_test(implementation):
    """Zero or equal weights where there is nothing to attend to; large scores under a mask."""
    torch_generator = torch.Generator().manual_seed(5)
    some = torch.rand(5, 7, generator=torch_generator) > 0.4
    some[:, 0] = True
    empty = some.clone()
    empty[3] = False
    column, spread = some[2], some.expand(2, 1, 5, 7)
    for size, mask, front in (
        (1, None, ()), (1, None, (2, 3)), (100, None, ()), (1, some, ()), (100, some, ()), (1, empty, ()),
        (1, column, ()), (1, spread, (2, 3)), (1, some, (2, 3)),
    ):  # fmt: skip
        shapes = ((5, 3), (7, 3), (7, 11))
        q, k, v = (torch.randn(*front, *s, generator=torch_generator, dtype=torch.float64) for s in shapes)
        given = implementation(size * q, size * k, v, mask)
        assert isinstance(given, tuple | list) and len(given) == 2
        (output, weights), right = given, own(size * q, size * k, v, mask)
        assert output.shape == right[0].shape and weights.shape == right[1].shape
        full = slice(None) if mask is None else mask.expand(weights.shape).any(-1)
        assert (output - right[0])[full].abs().max() < 1e-8 and (weights - right[1])[full].abs().max() < 1e-8
        assert (weights @ v - output).abs().max() < 1e-8
        if mask is not None:
            for row in weights[~full]:
                assert row.abs().max() < 1e-9 or (row - 1 / 7).abs().max() < 1e-9


def test_zero_or_equal_weights_may_be_asked_for_and_large_scores_under_a_mask():
    outcome = judge(exercise_named("hunt"), Desk({"test": a_test, "EXERCISE": "attention"}).answer, seed=0)
    assert outcome.passed, outcome.root
