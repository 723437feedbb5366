import json
import subprocess
import sys
from itertools import chain

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from oneblock.data.errors import DataError
from oneblock.data.tokenizer import (
    ByteTokenizer,
    CharTokenizer,
    parse_spec,
    tokenizer_from_dict,
    train_tokenizer,
)

SAMPLE = "the naïve café — 東京 🎈 said: the end, the end.\n" * 7
BPE = train_tokenizer("bpe:283", SAMPLE)
ANY_TEXT = [ByteTokenizer(), BPE]
ALL = [CharTokenizer(SAMPLE), *ANY_TEXT]
KINDS = pytest.mark.parametrize("tokenizer", ALL, ids=lambda tokenizer: tokenizer.kind)


@pytest.mark.parametrize("tokenizer", ANY_TEXT, ids=lambda tokenizer: tokenizer.kind)
@given(text=st.text())
def test_any_text_makes_the_round_trip(tokenizer, text):
    ids = tokenizer.encode(text)
    assert ids.dtype == np.int64 and ids.ndim == 1
    assert not len(ids) or 0 <= ids.min() <= ids.max() < tokenizer.vocab_size
    assert tokenizer.decode(ids) == text


@given(text=st.text())
def test_characters_make_the_round_trip_over_their_own_alphabet(text):
    tokenizer = train_tokenizer("chars", text)
    ids = tokenizer.encode(text)
    assert tokenizer.vocab_size == len(set(text))
    assert ids.tolist() == [sorted(set(text)).index(character) for character in text]
    assert tokenizer.decode(ids) == text


@given(text=st.text())
def test_bytes_are_the_utf8_bytes(text):
    assert ByteTokenizer().encode(text).tolist() == list(text.encode())


@KINDS
def test_the_empty_text_has_no_tokens(tokenizer):
    assert tokenizer.encode("").shape == (0,)
    assert tokenizer.decode([]) == ""


@KINDS
@given(st.data())
def test_stream_says_what_decode_says_and_never_half_a_character(tokenizer, data):
    ids = tokenizer.encode(data.draw(st.text(alphabet=sorted(set(SAMPLE)))))
    stream = tokenizer.stream()
    said = [stream.push(token) for token in ids]
    assert "\ufffd" not in "".join(said)
    # Split anywhere, what was said so far is the longest whole text of the bytes so far.
    at = data.draw(st.integers(0, len(ids)))
    so_far = b"".join(tokenizer.token_bytes(token) for token in ids[:at])
    assert "".join(said[:at]) == so_far.decode("utf-8", errors="ignore")
    assert "".join(said) + stream.flush() == tokenizer.decode(ids)


@given(st.lists(st.integers(0, 255)))
def test_stream_equals_decode_for_bytes_that_are_no_text(ids):
    stream = ByteTokenizer().stream()
    assert "".join(map(stream.push, ids)) + stream.flush() == ByteTokenizer().decode(ids)


def test_a_cut_character_waits_and_is_flushed_as_a_replacement():
    stream = ByteTokenizer().stream()
    assert [stream.push(byte) for byte in "🎈".encode()] == ["", "", "", "🎈"]
    assert stream.push(0xF0) == "" and stream.flush() == "\ufffd" and stream.flush() == ""


@KINDS
def test_description_is_json_and_gives_an_equal_tokenizer(tokenizer):
    again = tokenizer_from_dict(json.loads(json.dumps(tokenizer.to_dict())))
    assert again == tokenizer and again.fingerprint == tokenizer.fingerprint
    assert again.kind == tokenizer.kind and again.vocab_size == tokenizer.vocab_size
    assert again.encode(SAMPLE).tolist() == tokenizer.encode(SAMPLE).tolist()


def test_different_tokenizers_differ():
    assert len({tokenizer.fingerprint for tokenizer in [*ALL, CharTokenizer("ab"), CharTokenizer("abc")]}) == 5
    assert CharTokenizer("ab") != CharTokenizer("abc")


@pytest.mark.parametrize(
    "description",
    [
        {},
        {"kind": "words"},
        {"kind": "chars"},
        {"kind": "chars", "alphabet": 7},
        {"kind": "bpe", "tokens": ["a"], "merges": []},
        {"kind": "bpe", "tokens": [*BPE.to_dict()["tokens"], "a"], "merges": []},
        {"kind": "bpe", "tokens": BPE.to_dict()["tokens"], "merges": [["Q", "Q"]]},
        {"kind": "bpe", "tokens": BPE.to_dict()["tokens"], "merges": [["Q"]]},
        {"kind": "bpe", "tokens": [*BPE.to_dict()["tokens"], "\u4e00"], "merges": []},
    ],
)
def test_a_damaged_description_is_refused(description):
    with pytest.raises(DataError, match=r"damaged|unknown kind"):
        tokenizer_from_dict(description)


def test_bpe_tokens_are_the_library_s_own():
    from tokenizers import Tokenizer, models, pre_tokenizers

    description = BPE.to_dict()
    vocabulary = {token: position for position, token in enumerate(description["tokens"])}
    library = Tokenizer(models.BPE(vocab=vocabulary, merges=[tuple(pair) for pair in description["merges"]]))
    library.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    assert BPE.encode(SAMPLE).tolist() == library.encode(SAMPLE).ids
    assert len(BPE.encode(SAMPLE)) < len(SAMPLE.encode()) / 2


@given(words=st.lists(st.text(alphabet="thend.'s,\t\u00a0é", min_size=1, max_size=3).map(lambda w: w + "e")))
@example(words=["the", "end,", "\t\te", "the", "end"])
def test_bpe_in_pieces_is_bpe_of_the_whole(words):
    # Every five characters hold a place to cut, so no cut falls anywhere else.
    text = " ".join(words) + "\n\n" + "\n".join(words)
    whole = BPE.encode(text).tolist()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("oneblock.data.pieces.PIECE", 6)
        parts = [ids.tolist() for ids in BPE.encode_pieces(text)]
    assert len(parts) >= len(text) // 12
    assert list(chain(*parts)) == whole


def test_bpe_training_is_the_same_in_another_process():
    program = (
        "import sys; sys.stdout.reconfigure(encoding='utf-8'); sys.stdin.reconfigure(encoding='utf-8');"
        "from oneblock.data.tokenizer import train_tokenizer;"
        "print(train_tokenizer('bpe:283', sys.stdin.read()).fingerprint)"
    )
    done = subprocess.run([sys.executable, "-c", program], input=SAMPLE.encode(), capture_output=True, check=True)
    assert done.stdout.decode().strip() == BPE.fingerprint


def test_bpe_size_is_what_the_text_has_to_give():
    assert BPE.vocab_size == 283
    assert train_tokenizer("bpe:5000", "ab ab").vocab_size < 270


def test_unknown_characters_are_named():
    with pytest.raises(DataError) as caught:
        CharTokenizer("abc\n").encode("abcé—" * 3 + "🎈")
    message = str(caught.value)
    assert "'é' (U+00E9), '—' (U+2014), '🎈' (U+1F388)" in message
    assert "chars tokenizer" in message and "4 characters" in message and "bytes" in message


def test_only_a_few_of_many_unknown_characters_are_named():
    with pytest.raises(DataError, match=r"U\+0045.* and 2 more\."):
        CharTokenizer("abc").encode("ABCDEFG")


def test_a_hole_inside_the_alphabet_is_unknown_too():
    with pytest.raises(DataError, match=r"U\+0062"):
        CharTokenizer("ac").encode("abc")


@KINDS
def test_half_a_surrogate_pair_is_refused(tokenizer):
    with pytest.raises(DataError, match=r"U\+DC80"):
        tokenizer.encode("a\udc80")


@KINDS
@pytest.mark.parametrize("past", [0, 1000, None])
def test_an_id_outside_is_refused(tokenizer, past):
    token = -1 if past is None else tokenizer.vocab_size + past
    with pytest.raises(DataError, match=f"token id {token} "):
        tokenizer.decode([token])
    with pytest.raises(DataError, match=f"token id {token} "):
        tokenizer.stream().push(token)


@pytest.mark.parametrize("spec", ["", "char", "chars:7", "bytes:", "bpe", "bpe:", "bpe:x", "bpe:256", "bpe:-3"])
def test_a_bad_spec_lists_the_options(spec):
    with pytest.raises(DataError, match=r"chars, bytes, or bpe:N.*257"):
        parse_spec(spec)


def test_only_bpe_loads_the_library():
    program = (
        "import sys; import oneblock.data.corpus; from oneblock.data.tokenizer import train_tokenizer;"
        "[train_tokenizer(s, 'abc').encode('abc') for s in ('chars', 'bytes')];"
        "sys.exit('tokenizers' in sys.modules or 'torch' in sys.modules)"
    )
    subprocess.run([sys.executable, "-c", program], check=True)
