"""`oneblock generate` on encoders that came with a tokenizer of their own: vectors and their cosines, masked words."""

import json

import pytest
import torch
from small_tokenizers import folder_of, word_pieces
from torch.nn.functional import cosine_similarity

import oneblock
from oneblock.cli.main import main
from oneblock.config import Attention, Block, Encoder, NoHead, TransformedHead
from oneblock.runs.convert import to_oneblock
from oneblock.runs.load import load_tokenizer
from oneblock.weights.reading import named
from oneblock.weights.writing import express

TEXTS = ["the end", "the café said: the end", "東京"]
SPECIAL = {name: f"[{name[:-6].upper()}]" for name in ("mask_token", "cls_token", "sep_token", "pad_token")}


def folder(path, head, **changes):
    """A small model as its family lays it out, with a WordPiece tokenizer."""
    from safetensors.torch import save_file

    backend = word_pieces()
    model = Encoder(
        **{"vocab_size": backend.get_vocab_size(), "context": 13, "width": 12, "num_layers": 2, "num_segments": 2}
        | {"position": oneblock.config.Learned(), "embedding_norm": oneblock.config.LayerNorm(eps=1e-12)}
        | {"blocks": (block(),), "head": head}
        | changes
    )
    built = oneblock.build(model, seed=3)
    with torch.no_grad():
        for number, weight in enumerate(built.parameters()):
            weight += 0.3 * torch.randn(weight.shape, generator=torch.Generator().manual_seed(number))
    said = express(named("bert", model))
    folder_of(path, backend, SPECIAL)
    (path / "config.json").write_text(json.dumps(said.fields))
    save_file({name: tensor.detach() for name, tensor in said.tensors(built.state_dict())}, path / "model.safetensors")
    return path


def block():
    norm = oneblock.config.LayerNorm(eps=1e-12)
    feed_forward = oneblock.config.Dense(hidden=17, bias=True)
    attention = Attention(num_heads=3, bias=True, output_bias=True)
    return Block(attention=attention, feed_forward=feed_forward, norm=norm, placement="post")


@pytest.fixture
def headless(tmp_path):
    return folder(tmp_path / "headless", NoHead())


@pytest.fixture
def masked(tmp_path):
    return folder(tmp_path / "masked", TransformedHead(norm=oneblock.config.LayerNorm(eps=1e-12)))


def call(capsys, path, *prompts, more=()):
    status = main(["generate", str(path), *(word for prompt in prompts for word in ("--prompt", prompt)), *more])
    out, err = capsys.readouterr()
    return status, out, err


@torch.no_grad()
def test_cosines_of_every_two(headless, tmp_path, capsys):
    status, out, err = call(capsys, headless, *TEXTS, more=["--json"])
    result = json.loads(out)
    assert status == 0 and result["text"] is None and result["tokens_per_second"] > 0
    model, tokenizer = oneblock.load(headless), load_tokenizer(headless)
    vectors = torch.cat(
        [model.vectors(torch.tensor([tokenizer.encode_with_specials(text).tolist()])) for text in TEXTS]
    )
    torch.testing.assert_close(torch.tensor(result["vectors"]), vectors)
    cosines = cosine_similarity(vectors[:, None], vectors[None], dim=-1)
    torch.testing.assert_close(torch.tensor(result["similarities"]), cosines)
    assert cosines[0, 1] < 0.999
    lines = err.splitlines()
    assert lines[:3] == [f"  {number}  {text}" for number, text in enumerate(TEXTS, 1)]
    assert [float(word) for word in lines[-1].split()] == [3, *(round(value, 3) for value in cosines[2].tolist())]
    converted = to_oneblock(headless, tmp_path / "converted").path
    assert call(capsys, converted, *TEXTS)[1].splitlines() == lines
    assert "(12 numbers; --json gives all)" in call(capsys, headless, TEXTS[0])[1]


@torch.no_grad()
def test_masked_words(masked, capsys):
    prompts = ["the [MASK] said", "[MASK] [MASK]!"]
    status, out, _ = call(capsys, masked, *prompts)
    model, tokenizer = oneblock.load(masked), load_tokenizer(masked)
    for prompt, told in zip(prompts, out.splitlines(), strict=True):
        ids = tokenizer.encode_with_specials(prompt).tolist()
        best = model(torch.tensor([ids]))[0].argmax(-1).tolist()
        words = [tokenizer.decode([best[at]]).strip() for at, token in enumerate(ids) if token == 4]
        for word in words:
            prompt = prompt.replace("[MASK]", word, 1)
        assert told == prompt and "[MASK]" not in told and words
    result = json.loads(call(capsys, masked, prompts[0], more=["--json"])[1])
    assert status == 0 and result["text"] == out.splitlines()[0] and result["tokens_per_second"] > 0


def test_what_cannot_be_told(headless, masked, tmp_path, capsys):
    for path, prompts, words in (
        (headless, [], "give two texts or more"),
        (headless, ["the end " * 9], "this model sees 13 at most"),
        (masked, [], "give a --prompt"),
        (masked, ["the end"], "write [MASK] for each missing word"),
        (masked, ["the [MASK] " * 9], "are more than this model's 13"),
    ):
        status, _, err = call(capsys, path, *prompts)
        assert status == 2 and words in err
    status, _, err = call(capsys, headless, "the end", more=["--temperature", "1"])
    assert status == 2 and "--temperature means nothing to an encoder without a head; it takes --prompt" in err
    other = folder(tmp_path / "other", NoHead(), vocab_size=31)
    status, _, err = call(capsys, other, *TEXTS)
    assert status == 2 and "is not this model's" in err
    (masked / "tokenizer_config.json").write_text("{}")
    status, _, err = call(capsys, masked, "the [MASK]")
    assert status == 2 and "no mask_token" in err
