"""Folders in and out: whole or not at all, the same numbers, what belongs to them carried along."""

import json
from pathlib import Path

import pytest
import torch
from safetensors import safe_open

import oneblock
from oneblock.config import Config, to_dict
from oneblock.config.errors import OneblockError
from oneblock.data.errors import DataError
from oneblock.data.tokenizer import CharTokenizer
from oneblock.runs import convert
from oneblock.runs.convert import to_hugging_face, to_oneblock
from oneblock.runs.errors import RunError
from oneblock.runs.folder import Run
from oneblock.runs.load import load_config, load_tokenizer
from oneblock.runs.weights import save_weights
from oneblock.weights.errors import WeightsError

TEXT = "ab cde\nfghi"
TOKENS = torch.tensor([[1, 5, 2, 10, 7], [0, 3, 3, 8, 9]])


def config(preset="llama_nano", *changes):
    small = ("width=12", "num_layers=2", "block.attention.num_heads=2", "block.feed_forward.hidden=11", "context=16")
    settings = (*small, f"vocab_size={len(TEXT)}", *changes)
    return oneblock.override(getattr(oneblock.presets, preset)(), *settings)


@pytest.fixture
def run(tmp_path):
    """A run with a character tokenizer, as training leaves it."""

    def make(option: Config, name="run"):
        made = Run.create(tmp_path / name, "run")
        made.write_json("config.json", to_dict(option))
        made.write_json("tokenizer.json", CharTokenizer(TEXT).to_dict())
        save_weights(made.path, "kept", oneblock.build(option, seed=3).state_dict(), {})
        return made.path

    return make


def logits(folder):
    with torch.no_grad():
        return oneblock.load(folder)(TOKENS)


def tensors(folder):
    found = {}
    for path in sorted(folder.glob("*.safetensors")):
        with safe_open(path, framework="pt") as file:
            found |= {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    return found


def test_out_and_in_again_bit_for_bit(run, tmp_path):
    begun = run(config())
    out = to_hugging_face(begun, tmp_path / "hf")
    assert (out.family, out.left_aside, out.tokenizer) == ("llama", [], True)
    back = to_oneblock(out.path, tmp_path / "back")
    assert back.parameters == out.parameters == sum(each.numel() for each in oneblock.load(begun).parameters())
    assert torch.equal(logits(begun), logits(out.path))
    assert torch.equal(logits(begun), logits(back.path))
    again = to_hugging_face(back.path, tmp_path / "again")
    first, second = tensors(out.path), tensors(again.path)
    assert first.keys() == second.keys()
    assert all(torch.equal(first[name], second[name]) for name in first)
    assert json.loads((out.path / "config.json").read_text()) == json.loads((again.path / "config.json").read_text())
    assert (out.path / "tokenizer.json").read_bytes() == (again.path / "tokenizer.json").read_bytes()


def test_the_tokenizer_goes_with_it(run, tmp_path):
    out = to_hugging_face(run(config()), tmp_path / "hf")
    back = to_oneblock(out.path, tmp_path / "back")
    for folder in (out.path, back.path):
        assert list(load_tokenizer(folder).encode("ab\nc")) == list(CharTokenizer(TEXT).encode("ab\nc"))


def test_files_that_belong_to_a_model_are_carried_as_they_are(run, tmp_path):
    out = to_hugging_face(run(config()), tmp_path / "hf").path
    (out / "chat_template.jinja").write_text("{{ messages }}")
    (out / "generation_config.json").write_text('{"eos_token_id": 4, "top_p": 0.9}')
    (out / "README.md").write_text("left where it is")
    fields = json.loads((out / "config.json").read_text())
    (out / "config.json").write_text(json.dumps(fields | {"bos_token_id": 3, "eos_token_id": 5}))
    back = to_oneblock(out, tmp_path / "back").path
    assert (back / "chat_template.jinja").read_text() == "{{ messages }}"
    assert json.loads((back / "generation_config.json").read_text()) == {
        "eos_token_id": 4,
        "top_p": 0.9,
        "bos_token_id": 3,
    }
    assert not (back / "README.md").exists()
    again = json.loads((to_hugging_face(back, tmp_path / "again").path / "config.json").read_text())
    assert (again["bos_token_id"], again["eos_token_id"], again["pad_token_id"]) == (3, 4, None)


def test_the_numbers_stay_in_their_format_unless_asked(run, tmp_path):
    begun = run(config())
    narrow = to_hugging_face(begun, tmp_path / "narrow", dtype=torch.bfloat16).path
    assert {tensor.dtype for tensor in tensors(narrow).values()} == {torch.bfloat16}
    assert json.loads((narrow / "config.json").read_text())["dtype"] == "bfloat16"
    kept = to_oneblock(narrow, tmp_path / "kept").path
    assert {parameter.dtype for parameter in oneblock.load(kept).parameters()} == {torch.bfloat16}
    wide = to_oneblock(narrow, tmp_path / "wide", dtype=torch.float32).path
    assert {parameter.dtype for parameter in oneblock.load(wide).parameters()} == {torch.float32}


def test_large_models_go_out_in_shards(run, tmp_path):
    begun = run(config())
    out = to_hugging_face(begun, tmp_path / "hf", shard_bytes=2000).path
    shards = sorted(path.name for path in out.glob("*.safetensors"))
    assert len(shards) > 3
    assert shards[0] == f"model-00001-of-{len(shards):05d}.safetensors"
    index = json.loads((out / "model.safetensors.index.json").read_text())
    assert set(index["weight_map"].values()) == set(shards)
    found = tensors(out)
    assert index["weight_map"].keys() == found.keys()
    assert index["metadata"]["total_size"] == sum(tensor.nbytes for tensor in found.values())
    for name in shards:
        with safe_open(out / name, framework="pt") as file:
            sizes = [file.get_tensor(key).nbytes for key in file.keys()]  # noqa: SIM118
        assert sum(sizes) <= 2000 or len(sizes) == 1
    assert torch.equal(logits(out), logits(begun))


def test_a_taken_place_is_refused(run, tmp_path):
    begun = run(config())
    taken = tmp_path / "taken"
    taken.mkdir()
    assert to_hugging_face(begun, taken).path == taken
    with pytest.raises(RunError, match="taken is not empty"):
        to_hugging_face(begun, taken)
    (tmp_path / "file").write_text("mine")
    with pytest.raises(RunError, match="file is a file"):
        to_hugging_face(begun, tmp_path / "file")
    assert (tmp_path / "file").read_text() == "mine"


def test_nothing_is_left_where_it_fails(run, tmp_path, monkeypatch):
    begun = run(config())
    monkeypatch.setattr(convert, "_write", lambda *arguments: (_ for _ in ()).throw(OSError(28, "No space left")))
    before = sorted(path.name for path in tmp_path.iterdir())
    with pytest.raises(RunError, match=r"cannot save the converted model .* No space left.* There is nothing at"):
        to_hugging_face(begun, tmp_path / "hf")
    assert sorted(path.name for path in tmp_path.iterdir()) == before


def test_a_full_disk_is_told_of_the_folder_that_was_asked_for(run, tmp_path, full_after):
    out = to_hugging_face(run(config()), tmp_path / "hf").path
    with full_after(5000), pytest.raises(RunError, match=r"model at .*/ours: No space .* There is nothing at") as told:
        to_oneblock(out, tmp_path / "ours")
    assert "--resume" not in str(told.value) and sorted(path.name for path in tmp_path.iterdir()) == ["hf", "run"]


def test_nothing_is_made_of_what_does_not_fit(run, tmp_path):
    out = to_hugging_face(run(config()), tmp_path / "hf").path
    fields = json.loads((out / "config.json").read_text())
    (out / "config.json").write_text(json.dumps(fields | {"num_hidden_layers": 3}))
    with pytest.raises(WeightsError, match="missing: .*layers.2"):
        to_oneblock(out, tmp_path / "back")
    assert not (tmp_path / "back").exists()


def test_a_tokenizer_of_another_model_is_refused(run, tmp_path):
    out = to_hugging_face(run(config()), tmp_path / "hf").path
    backend = json.loads((out / "tokenizer.json").read_text())
    backend["model"]["vocab"] |= {"x": len(TEXT), "y": len(TEXT) + 1}
    (out / "tokenizer.json").write_text(json.dumps(backend))
    for convert_to in (to_oneblock, to_hugging_face):
        with pytest.raises(DataError, match=r"hf is not this model's: it has 13 tokens, more than the model's 11"):
            convert_to(out, tmp_path / "back")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["hf", "run"]


def test_an_empty_folder_is_told_so(tmp_path):
    (tmp_path / "empty").mkdir()
    with pytest.raises(WeightsError, match=r"empty holds no config.json; give the folder of a whole model"):
        to_oneblock(tmp_path / "empty", tmp_path / "ours")


def test_folders_made_on_the_way_go_too_where_it_fails(run, tmp_path, full_after):
    out = to_hugging_face(run(config()), tmp_path / "hf").path
    with full_after(5000), pytest.raises(RunError, match="No space left"):
        to_oneblock(out, tmp_path / "a" / "b" / "ours")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["hf", "run"]


def test_what_a_killed_one_left_goes_with_the_next(run, tmp_path):
    left = tmp_path / ".hf.12345.tmp"
    left.mkdir()
    (left / "model.safetensors").write_bytes(b"half")
    (tmp_path / ".other.12345.tmp").mkdir()
    to_hugging_face(run(config()), tmp_path / "hf")
    assert sorted(path.name for path in tmp_path.iterdir()) == [".other.12345.tmp", "hf", "run"]


def test_sharded_bfloat16_goes_out_and_comes_in_bit_for_bit(run, tmp_path):
    begun = run(config())
    out = to_hugging_face(begun, tmp_path / "hf", shard_bytes=2000, dtype=torch.bfloat16).path
    assert len(list(out.glob("model-*.safetensors"))) > 2
    back = oneblock.load(to_oneblock(out, tmp_path / "ours").path).state_dict()
    for name, tensor in oneblock.load(begun).state_dict().items():
        assert back[name].dtype == torch.bfloat16 and torch.equal(back[name], tensor.bfloat16()), name


def test_into_the_source_itself_and_through_a_link(run, tmp_path):
    begun = run(config())
    inside = to_hugging_face(begun, begun / "hf").path
    assert torch.equal(logits(inside), logits(begun))
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to("real")
    assert torch.equal(logits(to_oneblock(inside, tmp_path / "link").path), logits(begun))
    assert (tmp_path / "link").is_symlink() and (tmp_path / "real" / "config.json").is_file()


def test_the_folder_one_stands_in_is_not_replaced(run, tmp_path, monkeypatch):
    begun = run(config())
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    with pytest.raises(RunError, match=r"\. is where you are, .* choose another DST"):
        to_hugging_face(begun, Path())


@pytest.mark.parametrize(
    ("text", "says"), [("[1]", "must hold an object, and holds a list"), ("{", "is not valid JSON")]
)
def test_a_damaged_generation_config(run, tmp_path, text, says):
    out = to_hugging_face(run(config()), tmp_path / "hf").path
    (out / "generation_config.json").write_text(text)
    with pytest.raises(OneblockError, match=f"generation_config.json {says}"):
        to_oneblock(out, tmp_path / "ours")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["hf", "run"]


@pytest.mark.parametrize("name", ["config.json", "model.safetensors"])
def test_a_file_out_of_a_folder(run, tmp_path, name):
    out = to_hugging_face(run(config()), tmp_path / "hf").path
    with pytest.raises(WeightsError, match=f"{name} is neither a GGUF file nor .*; of a model in safetensors give the"):
        to_oneblock(out / name, tmp_path / "ours")


def test_what_no_family_can_say_stays_here(run, tmp_path):
    with pytest.raises(WeightsError, match=r"llama: blocks.0.attention_only.placement=peri, and there it is pre"):
        to_hugging_face(run(config("llama_nano", "block.placement=peri")), tmp_path / "hf")
    assert not (tmp_path / "hf").exists()


def test_a_run_is_one_of_ours_already(run, tmp_path):
    with pytest.raises(RunError, match="a run or a converted folder already"):
        to_oneblock(run(config()), tmp_path / "back")
    with pytest.raises(RunError, match="does not exist"):
        to_oneblock(tmp_path / "nowhere", tmp_path / "back")


def test_nanogpt_through_to_both(tmp_path):
    option = config("gpt2", "block.feed_forward.activation=gelu").model
    model = oneblock.build(option, seed=1)
    names = {
        "embedding": "wte", "position": "wpe", "norm": "ln_f", "blocks": "h", "attention.norm_in": "ln_1",
        "attention.qkv": "attn.c_attn", "attention.output": "attn.c_proj", "feed_forward.norm_in": "ln_2",
        "feed_forward.up": "mlp.c_fc", "feed_forward.down": "mlp.c_proj",
    }  # fmt: skip
    theirs = {}
    for name, tensor in model.state_dict().items():
        first = name.split(".", 1)[0]
        rest = name.split(".", 2)[2] if first == "blocks" else name
        part = rest.rsplit(".", 1)
        layer = f"h.{name.split('.')[1]}." if first == "blocks" else ""
        theirs[f"transformer.{layer}{names[part[0]]}.{part[1]}"] = tensor
    args = {"n_layer": 2, "n_head": 2, "n_embd": 12, "block_size": 16, "vocab_size": len(TEXT), "bias": True}
    # Its feed-forward is always four times as wide.
    assert option.blocks[0].feed_forward.hidden == 11
    with pytest.raises(WeightsError, match=r"c_fc.weight is \[11, 12\] and should be \[48, 12\]"):
        torch.save({"model": theirs, "model_args": args}, tmp_path / "ckpt.pt")
        to_oneblock(tmp_path / "ckpt.pt", tmp_path / "no")
    wide = oneblock.override(config("gpt2", "block.feed_forward.activation=gelu"), "block.feed_forward.hidden=48")
    grown = oneblock.build(wide, seed=1)
    theirs = {their: grown.state_dict()[ours] for their, ours in zip(theirs, model.state_dict(), strict=True)}
    torch.save({"model": theirs, "model_args": args}, tmp_path / "ckpt.pt")
    into = to_oneblock(tmp_path / "ckpt.pt", tmp_path / "ours")
    assert (into.family, into.tokenizer) == ("nanogpt", False)
    assert load_config(into.path).name == "nanogpt"
    out = to_hugging_face(tmp_path / "ckpt.pt", tmp_path / "hf")
    assert out.family == "gpt2"
    with torch.no_grad():
        right = grown.eval()(TOKENS)
    assert torch.equal(logits(into.path), right)
    assert torch.equal(logits(out.path), right)
