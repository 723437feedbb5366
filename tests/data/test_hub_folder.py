import json

import pytest
from small_tokenizers import CHAT, added, byte_level, folder_of, sentencepiece, word_pieces
from tokenizers import Tokenizer, models

from oneblock.data.errors import DataError
from oneblock.data.hub_folder import has_tokenizer, read_hub_tokenizer


def test_the_files_beside_it(tmp_path):
    config = {"bos_token": "<|start|>", "eos_token": added("<|end|>"), "pad_token": None, "chat_template": CHAT}
    folder = folder_of(tmp_path, byte_level(), config)
    tokenizer = read_hub_tokenizer(folder)
    assert has_tokenizer(folder) and not has_tokenizer(tmp_path / "none")
    assert tokenizer.special == {"bos_token": "<|start|>", "eos_token": "<|end|>"}
    assert tokenizer.ends == (2,) and tokenizer.chat_template == CHAT
    assert tokenizer.encode("the end").tolist() == byte_level().encode("the end").ids


def test_a_bare_tokenizer_json(tmp_path):
    tokenizer = read_hub_tokenizer(folder_of(tmp_path, word_pieces()))
    assert tokenizer.ends == () and tokenizer.special == {} and tokenizer.chat_template is None
    assert tokenizer.vocab_size == word_pieces().get_vocab_size()


def test_special_tokens_of_the_older_file(tmp_path):
    folder = folder_of(
        tmp_path,
        byte_level(),
        {"eos_token": "<|end|>"},
        special_tokens_map={"eos_token": "<|text|>", "bos_token": "<|start|>"},
    )
    assert read_hub_tokenizer(folder).special == {"eos_token": "<|end|>", "bos_token": "<|start|>"}


@pytest.mark.parametrize(
    ("config", "generation", "ends"),
    [
        ({"eos_token_id": 7}, None, (7, 2)),
        ({"eos_token_id": [7, 2, 8]}, None, (7, 2, 8)),
        ({"eos_token_id": 7}, {"eos_token_id": [5, 6]}, (5, 6, 2)),
        ({"eos_token_id": 7}, {"max_length": 5}, (7, 2)),
        ({"eos_token_id": None}, None, (2,)),
    ],
)
def test_what_ends_a_text(tmp_path, config, generation, ends):
    more = {} if generation is None else {"generation_config": generation}
    folder = folder_of(tmp_path, byte_level(), {"eos_token": "<|end|>"}, **more)
    (folder / "config.json").write_text(json.dumps(config))
    assert read_hub_tokenizer(folder).ends == ends


def test_a_template_in_its_own_file_comes_first(tmp_path):
    folder = folder_of(tmp_path, byte_level(), {"chat_template": "old"})
    (folder / "chat_template.jinja").write_text("é{{ messages }}\n", encoding="utf-8")
    assert read_hub_tokenizer(folder).chat_template == "é{{ messages }}\n"


def test_one_of_several_named_templates(tmp_path):
    named = [{"name": "tool_use", "template": "t"}, {"name": "default", "template": "d"}]
    assert read_hub_tokenizer(folder_of(tmp_path, byte_level(), {"chat_template": named})).chat_template == "d"


def test_tokens_that_only_the_config_knows(tmp_path):
    decoder = {"300": added("<|new|>", special=True), "2": added("<|end|>", special=True)}
    tokenizer = read_hub_tokenizer(folder_of(tmp_path, byte_level(), {"added_tokens_decoder": decoder}))
    assert tokenizer.vocab_size == 301
    assert tokenizer.encode("<|end|><|new|>").tolist() == [2, 300] and tokenizer.decode([300]) == "<|new|>"


def test_a_named_special_token_is_never_cut_up(tmp_path):
    vocabulary = {"a": 0, "b": 1, "ab": 2, "<e>": 3}
    backend = Tokenizer(models.BPE(vocabulary, [("a", "b")]))
    assert read_hub_tokenizer(folder_of(tmp_path, backend)).encode("ab<e>").tolist() == [2]
    tokenizer = read_hub_tokenizer(folder_of(tmp_path, backend, {"eos_token": "<e>"}))
    assert tokenizer.encode("ab<e>").tolist() == [2, 3] and tokenizer.ends == (3,)


def test_what_stands_around_a_text_is_as_tokenizer_json_says(tmp_path):
    config = {"bos_token": "<s>", "eos_token": "</s>", "add_bos_token": False, "add_eos_token": True}
    tokenizer = read_hub_tokenizer(folder_of(tmp_path, sentencepiece(), config))
    assert tokenizer.encode_with_specials("the end").tolist() == [1, *tokenizer.encode("the end").tolist()]


def test_no_tokenizer(tmp_path):
    with pytest.raises(DataError, match=r"holds no tokenizer.json: put there"):
        read_hub_tokenizer(tmp_path)
    (tmp_path / "tokenizer.model").touch()
    with pytest.raises(DataError, match=r"tokenizer.model, an older form. Make one:"):
        read_hub_tokenizer(tmp_path)


@pytest.mark.parametrize(
    ("file", "text", "words"),
    [
        ("tokenizer.json", '{"model": {"vocab"', "tokenizer.json is no JSON"),
        ("tokenizer.json", "[]", "no JSON object"),
        ("tokenizer.json", "{}", "is damaged"),
        ("tokenizer_config.json", "x", "tokenizer_config.json is no JSON"),
        ("tokenizer_config.json", '{"chat_template": 3}', "is damaged"),
        ("tokenizer_config.json", '{"added_tokens_decoder": {"x": {"content": "y"}}}', "is damaged"),
        ("generation_config.json", '{"eos_token_id": 999}', "999 is not one of 0…299"),
        ("generation_config.json", '{"eos_token_id": "x"}', "is damaged"),
    ],
)
def test_damaged_files(tmp_path, file, text, words):
    folder = folder_of(tmp_path, byte_level(), {})
    (folder / file).write_text(text)
    with pytest.raises(DataError, match=words) as caught:
        read_hub_tokenizer(folder)
    assert str(tmp_path) in str(caught.value)
