"""Rows backwards: what is drawn, what it costs not to see it, and how a decoder reads it."""

import math
from collections import Counter

import numpy as np
import pytest

from oneblock.compare.experiments.encoder_decoder import ALONE, EXPERIMENT, WITH_ENCODER
from oneblock.compare.reversal import END, FIRST, PAD, START, TRAIN, Reversal, as_rows, named
from oneblock.config.errors import OneblockError
from oneblock.config.presets import preset

TASK = Reversal(longest=7, symbols=5)


def rows(pairs):
    """(source, inputs, targets) of each pair without its padding, as lists."""
    for n, source, given, target, valid in zip(*pairs, strict=True):
        assert (source[n:] == PAD).all() and (source[:n] >= FIRST).all() and (target[~valid] == PAD).all()
        yield list(source[:n]), list(given[valid]), list(target[valid])


def test_a_target_is_its_source_backwards_and_an_end():
    for source, given, target in rows(TASK.pairs(TRAIN, 3, 11, 101)):
        assert target == [*source[::-1], END] and given == [START, *target[:-1]]


def test_lengths_and_symbols_are_drawn_evenly():
    pairs = TASK.pairs(TRAIN, 0, 0, 20_000)
    lengths = Counter(pairs.lengths.tolist())
    assert sorted(lengths) == [2, 3, 4, 5, 6, 7]
    assert all(abs(count / 20_000 - 1 / 6) < 0.02 for count in lengths.values())
    symbols = Counter(pairs.sources[pairs.sources != PAD].tolist())
    total = sum(symbols.values())
    assert sorted(symbols) == list(range(FIRST, FIRST + 5)) and TASK.vocab_size == FIRST + 5
    assert all(abs(count / total - 1 / 5) < 0.01 for count in symbols.values())


def test_pairs_are_a_function_of_split_seed_and_step():
    one = TASK.pairs(TRAIN, 3, 11, 13)
    assert all(np.array_equal(a, b) for a, b in zip(one, TASK.pairs(TRAIN, 3, 11, 13), strict=True))
    for other in ((1, 3, 11), (TRAIN, 4, 11), (TRAIN, 3, 12)):
        assert not np.array_equal(one.sources, TASK.pairs(*other, 13).sources)
    # Cells are found again by the task's hash, so its rows must never change.
    assert one.sources[0].tolist() == [3, 6, 6, 3, 6, 3, 0]
    others = (Reversal(longest=8, symbols=5), Reversal(longest=7, symbols=6))
    assert len({TASK.sha256, *(other.sha256 for other in others)}) == 3


def test_what_it_costs_not_to_see_the_source():
    def best(task):
        """The entropy of a target, and the tokens told by the best guess, place by place."""
        nats = told = 0.0
        lengths = range(task.shortest, task.longest + 1)
        for place in range(task.longest + 1):
            here = [n for n in lengths if n >= place]
            end = sum(n == place for n in here) / len(here)
            share = len(here) / len(lengths)
            of_end = -end * math.log(end) if end else 0.0
            of_symbols = -(1 - end) * math.log((1 - end) / task.symbols) if end < 1 else 0.0
            nats += share * (of_end + of_symbols)
            told += share * max(end, (1 - end) / task.symbols)
        tokens = sum(lengths) / len(lengths) + 1
        return nats / tokens, told / tokens

    assert TASK.blind_loss == pytest.approx(best(TASK)[0], rel=1e-12)
    blind = {comparison.measure: comparison.bound for comparison in EXPERIMENT.rule[2:]}
    for budget in EXPERIMENT.budgets.values():
        (data,) = [setting.partition("=")[2] for setting in budget.settings if "data" in setting]
        loss, told = best(named(data))
        assert loss > 1.03 * blind["val_loss"] and told < 0.8 * blind["told"]
    assert f"{best(named('reversal-12'))[0]:.2f}" == "2.71" and f"{best(named('reversal-12'))[1]:.2f}" == "0.14"


def test_a_decoder_reads_both_as_one_row_without_gaps():
    pairs = TASK.pairs(TRAIN, 1, 2, 17)
    whole, places = as_rows(pairs)
    assert whole.shape == (17, 7 + 8)
    for index, (source, given, _) in enumerate(rows(pairs)):
        row = [*source, *given]
        assert whole[index].tolist() == [*row, *[PAD] * (15 - len(row))]
        assert places[index, : len(given)].tolist() == list(range(len(source), len(row)))


def test_models_get_room_for_the_rows_and_no_more():
    encoder_decoder, alone = (TASK.fitted(config).model for config in (WITH_ENCODER, ALONE))
    assert (encoder_decoder.encoder.context, encoder_decoder.decoder.context, alone.context) == (7, 8, 15)
    assert encoder_decoder.source_vocab == encoder_decoder.target_vocab == alone.vocab_size == 8
    with pytest.raises(OneblockError, match="an? Encoder; sequences are for what writes a target"):
        TASK.fitted(preset("encoder-nano"))


def test_the_name_of_a_task():
    assert named("reversal-12") == Reversal(longest=12)
    assert [named(text) for text in ("reversal", "reversal-1", "reversal-x", "tinyshakespeare", "")] == [None] * 5
