"""How one vector is made of a text, as the folder of a model of sentences says it."""

import json

import pytest
import torch
from safetensors.torch import save_file

import oneblock
from oneblock.config import FirstPool, MeanPool
from oneblock.weights.errors import WeightsError
from oneblock.weights.families.bert import BERT_WITHOUT_HEAD
from oneblock.weights.options import Options
from oneblock.weights.reading import named, open_checkpoint
from oneblock.weights.writing import express

FIELDS = {
    "vocab_size": 29,
    "hidden_size": 12,
    "num_hidden_layers": 1,
    "num_attention_heads": 3,
    "intermediate_size": 7,
    "max_position_embeddings": 9,
}
KINDS = ("Transformer", "Pooling", "Normalize")


@pytest.fixture
def folder(tmp_path):
    model = BERT_WITHOUT_HEAD.read(Options(FIELDS, "here", defaults=BERT_WITHOUT_HEAD.defaults))
    said = express(named("bert", model))
    built = oneblock.build(model, seed=1)
    (tmp_path / "config.json").write_text(json.dumps(said.fields))
    save_file({n: t.detach() for n, t in said.tensors(built.state_dict())}, tmp_path / "model.safetensors")
    return tmp_path


def say(folder, kinds=KINDS, **modes):
    modules = [
        {"idx": number, "name": str(number), "path": f"{number}_{kind}" if number else "", "type": f"library.{kind}"}
        for number, kind in enumerate(kinds)
    ]
    (folder / "modules.json").write_text(json.dumps(modules))
    (folder / "1_Pooling").mkdir(exist_ok=True)
    fields = {"word_embedding_dimension": 12} | {f"pooling_mode_{name}": on for name, on in modes.items()}
    (folder / "1_Pooling" / "config.json").write_text(json.dumps(fields))


@torch.no_grad()
def test_the_pool_is_the_folders(folder):
    assert open_checkpoint(folder).config.model.pool == MeanPool(normalise=True)
    for modes, kinds, pool in (
        ({"mean_tokens": True, "cls_token": False}, KINDS, MeanPool(normalise=True)),
        ({"mean_tokens": True, "max_tokens": False}, KINDS[:2], MeanPool(normalise=False)),
        ({"mean_tokens": False, "cls_token": True}, KINDS, FirstPool(normalise=True)),
    ):
        say(folder, kinds, **modes)
        assert open_checkpoint(folder).config.model.pool == pool
    model, ids = oneblock.load(folder), torch.tensor([[2, 5, 7]])
    torch.testing.assert_close(model.vectors(ids)[0], torch.nn.functional.normalize(model(ids)[0, 0], dim=0))


@pytest.mark.parametrize(
    ("kinds", "modes", "words"),
    [
        (("Transformer", "Pooling", "Dense"), {"mean_tokens": True}, "by Transformer, Pooling, Dense, and only"),
        (("Transformer",), {}, "by Transformer, and only"),
        (KINDS, {"max_tokens": True}, "asks for max_tokens; supported: mean_tokens, cls_token"),
        (KINDS, {"mean_tokens": True, "cls_token": True}, "asks for mean_tokens and cls_token"),
        (KINDS, {"mean_tokens": False}, "asks for no pooling"),
    ],
)
def test_what_is_not_known_is_said(folder, kinds, modes, words):
    say(folder, kinds, **modes)
    with pytest.raises(WeightsError, match=words):
        open_checkpoint(folder)
    (folder / "modules.json").unlink()
    open_checkpoint(folder)


def test_a_damaged_file_is_named(folder):
    say(folder, mean_tokens=True)
    (folder / "1_Pooling" / "config.json").write_text("[1]")
    with pytest.raises(WeightsError, match=r"1_Pooling/config.json must hold an object, and holds a list"):
        open_checkpoint(folder)
    (folder / "1_Pooling" / "config.json").unlink()
    with pytest.raises(WeightsError, match=r"1_Pooling/config.json cannot be read"):
        open_checkpoint(folder)
    (folder / "modules.json").write_text("[1]")
    with pytest.raises(WeightsError, match=r"modules.json is no list of modules with a type and a path"):
        open_checkpoint(folder)
    (folder / "modules.json").write_text("{")
    with pytest.raises(WeightsError, match=r"modules.json cannot be read"):
        open_checkpoint(folder)
