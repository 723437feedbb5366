"""The two-sided n-gram: a hidden token told from its neighbours' counts, the baseline of masked training."""

from __future__ import annotations

from itertools import combinations
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

Ids = npt.NDArray[np.int64]
Flags = npt.NDArray[np.bool_]
Places = tuple[int, ...]

UNKNOWN = -1


class Table(NamedTuple):
    """For each context that was seen, its key in ascending order, and the token seen most often in it."""

    keys: Ids
    best: Ids


class TwoSided:
    """argmax over tokens of count(neighbours, token): two neighbours on the left and two on the right make a 5-gram.

    Backing off: where a context was never seen, or one of its neighbours is unknown, the next smaller set of
    neighbours is asked (more before fewer, near before far, left before right), at last none: the most frequent
    token. Ties go to the smaller id. All 16 sets are counted by sorting: about a second for 1M tokens.
    """

    def __init__(self, tokens: npt.NDArray[Any], vocab_size: int, *, left: int = 2, right: int = 2) -> None:
        places = (*range(-left, 0), *range(1, right + 1))
        if vocab_size ** len(places) > 2**62:
            raise ValueError(
                f"vocab_size={vocab_size} with {len(places)} neighbours makes more contexts than a key can tell apart; "
                f"give at most {int(2 ** (62 / len(places)))} tokens, or fewer neighbours"
            )
        if len(tokens) <= left + right:
            raise ValueError(f"{len(tokens)} tokens are too few for {left} neighbours on the left and {right} right")
        self.vocab_size, self.left, self.right = vocab_size, left, right
        self.orders: list[Places] = sorted(
            (some for count in range(len(places) + 1) for some in combinations(places, count)),
            key=lambda some: (-len(some), sum(map(abs, some)), sum(some)),
        )
        counted = np.asarray(tokens, np.int64)
        if counted.min() < 0 or counted.max() >= vocab_size:
            raise ValueError(f"tokens {counted.min()}…{counted.max()} must be ids below vocab_size={vocab_size}")
        self.tables = [self._count(counted, order) for order in self.orders]

    def _count(self, tokens: Ids, order: Places) -> Table:
        middle = np.arange(self.left, len(tokens) - self.right)
        neighbours = [tokens[middle + place] for place in order]
        keys, context = np.unique(self._keys(neighbours, len(middle)), return_inverse=True)
        pairs, counts = np.unique(context * self.vocab_size + tokens[middle], return_counts=True)
        context, token = np.divmod(pairs, self.vocab_size)
        # The first of each context in this order is its most frequent token.
        ranked = np.lexsort((token, -counts, context))
        first = np.searchsorted(context, np.arange(len(keys)))
        return Table(keys, token[ranked][first])

    def _keys(self, neighbours: list[Ids], length: int) -> Ids:
        keys = np.zeros(length, np.int64)
        for ids in neighbours:
            keys = keys * self.vocab_size + ids
        return keys

    def predict(self, windows_BT: npt.NDArray[Any], asked_BT: Flags, padding_BT: Flags | None = None) -> Ids:
        """The told token of each asked place, in the order of `windows[asked]`.

        Ids outside the vocabulary (a mask), pads, and what lies beyond a window are unknown neighbours.
        """
        windows = np.asarray(windows_BT, np.int64)
        known = (windows >= 0) & (windows < self.vocab_size)
        if padding_BT is not None:
            known &= ~padding_BT
        framed = np.pad(np.where(known, windows, UNKNOWN), ((0, 0), (self.left, self.right)), constant_values=UNKNOWN)
        row, column = np.nonzero(asked_BT)
        told = np.full(len(row), UNKNOWN, np.int64)
        open_places = np.arange(len(row))
        for order, table in zip(self.orders, self.tables, strict=True):
            at = row[open_places], column[open_places] + self.left
            neighbours = [framed[at[0], at[1] + place] for place in order]
            whole = np.ones(len(open_places), bool)
            for ids in neighbours:
                whole &= ids != UNKNOWN
            keys = self._keys(neighbours, len(open_places))
            where = np.minimum(np.searchsorted(table.keys, keys), len(table.keys) - 1)
            found = whole & (table.keys[where] == keys)
            told[open_places[found]] = table.best[where[found]]
            open_places = open_places[~found]
            if not len(open_places):
                break
        return told
