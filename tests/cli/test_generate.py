"""`oneblock generate` from end to end, on a tiny run made by hand."""

import io
import json
import re

import pytest
import torch
from small_gguf import write
from small_tokenizers import CHAT, byte_level

import oneblock
from oneblock.cli.main import main
from oneblock.cli.making import text as verb
from oneblock.config import override, to_dict
from oneblock.config.presets import nano
from oneblock.data.hub_tokenizer import HubTokenizer
from oneblock.data.tokenizer import train_tokenizer
from oneblock.decoding.generate import stream
from oneblock.nn.int8 import Int8Linear
from oneblock.runs.folder import Run
from oneblock.runs.weights import save_weights

TEXT = "To be, or not to be: that is the question.\nWhether 'tis nobler in the mind – é\n"


def make_run(path, kind, text=TEXT):
    tokenizer = train_tokenizer(kind, text)
    config = override(
        nano(), "model.width=24", "model.num_layers=2", "model.context=11",
        f"model.vocab_size={tokenizer.vocab_size}",
    )  # fmt: skip
    run = Run.create(path, "nano")
    run.write_json("config.json", to_dict(config))
    run.write_json("tokenizer.json", tokenizer.to_dict())
    save_weights(run.path, "kept", oneblock.build(config, seed=5).state_dict(), {})
    return str(run.path)


@pytest.fixture
def folder(tmp_path):
    return make_run(tmp_path / "nano-1", "chars")


def call(capsys, *arguments):
    status = main(["generate", *arguments])
    out, err = capsys.readouterr()
    return status, out, err


def test_one_prompt_is_printed_with_what_follows(folder, capsys):
    status, out, err = call(capsys, folder, "--prompt", "To be", "--tokens", "40", "--seed", "3")
    assert status == 0
    assert out.startswith("To be") and out.endswith("\n") and len(out) == 5 + 40 + 1
    assert "40 tokens" in err and "--seed 3" in err
    assert call(capsys, folder, "--prompt", "To be", "--tokens", "40", "--seed", "3")[1] == out
    assert call(capsys, folder, "--prompt", "To be", "--tokens", "40", "--seed", "4")[1] != out


def test_json_is_the_last_line_and_all_of_stdout(folder, capsys):
    status, out, err = call(capsys, folder, "--prompt", "To be", "--tokens", "30", "--seed", "3", "--json")
    result = json.loads(out)
    assert status == 0 and out.count("\n") == 1
    assert result["text"].startswith("To be") and len(result["text"]) == 35
    assert result["text"] in err
    assert result["tokens"] == 30 and result["seed"] == 3
    assert result["tokens_per_second"] > 0 and result["prefill_tokens_per_second"] > 0
    plain = call(capsys, folder, "--prompt", "To be", "--tokens", "30", "--seed", "3")[1]
    assert plain == result["text"] + "\n"


def test_the_text_is_what_python_gives(folder, capsys):
    model, tokens = oneblock.load(folder), train_tokenizer("chars", TEXT).encode("that")
    settings = {"temperature": 0.7, "top_k": 9, "top_p": 0.9, "seed": 8}
    wanted = oneblock.generate(model, torch.from_numpy(tokens)[None], max_new_tokens=25, **settings)[0]
    options = ["--temperature", "0.7", "--top-k", "9", "--top-p", "0.9", "--seed", "8"]
    for more in ([], ["--no-cache"]):
        out = call(capsys, folder, "--prompt", "that", "--tokens", "25", *options, *more)[1]
        assert out == train_tokenizer("chars", TEXT).decode(wanted.tolist()) + "\n"


@pytest.mark.parametrize("dtype", ["float32", "bfloat16", "int8"])
def test_in_another_dtype(folder, capsys, monkeypatch, dtype):
    seen = []
    monkeypatch.setattr(verb, "stream", lambda model, *rest, **more: seen.append(model) or stream(model, *rest, **more))
    status, out, _ = call(capsys, folder, "--prompt", "To be", "--tokens", "5", "--dtype", dtype, "--temperature", "0")
    assert status == 0 and out.startswith("To be")
    head, table = seen[0].head, seen[0].embedding.weight
    assert table.dtype == (torch.bfloat16 if dtype == "bfloat16" else torch.float32)
    assert isinstance(head, Int8Linear) == (dtype == "int8")


def test_several_prompts_of_different_length(folder, capsys):
    prompts = ["To be", "t", "Whether 'tis nobler in the mind"]
    arguments = [word for prompt in prompts for word in ("--prompt", prompt)]
    status, out, _ = call(capsys, folder, *arguments, "--tokens", "20", "--seed", "1")
    assert status == 0
    result = json.loads(call(capsys, folder, *arguments, "--tokens", "20", "--seed", "1", "--json")[1])
    assert [text[: len(prompt)] for text, prompt in zip(result["text"], prompts, strict=True)] == prompts
    assert [len(text) for text in result["text"]] == [len(prompt) + 20 for prompt in prompts]
    assert result["tokens"] == 60
    heads = [f"--- {number} of 3 ---\n{text}\n" for number, text in enumerate(result["text"], start=1)]
    assert out == "".join(heads)


def test_one_token_has_no_decoding_speed(folder, capsys):
    result = json.loads(call(capsys, folder, "--prompt", "t", "--tokens", "1", "--json")[1])
    assert result["tokens_per_second"] is None and len(result["text"]) == 2


def test_an_empty_prompt_begins_with_a_new_line_where_there_is_one(folder, tmp_path, capsys):
    begun = call(capsys, folder, "--prompt", "\n", "--tokens", "9", "--seed", "1", "--json")[1]
    for empty in ([], ["--prompt", ""]):
        result = json.loads(call(capsys, folder, *empty, "--tokens", "9", "--seed", "1", "--json")[1])
        assert "\n" + result["text"] == json.loads(begun)["text"]
    other = make_run(tmp_path / "nano-2", "chars", "abcd")
    status, _, err = call(capsys, other, "--tokens", "9")
    assert status == 2 and "give a --prompt" in err


def test_characters_of_several_bytes_stay_whole(tmp_path, capsys):
    folder = make_run(tmp_path / "bytes-1", "bytes")
    result = json.loads(call(capsys, folder, "--prompt", "é–", "--tokens", "50", "--seed", "2", "--json")[1])
    assert result["text"].startswith("é–") and result["tokens"] == 50
    printed = call(capsys, folder, "--prompt", "é–", "--tokens", "50", "--seed", "2")[1]
    assert printed == result["text"] + "\n"


def test_a_character_left_incomplete_is_shown_as_such():
    out = io.StringIO()
    texts = verb.Texts(train_tokenizer("bytes", ""), ["a"], [[97]], out)
    for byte in "é".encode()[:1]:
        texts.add([byte])
    assert out.getvalue() == "a"
    texts.finish()
    assert out.getvalue() == "a\ufffd\n" and texts.texts == ["a\ufffd"]


@pytest.mark.parametrize(("option", "wanted"), [([], True), (["--no-cache"], False)])
def test_no_cache_is_passed_on(folder, capsys, monkeypatch, option, wanted):
    given = []

    def spy(*args, **settings):
        given.append(settings["use_cache"])
        return stream(*args, **settings)

    monkeypatch.setattr(verb, "stream", spy)
    call(capsys, folder, "--tokens", "2", *option)
    assert given == [wanted]


def test_without_a_seed_two_texts_differ_and_the_seed_is_told(folder, capsys):
    first, second = (json.loads(call(capsys, folder, "--tokens", "30", "--json")[1]) for _ in "ab")
    assert first["seed"] != second["seed"] and first["text"] != second["text"]
    again = call(capsys, folder, "--tokens", "30", "--json", "--seed", str(first["seed"]))[1]
    assert json.loads(again)["text"] == first["text"]


@pytest.mark.parametrize("json_option", [[], ["--json"]])
def test_control_c_keeps_what_was_made(folder, capsys, monkeypatch, json_option):
    closed = []

    class Interrupted(verb.Clock):
        def __iter__(self):
            for ids_B in super().__iter__():
                yield ids_B
                if self.columns == 7:
                    raise KeyboardInterrupt

    monkeypatch.setattr(verb, "Clock", Interrupted)
    monkeypatch.setattr(verb, "say", lambda *words: closed.append(words))
    status, out, _ = call(capsys, folder, "--prompt", "To be", "--tokens", "30", "--seed", "3", *json_option)
    text = json.loads(out)["text"] + "\n" if json_option else out
    assert status == 0 and len(text) == 5 + 7 + 1
    assert any("stopped" in str(words) for words in closed)


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--prompt", "Ω7"], r"unknown characters: '7' \(U\+0037\), 'Ω'"),
        (["--temperature", "-1"], "temperature=-1.0 must be"),
        (["--top-k", "0"], "top_k=0 must be"),
        (["--top-p", "1.5"], r"top_p=1\.5 must be"),
        (["--seed", "-4"], "seed=-4 must be"),
        (["--set", "block.placement=peri"], "--set changes nothing here"),
    ],
)
def test_bad_input_is_named_with_exit_status_2(folder, capsys, arguments, says):
    status, out, err = call(capsys, folder, *arguments)
    assert status == 2 and out == ""
    assert re.search(says, err), err


def test_where_there_is_no_run_the_near_ones_are_named(folder, capsys, tmp_path):
    status, _, err = call(capsys, str(tmp_path / "nano-7"))
    assert status == 2 and "nano-7 does not exist; there are" in err and "nano-1" in err


def make_hub_run(path, ends=(), vocab=300, chat_template=CHAT):
    """A run whose tokenizer came from elsewhere."""
    config = override(nano(), "model.width=24", "model.num_layers=2", "model.context=64", f"model.vocab_size={vocab}")
    run = Run.create(path, "nano")
    run.write_json("config.json", to_dict(config))
    backend = json.loads(byte_level().to_str())
    run.write_json("tokenizer.json", HubTokenizer(backend, ends=ends, chat_template=chat_template).to_dict())
    save_weights(run.path, "kept", oneblock.build(config, seed=5).state_dict(), {})
    return str(run.path)


GREEDY = ("--temperature", "0", "--tokens", "12", "--json")


def test_a_text_ends_at_its_end_token_which_is_not_printed(tmp_path, capsys):
    backend = HubTokenizer(json.loads(byte_level().to_str()))
    model = oneblock.load(make_hub_run(tmp_path / "free-1"))
    prompts = ["the end", "It's 1999: 東"]
    rows = [oneblock.generate(model, torch.tensor(backend.encode(one))[None], 12, temperature=0)[0] for one in prompts]
    new = [row[len(backend.encode(one)) :].tolist() for row, one in zip(rows, prompts, strict=True)]
    stops = new[0][3], new[1][5]
    wanted, ends = [], []
    for prompt, ids in zip(prompts, new, strict=True):
        end = next(place for place, token in enumerate(ids) if token in stops)
        ends.append(end + 1)
        wanted.append(prompt + backend.decode([*backend.encode(prompt), *ids[:end]]).removeprefix(prompt))
    folder = make_hub_run(tmp_path / "ended-1", ends=stops)
    for prompt, text, made in zip(prompts, wanted, ends, strict=True):
        result = json.loads(call(capsys, folder, "--prompt", prompt, *GREEDY)[1])
        assert result["text"] == text and result["tokens"] == made
    both = json.loads(call(capsys, folder, "--prompt", prompts[0], "--prompt", prompts[1], *GREEDY)[1])
    assert both["text"] == wanted and both["tokens"] == 2 * max(ends) and "answer" not in both


def test_chat_puts_the_prompt_in_the_models_own_form(tmp_path, capsys):
    folder = make_hub_run(tmp_path / "chat-1")
    result = json.loads(call(capsys, folder, "--chat", "--prompt", "the end", *GREEDY)[1])
    asked = "<|start|>system\nBe kind.<|end|>\n<|start|>user\nthe end<|end|>\n<|start|>assistant\n"
    assert result["text"] == asked + result["answer"] and result["answer"]
    model, backend = oneblock.load(folder), HubTokenizer(json.loads(byte_level().to_str()))
    tokens = torch.tensor(backend.encode(asked))[None]
    made = oneblock.generate(model, tokens, 12, temperature=0)[0, tokens.shape[1] :]
    assert result["answer"] == backend.decode(made.tolist())
    status, out, _ = call(capsys, folder, "--chat", "--prompt", "the end", *GREEDY[:-1])
    assert status == 0 and out == result["text"] + "\n"


@pytest.mark.parametrize(
    ("more", "arguments", "words"),
    [
        ({}, ["--chat"], "give a --prompt to answer"),
        ({"chat_template": None}, ["--chat", "--prompt", "x"], "no chat template"),
        ({"chat_template": "{{ raise_exception('No!') }}"}, ["--chat", "--prompt", "x"], "template failed: No!"),
        ({"vocab": 299}, ["--prompt", "x"], "is not this model's: it has 300 tokens, more than the model's 299"),
        ({"vocab": 400}, ["--prompt", "x"], "far fewer than the model's 400"),
    ],
)
def test_what_is_wrong_with_a_conversation_or_a_tokenizer(tmp_path, capsys, more, arguments, words):
    status, _, err = call(capsys, make_hub_run(tmp_path / "wrong-1", **more), *arguments)
    assert status == 2 and words in err


def test_a_gguf_file(tmp_path, capsys):
    config = oneblock.config.Decoder(
        vocab_size=300, context=60, width=24, num_layers=2,
        blocks=(
            oneblock.config.Block(
                norm=oneblock.config.RMSNorm(), attention=oneblock.config.Attention(num_heads=3, head_width=8),
                feed_forward=oneblock.config.Gated(hidden=31),
            ),
        ),
    )  # fmt: skip
    model = oneblock.build(config, seed=5)
    path = write(tmp_path / "m.gguf", config, model.state_dict())
    backend = HubTokenizer(json.loads(byte_level().to_str()))
    made = oneblock.generate(model, torch.tensor(backend.encode("the end"))[None], 12, temperature=0, stop=2)[
        0
    ].tolist()
    text = json.loads(call(capsys, str(path), "--prompt", "the end", *GREEDY)[1])["text"]
    assert text == backend.decode([token for token in made if token != 2])
    path.write_bytes(path.read_bytes()[:9000])
    status, _, err = call(capsys, str(path), "--prompt", "the end")
    assert status == 2 and "damaged or cut short" in err
