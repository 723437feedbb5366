"""Masked tokens: which are to be told, and what the model sees in their place (Devlin et al. 2019, section 3.1).

Pure functions of a seed and the number of a row, so that a run resumes exactly and an evaluation is always the same.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from oneblock.config.objective import Masked
from oneblock.data.batches import MASK, Words, keyed, mix, sample_batch

Ids = npt.NDArray[np.int64]
Flags = npt.NDArray[np.bool_]

BERT = Masked()

CHOICE, KIND, TOKEN = 1, 2, 3
TRAINING, EVALUATION = 0x6D61736B, 0x6576616C


class MaskedBatch(NamedTuple):
    """B × T each. `inputs` is what the model sees, `targets` the tokens themselves.

    chosen: the places to be told, on which the loss is taken: hidden, replaced and unchanged ones
    hidden: those of them where the model sees the mask, and so has nothing but the neighbours
    """

    inputs: Ids
    targets: Ids
    chosen: Flags
    hidden: Flags


def mask_tokens(
    tokens: npt.NDArray[Any],
    rows: npt.NDArray[Any],
    *,
    seed: int,
    vocab_size: int,
    mask_id: int,
    option: Masked = BERT,
    padding: Flags | None = None,
) -> MaskedBatch:
    """Choose and hide tokens of B × T; a row's masking depends on the seed and its number in `rows` alone.

    Of a row's n tokens that are no pads max(1, round(chosen·n)) are chosen. A share `hidden` of them becomes the
    mask, a share `replaced` a random token below `vocab_size`, the rest stays; by chance, each on its own.
    People get wrong: to take the loss on hidden places only, which teaches nothing about the tokens that are seen;
    and to choose pads.
    """
    targets = np.array(tokens, np.int64)
    real = np.ones(targets.shape, bool) if padding is None else ~padding
    keys = mix(mix(np.full(len(targets), seed & MASK, np.uint64)) ^ rows.astype(np.uint64))[:, None]
    places = np.arange(targets.shape[1], dtype=np.uint64)[None, :]
    # Pads stand behind every real token in the order, and their rank is beyond the count.
    order = np.where(real, _share(keyed(keys, CHOICE, places)), 2.0)
    rank = np.empty(order.shape, np.int64)
    np.put_along_axis(rank, order.argsort(1, kind="stable"), np.arange(order.shape[1])[None, :], 1)
    count = real.sum(1)
    wanted = np.minimum(np.maximum(1, np.round(option.chosen * count)), count)
    is_chosen = rank < wanted[:, None]
    kind = _share(keyed(keys, KIND, places))
    is_hidden = is_chosen & (kind < option.hidden)
    is_replaced = is_chosen & ~is_hidden & (kind < option.hidden + option.replaced)
    random = (keyed(keys, TOKEN, places) % np.uint64(vocab_size)).astype(np.int64)
    inputs = np.where(is_hidden, mask_id, np.where(is_replaced, random, targets))
    return MaskedBatch(inputs, targets, is_chosen, is_hidden)


def sample_masked(
    tokens: npt.NDArray[Any],
    *,
    seed: int,
    step: int,
    batch_size: int,
    context: int,
    vocab_size: int,
    mask_id: int,
    rank: int = 0,
    world: int = 1,
    option: Masked = BERT,
) -> MaskedBatch:
    """The windows of one step (`sample_batch`), masked anew in every epoch: a function of its arguments alone."""
    windows, _ = sample_batch(
        tokens, seed=seed, step=step, batch_size=batch_size, context=context, rank=rank, world=world
    )
    first = step * batch_size + rank * len(windows)
    rows = np.arange(first, first + len(windows))
    return mask_tokens(windows, rows, seed=seed ^ TRAINING, vocab_size=vocab_size, mask_id=mask_id, option=option)


def evaluation_masked(
    tokens: npt.NDArray[Any],
    context: int,
    batch_size: int,
    *,
    vocab_size: int,
    mask_id: int,
    seed: int = 0,
    option: Masked = BERT,
) -> Iterator[tuple[MaskedBatch, Flags]]:
    """(batch, padding) over a whole split: every token in one window, each window masked once and always alike.

    Windows follow each other without overlap, and their masking does not depend on `batch_size`. All arrays are
    batch_size × context, so that a compiled model sees one shape; what fills up the last ones is padding, id 0,
    and never chosen.
    """
    span = batch_size * context
    for start in range(0, len(tokens), span):
        piece = np.asarray(tokens[start : start + span], np.int64)
        windows = np.zeros(span, np.int64)
        windows[: len(piece)] = piece
        padding = (np.arange(span) >= len(piece)).reshape(batch_size, context)
        rows = np.arange(start // context, start // context + batch_size)
        yield (
            mask_tokens(
                windows.reshape(batch_size, context),
                rows,
                seed=seed ^ EVALUATION,
                vocab_size=vocab_size,
                mask_id=mask_id,
                padding=padding,
                option=option,
            ),
            padding,
        )


def _share(words: Words) -> npt.NDArray[np.float64]:
    # The upper 53 bits as a number in [0, 1).
    return (words >> np.uint64(11)).astype(np.float64) * 2.0**-53
