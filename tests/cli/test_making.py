"""`oneblock generate` on models that are no decoders: targets, gaps, images; and options that mean nothing to them."""

import json
import struct
import zlib
from dataclasses import replace

import pytest
import torch

import oneblock
from oneblock.cli.main import main
from oneblock.config import to_dict
from oneblock.config.attention import Attention
from oneblock.config.block import Block
from oneblock.config.config import Config
from oneblock.config.diffusion import RectifiedFlow
from oneblock.config.dit import DiT, dit_block
from oneblock.config.encoder import Encoder
from oneblock.config.encoder_decoder import EncoderDecoder
from oneblock.config.objective import Denoise, Masked, Pairs
from oneblock.config.recipe import Recipe
from oneblock.config.stack import Stack
from oneblock.data.symbols import SymbolTokenizer
from oneblock.data.tokenizer import train_tokenizer
from oneblock.runs.folder import Run
from oneblock.runs.weights import save_weights

SELF = Block(attention=Attention(num_heads=2))
BOTH = replace(SELF, steps=("attention", "cross_attention", "feed_forward"), cross_attention=Attention(num_heads=2))
LETTERS = "abcdefgh ,"


def made(path, model, objective, **files):
    config = Config(name="tiny", model=model, recipe=Recipe(steps=3, objective=objective))
    run = Run.create(path, "tiny")
    run.write_json("config.json", to_dict(config))
    for name, content in files.items():
        run.write_json(f"{name}.json", content)
    torch.manual_seed(0)
    built = oneblock.build(config, seed=5)
    with torch.no_grad():
        for weight in built.parameters():
            weight.add_(0.3 * torch.randn(weight.shape))
    save_weights(run.path, "kept", built.state_dict(), {})
    return str(run.path)


@pytest.fixture
def encoder(tmp_path):
    tokenizer = train_tokenizer("chars", LETTERS)
    model = Encoder(vocab_size=tokenizer.vocab_size + 1, context=13, width=12, num_layers=1, blocks=(SELF,))
    return made(tmp_path / "encoder", model, Masked(), tokenizer=tokenizer.to_dict())


@pytest.fixture
def pairs(tmp_path):
    source, target = SymbolTokenizer("characters", set("abc")), SymbolTokenizer("words", {"A1", "B", "K"})
    stack = Stack(context=7, num_layers=1, blocks=(SELF,))
    model = EncoderDecoder(
        source_vocab=source.vocab_size,
        target_vocab=target.vocab_size,
        width=12,
        encoder=stack,
        decoder=replace(stack, blocks=(BOTH,)),
    )
    files = {"source_tokenizer": source.to_dict(), "tokenizer": target.to_dict()}
    return made(tmp_path / "pairs", model, Pairs(), **files)


@pytest.fixture
def images(tmp_path):
    model = DiT(
        channels=1, image_height=6, patch=2, width=12, num_layers=1, blocks=(dit_block(2),), num_classes=3,
        process=RectifiedFlow(),
    )  # fmt: skip
    return made(tmp_path / "images", model, Denoise(), data={"classes": ["boot", "coat", "bag"]})


def call(capsys, *arguments):
    status = main(["generate", *arguments])
    out, err = capsys.readouterr()
    return status, out, err


def test_gaps_are_filled_and_the_rest_stays(encoder, capsys):
    prompts = ["a_c, _e", "_", "abc_"]
    status, out, _ = call(capsys, encoder, *(word for prompt in prompts for word in ("--prompt", prompt)))
    texts = out.splitlines()
    assert status == 0 and [len(text) for text in texts] == [7, 1, 4]
    for prompt, text in zip(prompts, texts, strict=True):
        assert all(was in ("_", now) and now in LETTERS for was, now in zip(prompt, text, strict=True))
    result = json.loads(call(capsys, encoder, "--prompt", "a_c, _e", "--json")[1])
    assert result["text"] == texts[0] and result["tokens_per_second"] > 0


@pytest.mark.parametrize(
    ("prompt", "words"),
    [([], "give a --prompt"), (["--prompt", "abc"], "has no gap"), (["--prompt", "_" * 14], "at most 13")],
)
def test_gaps_that_cannot_be_filled(encoder, capsys, prompt, words):
    status, _, err = call(capsys, encoder, *prompt)
    assert status == 2 and words in err


def test_targets_for_sources_of_different_length(pairs, capsys):
    several = ["--prompt", "abcab", "--prompt", "a"]
    status, out, _ = call(capsys, pairs, *several)
    lines = out.splitlines()
    assert status == 0 and lines[0].startswith("abcab → ") and lines[1].startswith("a → ")
    for more in (["--no-cache"], ["--beams", "1"]):
        assert call(capsys, pairs, *several, *more)[1] == out
    result = json.loads(call(capsys, pairs, "--prompt", "a", "--json")[1])
    assert lines[1] == f"a → {result['text']}"
    drawn = [call(capsys, pairs, *several, "--temperature", "3", "--seed", str(seed))[1] for seed in (1, 1, 2)]
    assert drawn[0] == drawn[1] != drawn[2]
    assert call(capsys, pairs, *several, "--beams", "3", "--tokens", "4")[0] == 0


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ([], "give a --prompt"),
        (["--prompt", ""], "empty"),
        (["--prompt", "xyz"], "x"),
        (["--prompt", "abcabcabc"], "context"),
        (["--prompt", "a", "--beams", "2", "--temperature", "1"], "beams"),
    ],
)
def test_sources_without_a_target(pairs, capsys, arguments, words):
    status, _, err = call(capsys, pairs, *arguments)
    assert status == 2 and words in err


def test_images_are_a_png_with_a_row_for_each_class(images, capsys, tmp_path):
    path = tmp_path / "grid.png"
    arguments = ["--image", str(path), "--count", "4", "--steps", "3", "--seed", "5"]
    status, out, err = call(capsys, images, *arguments, "--json")
    result = json.loads(out)
    assert status == 0 and result["image"] == str(path) and result["images"] == 12 and "boot, coat, bag" in err
    raw = path.read_bytes()
    width, height = struct.unpack(">II", raw[16:24])
    assert raw.startswith(b"\x89PNG") and width == 4 * 12 + 5 * 2 and height == 3 * 12 + 4 * 2
    assert zlib.crc32(raw[12:29]) == struct.unpack(">I", raw[29:33])[0]
    call(capsys, images, *arguments)
    assert path.read_bytes() == raw, "the same seed, the same images"
    status, _, err = call(capsys, images, *arguments, "--prompt", "bag", "--guidance", "1")
    assert status == 0 and "a row each of bag," in err and path.read_bytes() != raw


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--prompt", "shoe"], "try boot, coat, bag"),
        (["--image", "/nowhere/at/all.png", "--steps", "1"], "cannot write"),
        (["--tokens", "9"], "--tokens means nothing to a diffusion transformer; it takes --count"),
        (["--no-cache"], "--no-cache means nothing"),
    ],
)
def test_images_that_cannot_be_made(images, capsys, monkeypatch, tmp_path, arguments, words):
    monkeypatch.chdir(tmp_path)
    status, _, err = call(capsys, images, *arguments)
    assert status == 2 and words in err


def test_options_of_other_kinds_are_refused(encoder, pairs, capsys):
    assert "means nothing to an encoder;" in call(capsys, encoder, "--prompt", "_", "--temperature", "0")[2]
    assert "--image means nothing to an encoder-decoder" in call(capsys, pairs, "--prompt", "a", "--image", "x.png")[2]
