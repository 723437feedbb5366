"""What a token takes to make, by how many stand before it: with a key/value cache and without."""

from __future__ import annotations

import copy
import math
import statistics
import time
from typing import Any

import torch
from torch import Tensor

from oneblock.compare.measures.subject import Found, Subject, log10_or_none, log_ratio
from oneblock.machine.device import synchronize

REPEATS, PASSES, POINTS, CHECKED = 5, 3, 6, 64
"""How often a pass over all, and one token by token, is timed (the fastest counts); lengths; tokens compared."""


def measure(subject: Subject) -> Found:
    """Milliseconds for one more token at lengths up to the context, and whether the cache changes any logit.

    Without a cache a token costs a pass over everything before it; with one, a pass over itself and a look at what is
    kept. In training all targets are known, so one pass teaches every place at once, and a cache has nothing to save.
    """
    model: Any = subject.model
    context, tokens = subject.context, subject.windows(subject.context, 1)
    was_training = model.training
    model.eval()
    with torch.inference_mode():
        error = _error(model, tokens[:, : min(context, CHECKED)])
        lengths = [max(1, context >> shift) for shift in reversed(range(POINTS))]
        anew = {length: min(_seconds(model, tokens[:, :length]) for _ in range(REPEATS)) for length in lengths}
        each = _each(model, tokens)
    model.train(was_training)
    cached = {length: statistics.median(each[3 * length // 4 : length]) for length in lengths}
    eighth = max(1, context >> 3)
    return Found(
        measures={
            "cache_error": log10_or_none(error),
            "uncached_growth": log_ratio(anew[context], anew[eighth]),
            "cached_growth": log_ratio(cached[context], cached[eighth]),
            "cache_gain": log_ratio(anew[context], cached[context]),
            "one_pass_gain": log_ratio(math.fsum(each), anew[context]),
        },
        curves={
            "cached latency": [[float(length), 1e3 * seconds] for length, seconds in cached.items()],
            "uncached latency": [[float(length), 1e3 * seconds] for length, seconds in anew.items()],
        },
    )


def _error(model: Any, tokens: Tensor) -> float:
    exact = copy.deepcopy(model).double()
    cache = exact.cache(1, tokens.shape[1])
    one_by_one = torch.cat([exact(tokens[:, at : at + 1], cache=cache) for at in range(tokens.shape[1])], dim=1)
    return float((one_by_one - exact(tokens)).abs().max())


def _each(model: Any, tokens: Tensor) -> list[float]:
    """Seconds of each token in turn, by a cache; the fastest of several passes."""
    passes = []
    for _ in range(PASSES):
        cache = model.cache(1, tokens.shape[1])
        passes.append([_seconds(model, tokens[:, at : at + 1], cache=cache) for at in range(tokens.shape[1])])
    return [min(times) for times in zip(*passes, strict=True)]


def _seconds(model: Any, tokens: Tensor, **given: Any) -> float:
    began = time.perf_counter()
    model(tokens, **given)
    synchronize(tokens.device)
    return time.perf_counter() - began
