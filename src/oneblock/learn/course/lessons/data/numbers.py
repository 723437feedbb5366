"""Numbers of the lesson `data`: tokenizers, merges by hand, windows, shifts, packing, epochs."""

from __future__ import annotations

from collections import Counter
from functools import cache
from itertools import pairwise
from typing import Any

SHORT = "the belt"
ACCENTS = "naïve €"
WORDS = {"belt": 5, "belts": 2, "melt": 4, "slip": 3, "slips": 2}
MERGES = 7
NEW_WORDS = ("smelts", "pelt", "slips")

CHARACTERS = 1_115_394
CONTEXT, BATCH = 256, 16
WIDTH = 256

LENGTHS = (3, 9, 5, 7)
ROW = 12

PARAGRAPH = (
    "A parcel rides on the belt. At each station a copy is lifted off and set to a standard size, and a worker at a "
    "bench writes a slip. The slip is added to the parcel; the parcel itself never leaves the belt. At the first bench "
    "the worker may read the parcels that came before, at the second bench only this one. A station has two benches, "
    "and a belt has many stations. What the last station leaves on the belt is read by the head, which says how likely "
    "each token is to come next. Then the belt starts again with one parcel more. "
)


# Characters and bytes


def characters(text: str = SHORT) -> list[int]:
    """This package's ids of a text's characters; its alphabet is sorted."""
    from oneblock.data.tokenizer import CharTokenizer

    return [int(i) for i in CharTokenizer(text).encode(text)]


def alphabet(text: str = SHORT) -> list[str]:
    """The different characters in the order of their ids."""
    return sorted(set(text))


def bytes_of(text: str = ACCENTS) -> list[int]:
    """The text as UTF-8: one number from 0 to 255 for each byte."""
    return list(text.encode())


def decoded(ids: Any) -> str:
    """Bytes back to a text; what is no UTF-8 becomes a mark."""
    return bytes(ids).decode(errors="replace")


# Byte-pair encoding


def pairs(words: Any) -> Counter[tuple[str, str]]:
    """How often each pair of neighbours stands in the words, each word as often as it comes."""
    found: Counter[tuple[str, str]] = Counter()
    for parts, count in words.items():
        for pair in pairwise(parts):
            found[pair] += count
    return found


def joined(parts: tuple[str, ...], pair: tuple[str, str]) -> tuple[str, ...]:
    """The parts with every place of the pair made one, from the left."""
    done: list[str] = []
    for part in parts:
        if done and (done[-1], part) == pair:
            done[-1] += part
        else:
            done.append(part)
    return tuple(done)


def merges() -> list[tuple[str, str]]:
    """Find the most frequent pair, join it everywhere, again.

    Of pairs that are equally frequent the first in the alphabet.
    """
    words = {tuple(word): count for word, count in WORDS.items()}
    found = []
    for _ in range(MERGES):
        counted = pairs(words)
        pair = min(counted, key=lambda pair: (-counted[pair], pair))
        words = {joined(word, pair): words[word] for word in words}
        found.append(pair)
    return found


def rounds() -> list[dict[str, Any]]:
    """Each merge with its count, and what becomes of the words."""
    words = {tuple(word): count for word, count in WORDS.items()}
    rows = []
    for pair in merges():
        count = pairs(words)[pair]
        words = {joined(parts, pair): number for parts, number in words.items()}
        rows.append({"pair": pair, "count": count, "words": [" ".join(parts) for parts in words]})
    return rows


def encode(word: str) -> list[str]:
    """A word in tokens: the merges in their order, each wherever it fits."""
    parts = tuple(word)
    for pair in merges():
        parts = joined(parts, pair)
    return list(parts)


def library_merges() -> list[str]:
    """Those of this package's byte-level tokenizer."""
    from oneblock.data.bpe import BPETokenizer

    text = "\n".join(w for word, c in WORDS.items() for w in [word] * c)
    tokenizer = BPETokenizer.train(text, 256 + MERGES)
    return [" + ".join(pair) for pair in tokenizer.merges]


def tokens_of(words: Any = WORDS) -> int:
    """All words in tokens after the merges."""
    return sum(count * len(encode(word)) for word, count in words.items())


def letters_of(words: Any = WORDS) -> int:
    """All words in letters."""
    return sum(count * len(word) for word, count in words.items())


@cache
def vocabularies() -> list[dict[str, Any]]:
    """The paragraph under tokenizers of different size: tokens, characters for each, numbers in the table."""
    from oneblock.data.tokenizer import train_tokenizer

    rows = []
    for spec in ("chars", "bytes", "bpe:288", "bpe:320", "bpe:384"):
        tokenizer = train_tokenizer(spec, PARAGRAPH)
        count = len(tokenizer.encode(PARAGRAPH))
        rows.append(
            {
                "spec": spec,
                "vocabulary": tokenizer.vocab_size,
                "tokens": count,
                "each": len(PARAGRAPH) / count,
                "table": tokenizer.vocab_size * WIDTH,
            }
        )
    return rows


# Windows


def shifted(text: str = SHORT, context: int = 4) -> list[tuple[str, str]]:
    """What a window reads and what it must say: the same characters, one later."""
    return list(pairwise(text.replace(" ", "␣")[: context + 1]))


def starts(epoch: int) -> list[int]:
    """The places at which the windows of one epoch begin: 41 tokens, windows of 4, in the order of training."""
    import numpy as np

    from oneblock.data.batches import sample_batch, windows_per_epoch

    count = windows_per_epoch(41, 4)
    inputs = [
        sample_batch(np.arange(41), seed=0, step=epoch * count + step, batch_size=1, context=4)[0]
        for step in range(count)
    ]
    return [int(window[0, 0]) for window in inputs]


def train_characters() -> int:
    """TinyShakespeare's training split without its held-out end: 95 % of 90 %, rounded down each time."""
    return int(0.95 * int(0.9 * CHARACTERS))


def epoch_steps() -> float:
    """Steps in one epoch of 16 windows of 256."""
    from oneblock.data.batches import windows_per_epoch

    return windows_per_epoch(train_characters(), CONTEXT) / BATCH


def splits() -> dict[str, int]:
    """Characters of each split."""
    training = int(0.9 * CHARACTERS)
    return {
        "train": train_characters(),
        "selection": training - train_characters(),
        "validation": CHARACTERS - training,
    }


# Pads and packing


def padded_share() -> float:
    """The share of places that hold a token when texts are filled up to the longest."""
    return sum(LENGTHS) / (len(LENGTHS) * max(LENGTHS))


def packed_rows() -> list[list[int]]:
    """The texts put one after another into rows of 12, each text whole, the longest first."""
    rows: list[list[int]] = []
    for length in sorted(LENGTHS, reverse=True):
        row = next((row for row in rows if sum(row) + length <= ROW), None)
        if row is None:
            rows.append([length])
        else:
            row.append(length)
    return rows


def packed_share() -> float:
    """The share of places that hold a token then."""
    return sum(LENGTHS) / (len(packed_rows()) * ROW)


def packed_mask(row: tuple[int, ...] = (3, 4)) -> list[list[int]]:
    """Who may look at whom in a row of packed texts: not ahead, and not into another text."""
    text = [index for index, length in enumerate(row) for _ in range(length)]
    return [[int(k <= q and text[k] == text[q]) for k in range(len(text))] for q in range(len(text))]


def packed_positions(row: tuple[int, ...] = (3, 4)) -> list[int]:
    """Positions that begin anew with each text."""
    return [place for length in row for place in range(length)]


def figure_packed() -> str:
    """Two texts in one row, of three and of four tokens. The second one cannot see the first."""
    from oneblock.learn.course.figures import heat

    mask = [[cell if cell else None for cell in row] for row in packed_mask()]
    names = ["a1", "a2", "a3", "b1", "b2", "b3", "b4"]
    return heat("The mask of two packed texts", mask, digits=0, sides=names, heads=names, x="key", y="query")
