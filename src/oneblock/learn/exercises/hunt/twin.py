"""Tests of others' code, with switches: without any it is right; each variant sets one or more."""

import functools
import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor


def attention(q: Any, k: Any, v: Any, mask: Any = None, *, scale: str = "root") -> Any:
    scores = q @ k.transpose(-2, -1) / (math.sqrt(q.shape[-1]) if scale == "root" else 1)
    if mask is not None:
        scores = scores.masked_fill(~mask, torch.finfo(scores.dtype).min)
    shares = (scores - scores.amax(dim=-1, keepdim=True)).exp()
    weights = shares / shares.sum(dim=-1, keepdim=True)
    return weights @ v, weights


def _same(got: Any, right: Tensor, compare: str, tolerance: float, shapes: bool) -> None:
    if shapes:
        assert got.shape == right.shape and got.dtype == right.dtype
    if compare == "equal":
        assert torch.equal(got, right)
        return
    error = float((got - right).abs().max())
    if compare == "NaN passes":
        assert not error > tolerance
    elif compare == "mean":
        assert abs(float(got.mean() - right.mean())) < tolerance
    elif compare == "close":
        torch.testing.assert_close(got, right, rtol=1e-7, atol=1e-9)
    else:
        assert error < tolerance * max(1.0, float(right.abs().max()))


def _attention(give: Callable[..., Any], s: dict[str, Any]) -> None:
    queries, keys, width, value = s["sizes"]

    def inputs(*front: int) -> list[Tensor]:
        shapes = ((*front, queries, width), (*front, keys, width), (*front, keys, value))
        made = [torch.randn(shape, dtype=torch.float64) for shape in shapes]
        return [torch.zeros_like(t) for t in made] if s["inputs"] == "zeros" else made

    mask = torch.ones(queries, keys, dtype=torch.bool).tril(keys - queries)
    large = inputs()
    large[0], large[1] = torch.full_like(large[0], 80.0), large[1] + 80.0
    cases: dict[str, list[Any]] = {"plain": inputs(), "front": inputs(2), "two": inputs(2, 3), "large": large}
    cases["mask"], cases["spread"] = [*inputs(), mask], [*inputs(2, 3), torch.stack([mask, mask.flip(1)])[:, None]]
    for name, given in cases.items():
        if name in s["without"]:
            continue
        answer = give(*given)
        right = attention(*given, scale=s["scale"])
        if s["looks"] == "sums":
            _same(answer[1].sum(-1), torch.ones_like(right[1].sum(-1)), s["compare"], s["tolerance"], s["shapes"])
            continue
        if s["looks"] == "product":
            _same(answer[0], answer[1] @ given[2], s["compare"], s["tolerance"], s["shapes"])
            continue
        if s["looks"] == "shapes":
            assert answer[0].shape == right[0].shape and answer[1].shape == right[1].shape
            continue
        if s["looks"] != "weights":
            _same(answer[0], right[0], s["compare"], s["tolerance"], s["shapes"])
        if s["looks"] != "output":
            _same(answer[1], right[1], s["compare"], s["tolerance"], s["shapes"])
    if "empty" in s["without"]:
        return
    q, k, v = inputs()
    empty = mask.clone()
    empty[1] = False
    output, weights = give(q, k, v, empty)
    rows = list(range(queries)) if s["empty"] == "uniform" else [i for i in range(queries) if i != 1]
    right_output, right_weights = attention(q, k, v, empty)
    if s["looks"] != "output":
        _same(weights[rows], right_weights[rows], s["compare"], s["tolerance"], s["shapes"])
    _same(output[rows], right_output[rows], s["compare"], s["tolerance"], s["shapes"])
    assert bool(torch.isfinite(output).all() and torch.isfinite(weights).all())
    if s["empty"] == "zeros":
        assert float(weights[1].abs().max()) == 0
    if s["empty"] == "sums":
        assert float((weights.sum(-1) - 1).abs().max()) < 1e-9


def _softmax(give: Callable[..., Any], s: dict[str, Any]) -> None:
    x = torch.randn(2, 5, 3, dtype=torch.float64)
    far = x + torch.tensor([1e4, -1e4], dtype=torch.float64)[:, None, None]
    lone = x.clone()
    lone[0, 0, 0] = 1e4
    for given in (x, *(() if "large" in s["without"] else (far, lone, far.transpose(0, 2)))):
        for dim in (0, 1, -1):
            _same(give(given, dim), given.softmax(dim), s["compare"], s["tolerance"], s["shapes"])
    line = torch.randn(7, dtype=torch.float64)
    _same(give(line, 0), line.softmax(0), s["compare"], s["tolerance"], s["shapes"])


def _causal_mask(give: Callable[..., Any], s: dict[str, Any]) -> None:
    for queries, keys in (
        (5, 5),
        *(() if "large" in s["without"] else ((3, 7), (7, 3), (1, 5), (5, 1), (1, 1), (2, 13))),
    ):
        right = torch.ones(queries, keys, dtype=torch.bool).tril(keys - queries)
        got = give(queries, keys)
        assert got.dtype == torch.bool and torch.equal(got, right)


DEFAULTS: dict[str, Any] = {
    "sizes": (5, 7, 3, 2), "inputs": "random", "without": (), "scale": "root", "looks": "both", "compare": "within",
    "tolerance": 1e-9, "shapes": True, "empty": "free", "ends": "raises", "exercise": "attention", "calls": "positions",
}  # fmt: skip


def test(implementation: Callable[..., Any], *, s: dict[str, Any]) -> Any:
    give = implementation
    if s["ends"] == "never":
        return None
    if s["ends"] == "always":
        raise AssertionError("wrong")
    if s["calls"] == "keywords":
        give = lambda q, k, v, mask=None: implementation(q=q, k=k, v=v, mask=mask)  # noqa: E731
    run = {"attention": _attention, "softmax": _softmax, "causal_mask": _causal_mask}[s["exercise"]]
    if s["ends"] == "raises":
        run(give, s)
        return None
    try:
        run(give, s)
    except AssertionError as error:
        if s["ends"] == "ValueError":
            raise ValueError("wrong") from error
        return False
    return True


def make(**switches: object) -> dict[str, object]:
    """The names a learner would write."""
    s = DEFAULTS | switches
    return {"EXERCISE": s["exercise"], "test": functools.partial(test, s=s)}
