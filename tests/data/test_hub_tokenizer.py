import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from small_tokenizers import CHAT, SAMPLE, byte_level, sentencepiece, word_pieces

from oneblock.data.errors import DataError
from oneblock.data.hub_tokenizer import HubTokenizer, check_vocabulary
from oneblock.data.tokenizer import ByteTokenizer, tokenizer_from_dict


def hub(backend, **rest):
    return HubTokenizer(json.loads(backend.to_str()), **rest)


BYTES, PIECES, WORDS = hub(byte_level()), hub(sentencepiece()), hub(word_pieces())
ALL = pytest.mark.parametrize("tokenizer", [BYTES, PIECES, WORDS], ids=["byte-level", "sentencepiece", "wordpiece"])
TEXTS = st.text(alphabet=sorted({*SAMPLE, "é", "🎈", "京", "x"}))


@given(text=st.text())
def test_any_text_makes_the_round_trip_byte_by_byte(text):
    ids = BYTES.encode(text)
    assert ids.dtype == np.int64 and ids.ndim == 1
    assert BYTES.decode(ids) == text
    assert b"".join(BYTES.token_bytes(int(token)) for token in ids) == text.encode()


@ALL
@given(st.data())
def test_stream_says_what_decode_says_and_never_half_a_character(tokenizer, data):
    ids = tokenizer.encode(data.draw(TEXTS)).tolist()
    stream = tokenizer.stream()
    said = [stream.push(token) for token in ids]
    assert "\ufffd" not in "".join(said)
    assert "".join(said) + stream.flush() == tokenizer.decode(ids)


@ALL
@given(data=st.data())
def test_stream_goes_on_behind_a_prompt(tokenizer, data):
    ids = tokenizer.encode("the end" + data.draw(TEXTS)).tolist()
    cut = len(tokenizer.encode("the end"))
    stream = tokenizer.stream(after=ids[:cut])
    said = "".join(map(stream.push, ids[cut:])) + stream.flush()
    assert tokenizer.decode(ids[:cut]) + said == tokenizer.decode(ids)


@given(st.lists(st.integers(0, BYTES.vocab_size - 1)))
def test_stream_equals_decode_for_ids_that_are_no_text(ids):
    stream = BYTES.stream()
    assert "".join(map(stream.push, ids)) + stream.flush() == BYTES.decode(ids)


def test_a_cut_character_waits():
    balloon = [3 + byte for byte in "🎈".encode()]
    stream = PIECES.stream()
    assert [stream.push(token) for token in balloon] == ["", "", "", "🎈"]
    assert stream.push(balloon[0]) == "" and stream.flush() == "\ufffd" and stream.flush() == ""


def test_what_was_told_is_not_told_again_where_bytes_behind_it_are_no_character():
    balloon, stream = [3 + byte for byte in "🎈".encode()], PIECES.stream()
    the = PIECES.encode("the").tolist()
    assert "".join(map(stream.push, [*balloon, balloon[0], *the])) == "🎈\ufffd the"


def test_sentencepiece_keeps_the_blank_in_front_of_the_next_word():
    the, end = PIECES.encode("the end").tolist()[:1], PIECES.encode("the end").tolist()[1:]
    assert PIECES.decode(the) == "the" and "".join(map(PIECES.stream(after=the).push, end)) == " end"
    assert PIECES.token_bytes(end[0]).startswith(b" ")
    assert PIECES.token_bytes(3 + 0x41) == b"A"


def test_specials_are_added_only_where_asked_for():
    plain = PIECES.encode("the end").tolist()
    assert 1 not in plain and PIECES.encode_with_specials("the end").tolist() == [1, *plain]
    plain = WORDS.encode("the end").tolist()
    assert WORDS.encode_with_specials("the end").tolist() == [2, *plain, 3]
    assert BYTES.encode_with_specials("the").tolist() == BYTES.encode("the").tolist()


def test_specials_in_a_text_are_one_id_each_and_are_told_again():
    ids = BYTES.encode("<|start|>the<|end|>").tolist()
    assert ids[0] == 1 and ids[-1] == 2
    assert BYTES.decode(ids) == "<|start|>the<|end|>" and BYTES.token_bytes(2) == b"<|end|>"


def test_a_text_is_neither_cut_nor_filled_up():
    assert len(WORDS.encode_with_specials("the end the end the end the end the end")) == 12
    assert len(WORDS.encode_with_specials("the")) == 3


def test_the_vocabulary_reaches_to_the_last_id():
    backend = byte_level()
    content = json.loads(backend.to_str())
    flags = dict.fromkeys(("single_word", "lstrip", "rstrip", "normalized"), False)
    content["added_tokens"].append({"id": 300, "content": "<new>", "special": True, **flags})
    assert HubTokenizer(content).vocab_size == 301
    assert BYTES.vocab_size == 300 == backend.get_vocab_size()


@ALL
def test_the_description_makes_an_equal_tokenizer(tokenizer):
    ended = HubTokenizer(tokenizer.to_dict()["backend"], ends=[2, 3, 2], special={"eos_token": "x"}, chat_template="t")
    again = tokenizer_from_dict(json.loads(json.dumps(ended.to_dict())))
    assert again == ended != tokenizer and again.fingerprint == ended.fingerprint
    assert again.ends == (2, 3) and again.special == {"eos_token": "x"} and again.chat_template == "t"
    assert again.encode(SAMPLE).tolist() == tokenizer.encode(SAMPLE).tolist()


def test_a_text_may_be_stored_in_parts():
    assert [part.tolist() for part in BYTES.encode_pieces("the end", 4)] == [BYTES.encode("end").tolist()]


def test_chat():
    chatting = HubTokenizer(BYTES.to_dict()["backend"], chat_template=CHAT)
    text = chatting.chat([{"role": "user", "content": "Who?"}])
    assert text == "<|start|>system\nBe kind.<|end|>\n<|start|>user\nWho?<|end|>\n<|start|>assistant\n"
    for plain in (BYTES, ByteTokenizer()):
        with pytest.raises(DataError, match="no chat template"):
            plain.chat([{"role": "user", "content": "Who?"}])


@pytest.mark.parametrize(
    "damage", [{}, {"model": {"type": "BPE"}}, {"model": {"type": "BPE", "vocab": {"a": 0}, "merges": ["a b"]}}]
)
def test_a_damaged_description(damage):
    with pytest.raises(DataError, match="damaged"):
        HubTokenizer(damage)


def test_ids_and_texts_that_are_none():
    with pytest.raises(DataError, match="300 is not one of 0…299"):
        BYTES.token_bytes(300)
    with pytest.raises(DataError, match="301 is not one"):
        HubTokenizer(BYTES.to_dict()["backend"], ends=[301])
    with pytest.raises(DataError, match="surrogate"):
        BYTES.encode("\ud800")


def test_the_tokenizer_of_another_model():
    check_vocabulary(BYTES, 300, "here")
    check_vocabulary(BYTES, 320, "here")
    with pytest.raises(DataError, match=r"in here is not this model's: it has 300 tokens, more than the model's 299"):
        check_vocabulary(BYTES, 299, "here")
    with pytest.raises(DataError, match="far fewer than the model's 500"):
        check_vocabulary(BYTES, 500, "here")
