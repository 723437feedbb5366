"""The real all-MiniLM-L6-v2: its sentences' cosines, as its authors and their own software give them."""

import json

import pytest
import torch

import oneblock
from oneblock.cli.main import main
from oneblock.data.errors import DataError
from oneblock.data.known_models import locate_model
from oneblock.runs.load import load_tokenizer

FOOD, BREAD, CHEETAH = (
    "A man is eating food.",
    "A man is eating a piece of bread.",
    "A cheetah is running behind its prey.",
)


@pytest.fixture(scope="module", params=[False, pytest.param(True, marks=pytest.mark.slow)], ids=["kept", "fetched"])
def folder(request):
    """Where it lies already; the slow tests fetch it."""
    try:
        return locate_model("minilm", fetch=request.param)
    except DataError as error:
        pytest.skip(str(error))


def padded(tokenizer, texts):
    rows = [tokenizer.encode_with_specials(text).tolist() for text in texts]
    longest = max(map(len, rows))
    tokens = torch.tensor([row + [0] * (longest - len(row)) for row in rows])
    return tokens, torch.tensor([[at >= len(row) for at in range(longest)] for row in rows])


@torch.no_grad()
def test_its_cosines(folder):
    model, tokenizer = oneblock.load(folder), load_tokenizer(folder)
    assert sum(parameter.numel() for parameter in model.parameters()) == 22_713_216 - (384 * 384 + 384)
    tokens, padding = padded(tokenizer, [FOOD, BREAD, CHEETAH])
    assert tokens[0].tolist()[:8] == [101, 1037, 2158, 2003, 5983, 2833, 1012, 102]
    vectors = model.vectors(tokens, padding)
    cosines = vectors @ vectors.T
    assert cosines[0, 1].item() == pytest.approx(0.7553, abs=5e-5)
    assert cosines[0, 2].item() == pytest.approx(0.1419, abs=5e-5)
    assert cosines[1, 2].item() == pytest.approx(0.0622, abs=5e-5)


def test_a_newcomers_two_commands(folder, tmp_path, capsys):
    ours = tmp_path / "minilm"
    assert main(["convert", str(folder), str(ours), "--json"]) == 0
    converted = json.loads(capsys.readouterr().out)
    assert converted["family"] == "bert" and converted["tokenizer"] and converted["parameters"] == 22_565_376
    assert sorted(converted["unexpected"]) == ["embeddings.position_ids", "pooler.dense.bias", "pooler.dense.weight"]
    assert main(["generate", str(ours), "--prompt", FOOD, "--prompt", BREAD, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["similarities"][0][1] == pytest.approx(0.7553, abs=5e-5)


@pytest.mark.peers
@torch.no_grad()
def test_the_vectors_of_transformers(folder):
    transformers = pytest.importorskip("transformers")
    tokens, padding = padded(load_tokenizer(folder), [FOOD, BREAD, CHEETAH])
    theirs = transformers.AutoModel.from_pretrained(folder, dtype=torch.float64, attn_implementation="eager").eval()
    right = theirs(input_ids=tokens, attention_mask=(~padding).long()).last_hidden_state
    answer = oneblock.load(folder).double()(tokens, padding)
    torch.testing.assert_close(answer[~padding], right[~padding], rtol=0, atol=1e-12)
