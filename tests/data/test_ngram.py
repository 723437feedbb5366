import os
import time
from collections import Counter, defaultdict
from itertools import combinations
from pathlib import Path

import numpy as np
import pytest

from oneblock.data.masking import evaluation_masked
from oneblock.data.ngram import TwoSided
from oneblock.data.package import sha256_of
from oneblock.data.shakespeare import SHA256
from oneblock.data.tokenizer import CharTokenizer

VOCAB = 5


def slow_tables(tokens, left, right):
    """Counts as dictionaries: neighbours' places -> their tokens -> how often each token stood between them."""
    places = [*range(-left, 0), *range(1, right + 1)]
    tables = {}
    for size in range(len(places) + 1):
        for some in combinations(places, size):
            table = tables[some] = defaultdict(Counter)
            for middle in range(left, len(tokens) - right):
                table[tuple(tokens[middle + place] for place in some)][tokens[middle]] += 1
    return tables


def slow_answer(tables, neighbours):
    """The told token, given the known neighbours as place -> token."""
    known = [some for some in tables if set(some) <= set(neighbours)]
    for some in sorted(known, key=lambda some: (-len(some), sum(map(abs, some)), sum(some))):
        counts = tables[some].get(tuple(neighbours[place] for place in some))
        if counts:
            return min(counts, key=lambda token: (-counts[token], token))
    raise AssertionError("without neighbours there is always an answer")


@pytest.mark.parametrize(("left", "right"), [(2, 2), (1, 3), (0, 2), (1, 1)])
def test_the_fast_one_is_the_slow_one(left, right):
    rng = np.random.default_rng(left + 10 * right)
    # Skewed, so that contexts differ in how often they were seen, and some are never.
    tokens = np.minimum(rng.geometric(0.4, 307) - 1, VOCAB - 1)
    windows = np.minimum(rng.geometric(0.3, (13, 11)) - 1, VOCAB - 1)
    asked = rng.random(windows.shape) < 0.4
    windows[rng.random(windows.shape) < 0.2] = VOCAB  # masked
    padding = np.zeros_like(asked)
    padding[4, 6:] = True
    asked &= ~padding
    told = TwoSided(tokens, VOCAB, left=left, right=right).predict(windows, asked, padding)
    tables = slow_tables(tokens.tolist(), left, right)
    expected = []
    for row, column in zip(*np.nonzero(asked), strict=True):
        neighbours = {}
        for place in [*range(-left, 0), *range(1, right + 1)]:
            at = column + place
            if 0 <= at < 11 and not padding[row, at] and windows[row, at] < VOCAB:
                neighbours[place] = int(windows[row, at])
        expected.append(slow_answer(tables, neighbours))
    assert told.tolist() == expected and len(expected) > 30


def test_a_text_that_repeats_is_told_without_error():
    tokens = np.tile(np.arange(7), 30)
    table = TwoSided(tokens, 7)
    windows = np.tile(np.arange(7), 3)[None, :]
    asked = np.ones_like(windows, bool)
    assert table.predict(windows, asked).tolist() == windows[0].tolist()
    hidden = windows.copy()
    hidden[0, 4:8] = 7
    assert table.predict(hidden, asked).tolist()[4] == 4


def test_it_never_looks_at_the_asked_place():
    tokens = np.random.default_rng(0).integers(0, VOCAB, 500)
    table, windows = TwoSided(tokens, VOCAB), np.random.default_rng(1).integers(0, VOCAB, (1, 9))
    asked = np.zeros((1, 9), bool)
    asked[0, 4] = True
    told = {int(table.predict(np.where(asked, token, windows), asked)[0]) for token in (*range(VOCAB), VOCAB)}
    assert len(told) == 1


def test_ties_go_to_the_smaller_id_and_unknown_contexts_back_off():
    table = TwoSided(np.array([0, 3, 1, 0, 2, 1, 4, 4, 4, 4]), 5, left=1, right=1)
    window = np.array([[0, 5, 1]])
    asked = np.array([[False, True, False]])
    assert table.predict(window, asked).tolist() == [2]
    # 2 … 0 was never seen; after 2 comes 1.
    assert table.predict(np.array([[2, 5, 0]]), asked).tolist() == [1]
    # Nothing is known: the most frequent token between two others.
    assert table.predict(np.array([[5, 5, 5]]), asked).tolist() == [4]


def test_what_cannot_be_counted_is_refused():
    with pytest.raises(ValueError, match="4 tokens are too few"):
        TwoSided(np.arange(4), 5)
    with pytest.raises(ValueError, match="vocab_size=60000 with 4 neighbours"):
        TwoSided(np.arange(9), 60_000)
    for tokens in (np.arange(9), np.arange(-1, 8)):
        with pytest.raises(ValueError, match=r"must be ids below vocab_size=8"):
            TwoSided(tokens, 8)


def test_a_million_characters_take_seconds_and_most_hidden_ones_are_told():
    path = Path(os.environ.get("ONEBLOCK_DATA", ""), "tinyshakespeare.txt")
    if not path.is_file() or sha256_of(path.read_bytes()) != SHA256:
        pytest.skip("ONEBLOCK_DATA names no folder with tinyshakespeare.txt")
    text = path.read_text()
    tokenizer = CharTokenizer(text)
    tokens = tokenizer.encode(text)
    split = int(0.9 * len(tokens))
    began = time.process_time()
    table, right, asked = TwoSided(tokens[:split], 65), 0, 0
    for batch, padding in evaluation_masked(tokens[split:], 256, 64, vocab_size=65, mask_id=65):
        right += int((table.predict(batch.inputs, batch.hidden, padding) == batch.targets[batch.hidden]).sum())
        asked += int(batch.hidden.sum())
    assert time.process_time() - began < 30
    # The bar for an encoder: the last tenth told from the first nine, the neighbours as it sees them.
    assert right / asked == pytest.approx(0.6568, abs=0.0002)
