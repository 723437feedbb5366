"""`oneblock generate` on an encoder-decoder that came with a tokenizer of its own: what it starts, stops and says with."""

import json

import pytest
import torch
from safetensors.torch import save_file
from small_tokenizers import folder_of, word_pieces

import oneblock
from oneblock.cli.main import main
from oneblock.decoding.translate import translate
from oneblock.runs.convert import to_oneblock
from oneblock.runs.load import load_tokenizer
from oneblock.weights.families.t5 import T5
from oneblock.weights.options import Options
from oneblock.weights.reading import named
from oneblock.weights.writing import express

SOURCES = ["the end", "the café said: 東京 it is the end"]
SPECIAL = {"pad_token": "[PAD]", "cls_token": "[CLS]", "eos_token": "[SEP]"}
FIELDS = {"d_model": 18, "d_kv": 5, "d_ff": 31, "num_layers": 2, "num_heads": 3, "n_positions": 24}


@pytest.fixture
def folder(tmp_path):
    backend = word_pieces()
    fields = FIELDS | {"vocab_size": backend.get_vocab_size()}
    model = T5.read(Options(fields, "here", defaults=T5.defaults))
    built = oneblock.build(model)
    torch.manual_seed(4)
    with torch.no_grad():
        for parameter in built.parameters():
            parameter.normal_(std=0.6)
    said = express(named("t5", model))
    path = folder_of(tmp_path / "t5", backend, SPECIAL)
    (path / "config.json").write_text(json.dumps(said.fields | {"decoder_start_token_id": 0, "eos_token_id": 3}))
    save_file({name: tensor.detach() for name, tensor in said.tensors(built.state_dict())}, path / "model.safetensors")
    return path


def call(capsys, path, *prompts, more=("--tokens", "9")):
    status = main(["generate", str(path), *(word for prompt in prompts for word in ("--prompt", prompt)), *more])
    out, err = capsys.readouterr()
    return status, out, err


def test_targets_as_the_model_gives_them(folder, tmp_path, capsys):
    status, out, _ = call(capsys, folder, *SOURCES)
    model, tokenizer = oneblock.load(folder), load_tokenizer(folder)
    expected = []
    for source in SOURCES:
        ids = torch.from_numpy(tokenizer.encode_with_specials(source))[None]
        told = translate(model, ids, start=0, stop=3, max_new_tokens=9)[0].tokens
        assert ids[0, 0] == 2 and ids[0, -1] == 3 and told
        # Special tokens are no words: 0, 2 and 3 are its pad, class and end tokens.
        expected.append(tokenizer.decode([token for token in told if token not in (0, 2, 3)]))
    assert status == 0
    assert out.splitlines() == [f"{source} → {text}" for source, text in zip(SOURCES, expected, strict=True)]
    assert expected[0] != expected[1] and all(expected)
    converted = to_oneblock(folder, tmp_path / "converted").path
    assert call(capsys, converted, *SOURCES)[1] == out
    result = json.loads(call(capsys, folder, SOURCES[0], more=["--tokens", "9", "--json"])[1])
    assert result["text"] == expected[0] and result["tokens_per_second"] > 0


def test_what_the_files_must_say(folder, capsys):
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | {"decoder_start_token_id": None}))
    status, _, err = call(capsys, folder, SOURCES[0])
    assert status == 2 and "which token a target begins with; add decoder_start_token_id" in err
    (folder / "generation_config.json").write_text(json.dumps({"decoder_start_token_id": 0}))
    assert call(capsys, folder, SOURCES[0])[0] == 0
    (folder / "config.json").write_text(json.dumps(config | {"eos_token_id": None}))
    (folder / "tokenizer_config.json").write_text("{}")
    status, _, err = call(capsys, folder, SOURCES[0])
    assert status == 2 and "which token ends a target; add eos_token_id" in err
    (folder / "tokenizer.json").unlink()
    status, _, err = call(capsys, folder, SOURCES[0])
    assert status == 2 and "tokenizer.json" in err
