"""A task from sequence to sequence, made and never read: a row of random symbols, and the same row backwards."""

from __future__ import annotations

import hashlib
import math
import re
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from oneblock.config.config import Config
from oneblock.config.decoder import Decoder
from oneblock.config.encoder_decoder import EncoderDecoder
from oneblock.config.errors import OneblockError

PAD, START, END, FIRST = 0, 1, 2, 3
"""Ids: padding, what a target begins after, what it ends with, the first symbol."""
VERSION = 1
TRAIN, SELECT, JUDGE = 0, 1, 2
"""Rows to learn from (drawn anew for each seed and step), to choose learning rates by, and to judge."""


class Pairs(NamedTuple):
    """Rows as numbers, padded on the right: lengths B, sources B × S, inputs and targets B × T, where a target is."""

    lengths: npt.NDArray[np.int64]
    sources: npt.NDArray[np.int64]
    inputs: npt.NDArray[np.int64]
    targets: npt.NDArray[np.int64]
    valid: npt.NDArray[np.bool_]


@dataclass(frozen=True, kw_only=True)
class Reversal:
    """Rows of `longest`/3 up to `longest` symbols, every length and symbol as likely as any other."""

    longest: int
    symbols: int = 16

    @property
    def shortest(self) -> int:
        """The fewest symbols of a row."""
        return max(self.longest // 3, 1)

    @property
    def vocab_size(self) -> int:
        """Symbols, and the three ids that are none."""
        return FIRST + self.symbols

    @property
    def words(self) -> str:
        """What it is, for a report."""
        return f"{self.shortest} to {self.longest} of {self.symbols} random symbols, to be written backwards"

    @property
    def sha256(self) -> str:
        """Of all that its rows depend on."""
        return hashlib.sha256(f"reversal {VERSION} {self.shortest} {self.longest} {self.symbols}".encode()).hexdigest()

    @property
    def blind_loss(self) -> float:
        """What a target costs at the least unseen its source: (H(length) + E[length] · ln symbols) / E[length + 1].

        In nats per target token, the end being one of them.
        """
        lengths = range(self.shortest, self.longest + 1)
        mean = sum(lengths) / len(lengths)
        return (math.log(len(lengths)) + mean * math.log(self.symbols)) / (mean + 1)

    def pairs(self, split: int, seed: int, step: int, count: int) -> Pairs:
        """So many pairs, a function of the arguments alone. A bit generator's raw numbers are the same for ever."""
        raw = np.random.PCG64([split, seed, step]).random_raw(count * (self.longest + 1)).reshape(count, -1)
        lengths = (self.shortest + raw[:, 0] % np.uint64(self.longest - self.shortest + 1)).astype(np.int64)
        symbols = (FIRST + raw[:, 1:] % np.uint64(self.symbols)).astype(np.int64)
        places = np.arange(self.longest + 1)
        length = lengths[:, None]
        sources = np.where(places[:-1] < length, symbols, PAD)
        backwards = np.take_along_axis(symbols, np.clip(length - 1 - places, 0, None), axis=1)
        targets = np.where(places < length, backwards, np.where(places == length, END, PAD))
        inputs = np.concatenate([np.full((count, 1), START), targets[:, :-1]], axis=1)
        valid = places <= length
        return Pairs(lengths, sources, np.where(valid, inputs, PAD), targets, valid)

    def fitted(self, config: Config) -> Config:
        """A model of its vocabulary that has room for its rows: OneblockError for one that is of another kind."""
        model: Any = config.model
        ids, room = self.vocab_size, self.longest + 1
        if isinstance(model, EncoderDecoder):
            encoder, decoder = replace(model.encoder, context=self.longest), replace(model.decoder, context=room)
            model = replace(model, source_vocab=ids, target_vocab=ids, encoder=encoder, decoder=decoder)
        elif isinstance(model, Decoder):
            model = replace(model, vocab_size=ids, context=self.longest + room)
        else:
            raise OneblockError(f"{config.name}: a {type(model).__name__}; sequences are for what writes a target")
        return replace(config, model=model)


def as_rows(pairs: Pairs) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """What a decoder reads: source, start and target without gaps, B × (S + T); and where the targets' answers are.

    The answer to target t of a row with n source symbols is at place n + t, B × T.
    """
    count, width = pairs.sources.shape
    rows = np.full((count, width + pairs.inputs.shape[1]), PAD)
    rows[:, :width] = pairs.sources
    places = pairs.lengths[:, None] + np.arange(pairs.inputs.shape[1])
    np.put_along_axis(rows, places, pairs.inputs, axis=1)
    return rows, places


def named(data: str) -> Reversal | None:
    """The task that `recipe.data` names: `reversal-12` has rows of up to 12; None for anything else."""
    found = re.fullmatch(r"reversal-(\d+)", data)
    return Reversal(longest=int(found[1])) if found and int(found[1]) > 1 else None
