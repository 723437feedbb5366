"""Pairs as padded ids, and the batches a step reads of them: pure functions, so that a run resumes exactly."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from oneblock.data.batches import check_ranks, sample_rows
from oneblock.data.symbols import END, PAD, START, SymbolTokenizer

Ids = npt.NDArray[np.int64]
Flags = npt.NDArray[np.bool_]
Pair = tuple[str, str]

POOL = 32
"""Batches whose pairs are put together and shared out again by length, so that few places of a batch are pads."""


@dataclass(frozen=True, kw_only=True, eq=False)
class PairSplit:
    """N pairs as padded ids: sources N × S, and targets N × T, each from its start id to its end id.

    `source_lengths` and `target_lengths` count what is not padding.
    """

    pairs: tuple[Pair, ...]
    sources: npt.NDArray[np.uint32]
    source_lengths: Ids
    targets: npt.NDArray[np.uint32]
    target_lengths: Ids

    def __len__(self) -> int:
        return len(self.pairs)

    @cached_property
    def answers(self) -> dict[str, list[str]]:
        """Each different source with all its right targets, in the order of the data: what evaluation asks for."""
        found: dict[str, list[str]] = {}
        for source, target in self.pairs:
            found.setdefault(source, []).append(target)
        return found


class PairBatch(NamedTuple):
    """What an encoder-decoder is taught on, int64 and boolean.

    source, padding:         B × S ids; True = a pad
    inputs, targets, valid:  B × T; inputs begin with start, targets end with end, and `valid` is where one stands
    """

    source: Ids
    padding: Flags
    inputs: Ids
    targets: Ids
    valid: Flags


def encode_pairs(pairs: Sequence[Pair], source: SymbolTokenizer, target: SymbolTokenizer) -> PairSplit:
    """The ids of pairs, in their order."""
    sources, source_lengths = pad_rows([source.encode(text) for text, _ in pairs])
    targets, target_lengths = pad_rows([np.array([START, *target.encode(text), END]) for _, text in pairs])
    return PairSplit(
        pairs=tuple(pairs),
        sources=sources,
        source_lengths=source_lengths,
        targets=targets,
        target_lengths=target_lengths,
    )


def pad_rows(rows: Sequence[Ids]) -> tuple[npt.NDArray[np.uint32], Ids]:
    """Rows of different length as one read-only table, filled up with pads on the right, and their lengths."""
    lengths = np.array([len(row) for row in rows], np.int64)
    table = np.full((len(rows), int(lengths.max(initial=0))), PAD, np.uint32)
    if len(rows):
        table[np.arange(table.shape[1]) < lengths[:, None]] = np.concatenate(rows)
    table.flags.writeable = False
    return table, lengths


def sample_pairs(
    split: PairSplit,
    *,
    seed: int,
    step: int,
    batch_size: int,
    rank: int = 0,
    world: int = 1,
    multiple_of: int = 1,
) -> PairBatch:
    """The pairs of one step: a function of its arguments alone; each epoch reads each pair once (`sample_rows`).

    A batch's pairs are of like length, and short and long batches come in random order (`POOL`). Both sides are as
    wide as the longest of the whole batch, on every rank, rounded up to `multiple_of`: few different widths are few
    compilations.
    """
    check_ranks(batch_size, rank, world)
    whole = _rows_of_like_length(split, seed, step, batch_size)
    each = batch_size // world
    return _batch(split, whole[rank * each : (rank + 1) * each], whole, multiple_of)


def evaluation_pairs(split: PairSplit, batch_size: int, *, multiple_of: int = 1) -> Iterator[tuple[PairBatch, int]]:
    """(batch, how many of its rows count) over a whole split, each pair once, short ones first.

    The last batch is filled up with its own last pair, so that every batch has `batch_size` rows; `valid` is False
    in what fills it.
    """
    order = np.lexsort((split.target_lengths, split.source_lengths))
    for start in range(0, len(order), batch_size):
        rows = order[start : start + batch_size]
        count = len(rows)
        rows = np.concatenate([rows, np.full(batch_size - count, rows[-1])])
        batch = _batch(split, rows, rows, multiple_of)
        batch.valid[count:] = False
        yield batch, count


def _rows_of_like_length(split: PairSplit, seed: int, step: int, batch_size: int) -> Ids:
    rows = sample_rows(len(split), seed=seed, step=step // POOL, batch_size=POOL * batch_size)
    order = np.lexsort((split.target_lengths[rows], split.source_lengths[rows]))
    (batch,) = sample_rows(POOL, seed=seed, step=step, batch_size=1)
    return rows[order].reshape(POOL, batch_size)[batch]


def _batch(split: PairSplit, rows: Ids, whole: Ids, multiple_of: int) -> PairBatch:
    source_width, target_width = (
        -(-width // multiple_of) * multiple_of
        for width in (int(split.source_lengths[whole].max()), int(split.target_lengths[whole].max()) - 1)
    )
    source = _cut(split.sources[rows], source_width)
    target = _cut(split.targets[rows], target_width + 1)
    valid = np.arange(target_width) < split.target_lengths[rows, None] - 1
    return PairBatch(
        source=source,
        padding=np.arange(source_width) >= split.source_lengths[rows, None],
        # The end id is no input: nothing follows it.
        inputs=np.where(valid, target[:, :-1], PAD),
        targets=np.ascontiguousarray(target[:, 1:]),
        valid=valid,
    )


def _cut(table: npt.NDArray[np.uint32], width: int) -> Ids:
    cut = np.full((len(table), width), PAD, np.int64)
    cut[:, : table.shape[1]] = table[:, :width]
    return cut
