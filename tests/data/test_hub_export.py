"""Our tokenizers in the form that other libraries load: the same ids, the same text."""

import json

import pytest
from tokenizers import Tokenizer as Backend

import oneblock
from oneblock.data.bpe import BPETokenizer
from oneblock.data.hub_export import hub_files
from oneblock.data.hub_folder import read_hub_tokenizer
from oneblock.data.hub_tokenizer import HubTokenizer
from oneblock.data.symbols import SymbolTokenizer
from oneblock.data.tokenizer import ByteTokenizer, CharTokenizer

MODEL = oneblock.presets.llama_nano().model
TEXT = "To be, or not\n\tto bé:  that?"
TRAINED = BPETokenizer.train(TEXT * 3, 280)


@pytest.mark.parametrize("tokenizer", [CharTokenizer(TEXT), ByteTokenizer(), TRAINED], ids=lambda each: each.kind)
def test_the_same_ids_and_the_same_text(tokenizer, tmp_path):
    files = hub_files(tokenizer, MODEL)
    backend = Backend.from_str(files["tokenizer.json"].decode())
    for text in (TEXT, "", " ", "\n\n", "bé"):
        ids = list(tokenizer.encode(text))
        assert backend.encode(text).ids == ids
        assert backend.decode(ids) == text
    for name, content in files.items():
        (tmp_path / name).write_bytes(content)
    again = read_hub_tokenizer(tmp_path)
    assert again.vocab_size == tokenizer.vocab_size
    assert list(again.encode(TEXT)) == list(tokenizer.encode(TEXT))


def test_an_unknown_character_is_an_error_there_too():
    backend = Backend.from_str(hub_files(CharTokenizer("abc"), MODEL)["tokenizer.json"].decode())
    with pytest.raises(Exception, match="UNK"):
        backend.encode("abx")


@pytest.mark.parametrize(("unit", "text"), [("characters", "house"), ("words", "HH AW1 S")])
def test_symbols(unit, text):
    tokenizer = SymbolTokenizer(unit, text if unit == "characters" else text.split())
    backend = Backend.from_str(hub_files(tokenizer, MODEL)["tokenizer.json"].decode())
    ids = list(tokenizer.encode(text))
    assert backend.encode(text).ids == ids
    assert backend.decode(ids) == text
    assert backend.get_vocab_size() == tokenizer.vocab_size


def test_one_that_came_from_there_goes_back_as_it_is():
    files = hub_files(TRAINED, MODEL)
    backend = json.loads(files["tokenizer.json"])
    hub = HubTokenizer(backend, special={"eos_token": "T"}, ends=[TRAINED.tokens.index("T")], chat_template="{{ x }}")
    again = hub_files(hub, MODEL)
    assert json.loads(again["tokenizer.json"]) == backend
    settings = json.loads(again["tokenizer_config.json"])
    assert (settings["eos_token"], settings["chat_template"]) == ("T", "{{ x }}")
    assert settings["model_max_length"] == MODEL.context
    assert json.loads(again["generation_config.json"]) == {"eos_token_id": list(hub.ends)}
