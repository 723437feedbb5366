"""Models of others with their tokenizers: from a GGUF file, a Hugging Face folder, and both once converted."""

import json

import pytest
import torch
from safetensors.torch import save_file
from small_gguf import write
from small_tokenizers import CHAT, byte_level, folder_of

import oneblock
from oneblock.config import Attention, Block, Decoder, Gated, RMSNorm
from oneblock.config.config import Config
from oneblock.data.errors import DataError
from oneblock.runs.convert import to_hugging_face, to_oneblock
from oneblock.runs.errors import RunError
from oneblock.runs.load import load, load_config, load_tokenizer
from oneblock.weights.errors import WeightsError
from oneblock.weights.writing import express

CONFIG = Decoder(
    vocab_size=300, context=50, width=24, num_layers=2,
    blocks=(
        Block(norm=RMSNorm(), attention=Attention(num_heads=3, num_kv_heads=1, head_width=8), feed_forward=Gated(hidden=31)),
    ),
)  # fmt: skip
TEXT = "the end, 東京 <|start|>the<|end|>"
ASK = [{"role": "user", "content": "Who?"}]


@pytest.fixture(scope="module")
def model():
    return oneblock.build(CONFIG, seed=5).eval()


@pytest.fixture
def gguf(tmp_path, model):
    return write(tmp_path / "m.gguf", CONFIG, model.state_dict())


@pytest.fixture
def hugging_face(tmp_path, model):
    said = express(Config(model=CONFIG))
    folder = folder_of(
        tmp_path / "hf", byte_level(), {"bos_token": "<|start|>", "chat_template": CHAT},
        config=said.fields | {"eos_token_id": 2}, generation_config={"eos_token_id": [2, 0]},
    )  # fmt: skip
    tensors = {name: tensor.contiguous() for name, tensor in said.tensors(model.state_dict())}
    save_file(tensors, folder / "model.safetensors")
    return folder


def check(path, model, ends):
    tokenizer = load_tokenizer(path)
    ids = byte_level().encode(TEXT).ids
    assert tokenizer.encode(TEXT).tolist() == ids and tokenizer.decode(ids) == TEXT
    assert tokenizer.ends == ends
    assert tokenizer.chat(ASK).endswith("<|start|>user\nWho?<|end|>\n<|start|>assistant\n")
    assert load_config(path).model.vocab_size == 300 == tokenizer.vocab_size
    assert torch.equal(load(path)(torch.tensor([ids])), model(torch.tensor([ids])))


def test_a_gguf_file_and_what_it_is_converted_to(gguf, model, tmp_path):
    check(gguf, model, (2,))
    to_oneblock(gguf, tmp_path / "ours")
    check(tmp_path / "ours", model, (2,))
    to_hugging_face(gguf, tmp_path / "theirs")
    check(tmp_path / "theirs", model, (2,))
    to_hugging_face(tmp_path / "ours", tmp_path / "theirs-too")
    check(tmp_path / "theirs-too", model, (2,))


def test_a_hugging_face_folder_and_what_it_is_converted_to(hugging_face, model, tmp_path):
    check(hugging_face, model, (2, 0))
    to_oneblock(hugging_face, tmp_path / "ours")
    check(tmp_path / "ours", model, (2, 0))
    assert json.loads((tmp_path / "ours" / "tokenizer.json").read_text())["model"]["type"] == "BPE"


def test_a_model_without_a_tokenizer_says_so(hugging_face, model, tmp_path):
    (hugging_face / "tokenizer.json").unlink()
    assert torch.equal(load(hugging_face).embedding.weight, model.embedding.weight)
    with pytest.raises(DataError, match=r"holds no tokenizer.json: put there"):
        load_tokenizer(hugging_face)
    to_oneblock(hugging_face, tmp_path / "ours")
    with pytest.raises(RunError, match=r"tokenizer.json is missing"):
        load_tokenizer(tmp_path / "ours")


def test_a_damaged_gguf_file_leaves_nothing_behind(gguf, tmp_path):
    gguf.write_bytes(gguf.read_bytes()[:-100])
    for use in (load, load_config):
        with pytest.raises(WeightsError, match="cut short"):
            use(gguf)
    with pytest.raises(WeightsError, match="cut short"):
        to_oneblock(gguf, tmp_path / "ours")
    assert not (tmp_path / "ours").exists() and {path.name for path in tmp_path.iterdir()} == {"m.gguf"}
