"""The hunt, right: one's own attention to compare with, sizes that all differ, and a choice where there is one."""

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

EXERCISE = "attention"


def attention(q: Tensor, k: Tensor, v: Tensor, mask: Tensor | None = None) -> tuple[Tensor, Tensor]:
    scores = q @ k.transpose(-2, -1) / math.sqrt(q.shape[-1])
    if mask is not None:
        scores = scores.masked_fill(~mask, torch.finfo(scores.dtype).min)
    weights = scores.softmax(dim=-1)
    return weights @ v, weights


def same(got: Any, right: Tensor) -> None:
    assert isinstance(got, Tensor) and got.shape == right.shape and got.dtype == right.dtype
    assert float((got - right).abs().max()) < 1e-9 * max(1.0, float(right.abs().max()))


def test(implementation: Callable[..., Any]) -> None:
    def inputs(*front: int) -> list[Tensor]:
        shapes = ((*front, 5, 3), (*front, 7, 3), (*front, 7, 2))
        return [torch.randn(shape, dtype=torch.float64) for shape in shapes]

    mask = torch.ones(5, 7, dtype=torch.bool).tril(2)
    large = inputs()
    large[0], large[1] = torch.full_like(large[0], 80.0), large[1] + 80.0
    for given in (inputs(), inputs(2), inputs(2, 3), large, [*inputs(), mask], [*inputs(2, 3), mask],
                  [*inputs(2, 3), torch.stack([mask, mask.flip(1)])[:, None]]):  # fmt: skip
        answer = implementation(*given)
        assert isinstance(answer, tuple) and len(answer) == 2
        for got, right in zip(answer, attention(*given), strict=True):
            same(got, right)
    q, k, v = inputs()
    empty = mask.clone()
    empty[1] = False
    output, weights = implementation(q, k, v, empty)
    right_output, right_weights = attention(q, k, v, empty)
    rows = [0, 2, 3, 4]
    same(weights[rows], right_weights[rows])
    same(output[rows], right_output[rows])
    assert bool(torch.isfinite(output).all()) and bool(torch.isfinite(weights).all())
