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
    check_ranks(batch_size, rank, world)
    num_windows = windows_per_epoch(len(tokens), context)
    if not num_windows:
        raise ValueError(f"{len(tokens)} tokens are too few for a window of context+1={context + 1}")
    epochs, order, keys = _places(num_windows, seed, step, batch_size, rank, world)
    # A text shorter than two windows has fewer places to shift to.
    phases = min(context, len(tokens) - num_windows * context)
    shift = keyed(keys, PHASE, epochs) % np.uint64(phases)
    starts = (shift + _permute(order, num_windows, keys) * np.uint64(context)).astype(np.int64)
    windows = np.asarray(tokens[starts[:, None] + np.arange(context + 1)], dtype=np.int64)
    return np.ascontiguousarray(windows[:, :-1]), np.ascontiguousarray(windows[:, 1:])


def sample_rows(num_rows: int, *, seed: int, step: int, batch_size: int, rank: int = 0, world: int = 1) -> Ids:
    """Which of `num_rows` separate examples (pairs, images) a step reads: batch_size/world numbers, int64.

    As `sample_batch`: example n = s·batch_size + i, each epoch visits each once in an order of its own, and the
    ranks' numbers in order are those of world=1. Raises ValueError where there are no examples or the ranks do not fit.
    """
    check_ranks(batch_size, rank, world)
    if num_rows < 1:
        raise ValueError("there are no examples to draw from")
    _, order, keys = _places(num_rows, seed, step, batch_size, rank, world)
    return _permute(order, num_rows, keys).astype(np.int64)


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


def mix(x: Words) -> Words:
    """Words whose every bit depends on every bit of theirs; one-to-one."""
    # The finaliser of SplitMix64 (Steele, Lea and Flood 2014); uint64 wraps around as it should.
    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return x ^ (x >> np.uint64(31))


def keyed(keys: Words, tag: int, value: Words) -> Words:
    """A hash of the values, another one for each key and each tag."""
    return mix(keys + mix(value + np.uint64((tag + 1) * GOLDEN & MASK)))


def check_ranks(batch_size: int, rank: int, world: int) -> None:
    """ValueError where a batch cannot be shared by so many ranks, or the rank is none of them."""
    if batch_size % world:
        raise ValueError(f"batch_size={batch_size} must be a multiple of world={world}")
    if not 0 <= rank < world:
        raise ValueError(f"rank={rank} must be in 0…{world - 1}, the ranks of world={world}")


def _places(size: int, seed: int, step: int, batch_size: int, rank: int, world: int) -> tuple[Words, Words, Words]:
    # Each row's epoch, its place in that epoch, and the epoch's key.
    rows = batch_size // world
    first = step * batch_size + rank * rows
    epochs, order = np.divmod(np.arange(first, first + rows, dtype=np.uint64), np.uint64(size))
    return epochs, order, mix(mix(np.full(rows, seed & MASK, np.uint64)) ^ epochs)


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
            left = (left + keyed(key, step, right)) % width
            right = (right + keyed(key, step + 1, left)) % height
        result[outside] = left * height + right
        outside = outside[result[outside] >= size]
    return result
