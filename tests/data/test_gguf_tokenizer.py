import json

import pytest
from small_tokenizers import CHAT, SAMPLE, byte_level

from oneblock.data.errors import DataError
from oneblock.data.gguf_tokenizer import gguf_tokenizer


def fields(pre="gpt-2", **more):
    model = json.loads(byte_level().to_str())["model"]
    tokens = sorted(model["vocab"], key=model["vocab"].get)
    own = {
        "model": "gpt2", "pre": pre, "tokens": tokens, "token_type": [3] * 3 + [1] * (len(tokens) - 3),
        "merges": [" ".join(merge) for merge in model["merges"]], "bos_token_id": 1, "eos_token_id": 2,
    }  # fmt: skip
    return {f"tokenizer.ggml.{name}": value for name, value in (own | more).items() if value is not None} | {
        "tokenizer.chat_template": CHAT
    }


def test_a_vocabulary_and_merges_make_the_tokenizer_they_came_from():
    tokenizer = gguf_tokenizer(fields(), "here")
    for text in (SAMPLE, "<|start|>the<|end|>", "  two  blanks\n\n", ""):
        assert tokenizer.encode(text).tolist() == byte_level().encode(text).ids
        assert tokenizer.decode(tokenizer.encode(text)) == text
    assert tokenizer.special == {"bos_token": "<|start|>", "eos_token": "<|end|>"}
    assert tokenizer.ends == (2,) and tokenizer.chat_template == CHAT
    assert tokenizer.chat([{"role": "user", "content": "?"}]).endswith("<|start|>user\n?<|end|>\n<|start|>assistant\n")


@pytest.mark.parametrize(
    ("more", "around"),
    [
        ({}, ([], [])),
        ({"add_bos_token": True}, ([1], [])),
        ({"add_bos_token": True, "add_eos_token": True}, ([1], [2])),
        ({"pre": "llama-bpe"}, ([1], [])),
        ({"pre": "llama-bpe", "add_bos_token": False}, ([], [])),
    ],
)
def test_what_stands_around_a_text(more, around):
    tokenizer = gguf_tokenizer(fields(**more), "here")
    assert tokenizer.encode_with_specials("the").tolist() == [*around[0], *tokenizer.encode("the").tolist(), *around[1]]


TEXT = "It'S 1999, we'll (see)…\r\n\n  d'accord   naïve_x 東京12345"
PIECES = {
    "gpt-2": ["It", "'", "S", " 1999", ",", " we", "'ll", " (", "see", ")…", "\r\n\n ", " d", "'", "accord", "  ", " naïve", "_", "x", " 東京", "12345"],
    "smollm": ["It", "'", "S", " ", "1", "9", "9", "9", ",", " we", "'ll", " (", "see", ")…", "\r\n\n ", " d", "'", "accord", "  ", " naïve", "_", "x", " 東京", "1", "2", "3", "4", "5"],
    "llama-bpe": ["It", "'S", " ", "199", "9", ",", " we", "'ll", " (", "see", ")…\r\n\n", " ", " d", "'accord", "  ", " naïve", "_x", " 東京", "123", "45"],
    "qwen2": ["It", "'S", " ", "1", "9", "9", "9", ",", " we", "'ll", " (", "see", ")…\r\n\n", " ", " d", "'accord", "  ", " naïve", "_x", " 東京", "1", "2", "3", "4", "5"],
}  # fmt: skip


@pytest.mark.parametrize("pre", PIECES)
def test_where_a_text_is_cut(pre):
    from tokenizers import Tokenizer

    backend = Tokenizer.from_str(json.dumps(gguf_tokenizer(fields(pre), "here").to_dict()["backend"]))
    spans = [span for _, span in backend.pre_tokenizer.pre_tokenize_str(TEXT)]
    assert [TEXT[begin:end] for begin, end in spans] == PIECES[pre]


def test_tokens_of_ones_own_are_found_in_a_text_and_are_not_special():
    types = [3] * 3 + [1] * 296 + [4]
    tokenizer = gguf_tokenizer(fields(token_type=types), "here")
    added = {token["id"]: token["special"] for token in tokenizer.to_dict()["backend"]["added_tokens"]}
    assert added == {0: True, 1: True, 2: True, 299: False}


def test_a_second_token_may_end_a_text():
    assert gguf_tokenizer(fields(eot_token_id=0), "here").ends == (2, 0)


@pytest.mark.parametrize(
    ("more", "words"),
    [
        ({"model": "llama"}, r"here .model='llama', pre='gpt-2'. is not supported; supported: model='gpt2'"),
        ({"pre": "viking"}, r"pre='viking'. is not supported; .*'smollm'"),
        ({"pre": None}, "pre=None"),
        ({"pre": ["gpt-2"]}, "is not supported"),
        ({"model": None}, "model=None"),
        ({"merges": None}, "in here is damaged: KeyError"),
        ({"merges": ["x"]}, "here: a damaged"),
        ({"merges": ["Ġthe Ġend Ġx"]}, "here: a damaged"),
        ({"eos_token_id": 300}, "damaged"),
        ({"token_type": [1]}, "damaged"),
    ],
)
def test_other_kinds_and_damage(more, words):
    with pytest.raises(DataError, match=words):
        gguf_tokenizer(fields(**more), "here")
