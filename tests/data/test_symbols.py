import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from oneblock.data.errors import DataError
from oneblock.data.symbols import END, PAD, SPECIALS, START, SymbolTokenizer
from oneblock.data.tokenizer import tokenizer_from_dict

PHONEMES = SymbolTokenizer("words", ["AH0", "K", "T", "AE1"])
LETTERS = SymbolTokenizer("characters", "tac é")


def test_ids_follow_the_specials_in_the_order_of_the_code_points():
    assert (PAD, START, END, SPECIALS) == (0, 1, 2, 3)
    assert PHONEMES.alphabet == ["AE1", "AH0", "K", "T"] and PHONEMES.vocab_size == 7
    assert PHONEMES.encode("K AE1  T").tolist() == [5, 3, 6]
    assert LETTERS.encode("cat é").tolist() == [5, 4, 6, 3, 7]
    assert PHONEMES.encode("K").dtype == np.int64 and PHONEMES.encode("").shape == (0,)


@given(st.lists(st.sampled_from("tac é")))
def test_characters_make_the_round_trip(symbols):
    text = "".join(symbols)
    assert LETTERS.decode(LETTERS.encode(text)) == text


@given(st.lists(st.sampled_from(["AH0", "K", "T", "AE1"])))
def test_words_make_the_round_trip(symbols):
    ids = PHONEMES.encode(" ".join(symbols))
    assert PHONEMES.told(ids) == symbols and PHONEMES.decode(ids) == " ".join(symbols)
    assert b"".join(map(PHONEMES.token_bytes, ids)).decode().rstrip() == PHONEMES.decode(ids)


def test_decoding_stops_at_the_first_end_and_leaves_pads_and_starts_out():
    assert PHONEMES.told([START, 5, PAD, 3, END, 6, END]) == ["K", "AE1"]
    assert PHONEMES.decode([END]) == "" == PHONEMES.decode([])


def test_a_description_gives_an_equal_tokenizer():
    for tokenizer in (PHONEMES, LETTERS):
        assert tokenizer_from_dict(json.loads(json.dumps(tokenizer.to_dict()))) == tokenizer
    assert PHONEMES != LETTERS


@pytest.mark.parametrize(
    "description",
    [
        {"kind": "symbols", "alphabet": ["a"]},
        {"kind": "symbols", "unit": "letters", "alphabet": ["a"]},
        {"kind": "symbols", "unit": "words", "alphabet": ["a b"]},
        {"kind": "symbols", "unit": "words", "alphabet": [""]},
        {"kind": "symbols", "unit": "characters", "alphabet": ["ab"]},
        {"kind": "symbols", "unit": "characters", "alphabet": 7},
    ],
)
def test_a_damaged_description_is_refused(description):
    with pytest.raises(DataError, match=r"damaged|unit="):
        tokenizer_from_dict(description)


def test_unknown_symbols_and_ids_are_named():
    with pytest.raises(DataError, match=r"unknown words: 'B', 'Z'\. .* the 4 words .* AE1 AH0 K T$"):
        PHONEMES.encode("K Z B")
    with pytest.raises(DataError, match=r"unknown characters: 'B'"):
        LETTERS.encode("catB")
    for ids in ([7], [-1]):
        with pytest.raises(DataError, match=f"token id {ids[0]} is not one of 0…6"):
            PHONEMES.decode(ids)
