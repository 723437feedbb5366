"""Which windows of the tokens a step reads: pure functions, so that a run resumes exactly."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt

Ids = npt.NDArray[np.int64]
Words = npt.NDArray[np.uint64]

ROUNDS = 8
PHASE = 0
GOLDEN = 0x9E3779B97F4A7C15
MASK = (1 << 64) - 1


def windows_per_epoch(num_tokens: int, context: int) -> int:
    """Windows of `context` inputs that fit without overlap, whatever the epoch's phase; 0 if none does."""
    if num_tokens <= context:
        return 0
    return max(1, (num_tokens - context) // context)


def sample_batch(
    tokens: npt.NDArray[Any],
    *,
    seed: int,
    step: int,
    batch_size: int,
    context: int,
    rank: int = 0,
    world: int = 1,
) -> tuple[Ids, Ids]:
    """Inputs and targets (batch_size/world × context, int64) of one step: a function of its arguments alone.

    Row i of step s is window n = s·batch_size + i; its epoch is n // windows_per_epoch. Each epoch shifts
    the windows by a phase of its own in [0, context) and visits each once, in an order of its own.
    Rank r reads rows r·batch_size/world onwards, so the ranks' rows in order are the batch of world=1.
    Raises ValueError where world does not divide batch_size, rank is outside world, or no window fits.
    """
    if batch_size % world:
        raise ValueError(f"batch_size={batch_size} must be a multiple of world={world}")
    if not 0 <= rank < world:
        raise ValueError(f"rank={rank} must be in 0…{world - 1}, the ranks of world={world}")
    num_windows = windows_per_epoch(len(tokens), context)
    if not num_windows:
        raise ValueError(f"{len(tokens)} tokens are too few for a window of context+1={context + 1}")
    rows = batch_size // world
    first = step * batch_size + rank * rows
    epochs, order = np.divmod(np.arange(first, first + rows, dtype=np.uint64), np.uint64(num_windows))
    keys = _mix(_mix(np.full(rows, seed & MASK, np.uint64)) ^ epochs)
    # A text shorter than two windows has fewer places to shift to.
    phases = min(context, len(tokens) - num_windows * context)
    shift = _hash(keys, PHASE, epochs) % np.uint64(phases)
    starts = (shift + _permute(order, num_windows, keys) * np.uint64(context)).astype(np.int64)
    windows = np.asarray(tokens[starts[:, None] + np.arange(context + 1)], dtype=np.int64)
    return np.ascontiguousarray(windows[:, :-1]), np.ascontiguousarray(windows[:, 1:])


def evaluation_windows(
    tokens: npt.NDArray[Any], context: int, batch_size: int
) -> Iterator[tuple[Ids, Ids, npt.NDArray[np.bool_]]]:
    """(inputs, targets, valid) over a whole split: every token but the first is a valid target exactly once.

    Windows follow each other without overlap. All arrays are batch_size × context, so that a compiled
    model sees one shape; the last window and the last batch are filled up with id 0, where valid is False.
    """
    num_targets = len(tokens) - 1
    span = batch_size * context
    for start in range(0, num_targets, span):
        count = min(span, num_targets - start)
        inputs, targets = np.zeros(span, np.int64), np.zeros(span, np.int64)
        inputs[:count] = tokens[start : start + count]
        targets[:count] = tokens[start + 1 : start + count + 1]
        shape = (batch_size, context)
        yield inputs.reshape(shape), targets.reshape(shape), (np.arange(span) < count).reshape(shape)


def _mix(x: Words) -> Words:
    # The finaliser of SplitMix64 (Steele, Lea and Flood 2014); uint64 wraps around as it should.
    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return x ^ (x >> np.uint64(31))


def _hash(keys: Words, tag: int, value: Words) -> Words:
    return _mix(keys + _mix(value + np.uint64((tag + 1) * GOLDEN & MASK)))


def _permute(position: Words, size: int, keys: Words) -> Words:
    """Each position's place in a permutation of 0…size-1 chosen by its key, without building the permutation.

    A Feistel network over pairs (left < a, right < b) with a·b just above size; a result outside is put
    through again until it falls inside, which keeps it one-to-one (Black and Rogaway 2002).
    """
    a = int(np.ceil(np.sqrt(size)))
    b = -(-size // a)
    width, height = np.uint64(a), np.uint64(b)
    result = position.copy()
    outside = np.arange(len(position))
    while len(outside):
        key, (left, right) = keys[outside], np.divmod(result[outside], height)
        for step in range(1, ROUNDS + 1, 2):
            left = (left + _hash(key, step, right)) % width
            right = (right + _hash(key, step + 1, left)) % height
        result[outside] = left * height + right
        outside = outside[result[outside] >= size]
    return result
