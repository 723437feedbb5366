"""Reading a folder as Hugging Face lays it out: what fits is read, what does not is told before anything is."""

import json
from dataclasses import replace

import pytest
import torch
from safetensors.torch import save_file

import oneblock
from oneblock.config import Attention, Block, Config, Decoder, Gated, Llama3Scaling, RMSNorm, Rope
from oneblock.weights import reading
from oneblock.weights.errors import WeightsError
from oneblock.weights.families import FAMILIES, supported
from oneblock.weights.families.llama import LLAMA
from oneblock.weights.reading import open_checkpoint
from oneblock.weights.writing import express

NORM = RMSNorm(eps=1e-6)
MODEL = Decoder(
    vocab_size=13,
    width=14,
    context=32,
    num_layers=3,
    tied=False,
    position=Rope(theta=500.0),
    blocks=(
        Block(
            norm=NORM,
            attention=Attention(num_heads=6, num_kv_heads=2, head_width=4),
            feed_forward=Gated(activation="silu", hidden=11),
        ),
    ),
)
LAST = "model.layers.2.mlp.up_proj.weight"


@pytest.fixture
def model():
    return oneblock.build(MODEL, seed=0).eval()


@pytest.fixture
def written(tmp_path, model):
    """fields and tensors, to be changed, and what puts them into a folder."""

    return Written(tmp_path / "llama", model)


class Written:
    def __init__(self, folder, model):
        said = express(Config(name="llama", model=MODEL))
        self.folder, self.fields = folder, dict(said.fields)
        self.tensors = {name: tensor.contiguous().clone() for name, tensor in said.tensors(model.state_dict())}

    def save(self):
        self.folder.mkdir(exist_ok=True)
        (self.folder / "config.json").write_text(json.dumps(self.fields))
        save_file(self.tensors, self.folder / "model.safetensors", {"format": "pt"})
        return self.folder


TOKENS = torch.tensor([[1, 5, 2, 12, 7], [0, 3, 3, 8, 11]])


def same(loaded, model):
    with torch.no_grad():
        return torch.equal(loaded(TOKENS), model(TOKENS))


def test_a_folder_is_loaded_in_eval_mode(written, model):
    loaded = oneblock.load(written.save())
    assert not loaded.training
    assert same(loaded, model)
    assert all(parameter.requires_grad for parameter in loaded.parameters())


def test_the_dtype_of_the_file_is_kept(written):
    written.tensors = {name: tensor.bfloat16() for name, tensor in written.tensors.items()}
    loaded = oneblock.load(written.save())
    assert {parameter.dtype for parameter in loaded.parameters()} == {torch.bfloat16}
    assert open_checkpoint(written.folder).model(torch.float64).norm.weight.dtype == torch.float64


def test_names_without_the_prefix_are_read(written, model):
    written.tensors = {name.removeprefix("model."): tensor for name, tensor in written.tensors.items()}
    assert same(oneblock.load(written.save()), model)


def test_shards(written, model):
    folder = written.save()
    (folder / "model.safetensors").unlink()
    names = sorted(written.tensors)
    where = {name: f"model-0000{1 + (number % 3)}-of-00003.safetensors" for number, name in enumerate(names)}
    for file in set(where.values()):
        save_file({name: written.tensors[name] for name in names if where[name] == file}, folder / file)
    index = folder / "model.safetensors.index.json"
    index.write_text(json.dumps({"weight_map": where}))
    assert same(oneblock.load(folder), model)
    (folder / "model-00002-of-00003.safetensors").unlink()
    with pytest.raises(WeightsError, match="model-00002-of-00003.safetensors, missing"):
        oneblock.load(folder)
    index.write_text("{}")
    with pytest.raises(WeightsError, match="is not an index of shards"):
        oneblock.load(folder)
    for outside in ("../elsewhere.safetensors", 1):
        index.write_text(json.dumps({"weight_map": {"a": outside, "b": "model.safetensors"}}))
        with pytest.raises(WeightsError, match="not a file beside it"):
            oneblock.load(folder)


def test_what_is_wrong_is_listed_both_ways_before_anything_is_read(written, monkeypatch):
    del written.tensors["model.layers.1.self_attn.k_proj.weight"], written.tensors["model.norm.weight"]
    written.tensors["model.layers.3.input_layernorm.weight"] = torch.ones(14)
    written.tensors[LAST] = written.tensors[LAST].T.contiguous()
    folder = written.save()
    monkeypatch.setattr("oneblock.weights.source.Safetensors.get", lambda *arguments: pytest.fail("read"))
    with pytest.raises(WeightsError) as caught:
        oneblock.load(folder)
    said = str(caught.value)
    assert "missing: model.layers.1.self_attn.k_proj.weight, model.norm.weight;" in said
    assert "unexpected: model.layers.3.input_layernorm.weight;" in said
    assert f"of another shape: {LAST} is [14, 11] and should be [11, 14]" in said


def test_square_matrices_are_told_apart_by_name_alone(written, model):
    """No shape would tell q from o here: the table must."""
    q, o = (f"model.layers.0.self_attn.{part}_proj.weight" for part in "qo")
    assert written.tensors[q].shape == (24, 14)
    assert written.tensors[o].shape == (14, 24)
    assert torch.equal(oneblock.load(written.save()).blocks[0].attention.output.weight, written.tensors[o])


def test_buffers_are_left_aside(written):
    written.tensors["model.layers.0.self_attn.rotary_emb.inv_freq"] = torch.ones(2)
    checkpoint = open_checkpoint(written.save())
    assert checkpoint.left_aside == ["model.layers.0.self_attn.rotary_emb.inv_freq"]


def test_a_tied_head_may_stand_there_again_if_it_is_the_same(written):
    written.fields["tie_word_embeddings"] = True
    written.tensors["lm_head.weight"] = written.tensors["model.embed_tokens.weight"].clone()
    checkpoint = open_checkpoint(written.save())
    assert checkpoint.left_aside == ["lm_head.weight"]
    assert "head.weight" not in checkpoint.tensors()
    written.tensors["lm_head.weight"][3, 3] += 1
    with pytest.raises(WeightsError, match="they differ"):
        open_checkpoint(written.save())


def test_a_truncated_file(written):
    path = written.save() / "model.safetensors"
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(WeightsError, match=r"model.safetensors is no whole safetensors file"):
        oneblock.load(written.folder)
    path.write_bytes(b"")
    with pytest.raises(WeightsError, match=r"is no whole safetensors file .* has 0 bytes"):
        oneblock.load(written.folder)


def test_a_pickle_is_never_opened(written, tmp_path):
    path = written.save() / "model.safetensors"

    class Trap:
        def __reduce__(self):
            return (open, (str(tmp_path / "sprung"), "w"))

    torch.save({"a": Trap()}, path)
    with pytest.raises(WeightsError, match="a pickle under the name of a safetensors file"):
        oneblock.load(written.folder)
    path.rename(written.folder / "pytorch_model.bin")
    with pytest.raises(WeightsError, match=r"has pytorch_model.bin, and no model.safetensors"):
        oneblock.load(written.folder)
    assert not (tmp_path / "sprung").exists()


def test_a_header_whose_length_begins_as_a_pickle_does_is_read(written, model):
    path = written.save() / "model.safetensors"
    raw = path.read_bytes()
    length = int.from_bytes(raw[:8], "little")
    for begin in (b"PK", b"\x80\x02"):
        longer = next(n for n in range(length, 1 << 20) if n.to_bytes(8, "little")[:2] == begin)
        path.write_bytes(longer.to_bytes(8, "little") + raw[8 : 8 + length].ljust(longer) + raw[8 + length :])
        assert same(oneblock.load(written.folder), model)


def test_no_weights_at_all(written):
    (written.save() / "model.safetensors").unlink()
    with pytest.raises(WeightsError, match="neither model.safetensors nor"):
        oneblock.load(written.folder)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"model_type": "mamba"}, r"model_type='mamba', which is not supported; supported: .*gpt2.*llama"),
        ({"model_type": None}, "has no model_type|names model_type=None"),
        ({"architectures": ["LlamaForSequenceClassification"]}, "architecture LlamaForSequenceClassification"),
        ({"architectures": "LlamaForCausalLM"}, "architectures='LlamaForCausalLM' must be a list"),
        ({"hidden_act": "mish"}, "hidden_act='mish' is not supported; supported: .*silu"),
        ({"rope_parameters": {"rope_type": "longrope", "factor": 2.0}}, "rope_type='longrope' is not supported"),
        ({"rope_parameters": {"rope_type": "yarn", "factor": 4.0, "attention_factor": 1.0}}, "attention_factor=1.0"),
        ({"rope_parameters": {"rope_type": "linear"}}, "rope_parameters: factor is missing"),
        ({"rope_parameters": {"rope_theta": 1e4, "partial_rotary_factor": 0.5}}, "partial_rotary_factor=0.5"),
        ({"num_attention_heads": 7}, "asks for a llama that cannot be built: .*num_kv_heads=2 must divide"),
        ({"rms_norm_eps": [1]}, "cannot be built: .*eps"),
        ({"rope_theta": "a lot", "rope_parameters": None}, "rope_theta='a lot' must be a number"),
        ({"rope_parameters": [1, 2]}, r"rope_parameters=\[1, 2\] must be an object"),
        ({"num_hidden_layers": 0}, "cannot be built: num_layers=0 must be 1 or more"),
        ({"hidden_size": "wide"}, "cannot be built: width=wide must be a whole number"),
    ],
)
def test_a_configuration_that_is_not_supported(written, change, says):
    written.fields |= change
    with pytest.raises(WeightsError, match=says):
        oneblock.load(written.save())


def test_a_fault_of_ours_is_not_called_theirs(written, monkeypatch):
    def broken(options):
        raise TypeError("a fault in the table")

    monkeypatch.setattr(reading, "family_of", lambda *arguments: replace(LLAMA, read=broken))
    with pytest.raises(TypeError, match="a fault in the table"):
        oneblock.load(written.save())


def test_every_family_is_listed():
    assert {"gpt2", "llama", "mistral", "qwen3", "gemma2", "gemma3_text", "olmo2"} <= set(supported())
    assert {"gpt_neox", "gptj", "mixtral", "qwen3_moe", "minimind"} <= set(supported())
    assert len({family.name for family in FAMILIES}) == len(FAMILIES)


def test_fields_that_nobody_asks_for_are_told(written):
    written.fields |= {"attention_sinks": 4, "use_cache": False}
    assert open_checkpoint(written.save()).unread == ["attention_sinks"]


def test_no_configuration(written):
    (written.save() / "config.json").write_text("{")
    with pytest.raises(oneblock.OneblockError, match="not valid JSON"):
        oneblock.load(written.folder)
    (written.folder / "config.json").unlink()
    with pytest.raises(oneblock.OneblockError, match="config.json is missing"):
        oneblock.load(written.folder)


@pytest.mark.parametrize("older", [True, False])
def test_rotary_scaling_in_both_generations(written, older):
    scaling = {"factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0, "original_max_position_embeddings": 16}
    for name in ("rope_parameters", "rope_scaling", "rope_theta"):
        written.fields.pop(name)
    if older:
        written.fields |= {"rope_theta": 700.0, "rope_scaling": {"type": "llama3", **scaling}}
    else:
        written.fields |= {"rope_parameters": {"rope_type": "llama3", "rope_theta": 700.0, **scaling}}
    expected = Rope(theta=700.0, scaling=Llama3Scaling(factor=8.0, low=1.0, high=4.0, original_context=16))
    assert open_checkpoint(written.save()).config.model.position == expected


def test_defaults_are_the_class_s_own(written):
    """A config.json may leave out what its class takes by itself."""
    for name in ("rms_norm_eps", "hidden_act", "attention_bias", "mlp_bias", "tie_word_embeddings"):
        written.fields.pop(name)
    assert open_checkpoint(written.save()).config.model == MODEL


def test_a_model_in_bfloat16_answers_near_the_same(written, model):
    written.tensors = {name: tensor.bfloat16() for name, tensor in written.tensors.items()}
    loaded = oneblock.load(written.save())
    with torch.no_grad():
        narrow, wide = loaded(TOKENS), loaded.float()(TOKENS)
    assert narrow.dtype == torch.bfloat16
    assert 0 < (narrow - wide).abs().max() < 0.05 * wide.abs().max()


def test_a_model_in_several_formats_is_read_as_it_is(written):
    """Some keep their norms wide."""
    written.tensors = {
        name: tensor if "norm" in name else tensor.bfloat16() for name, tensor in written.tensors.items()
    }
    loaded = oneblock.load(written.save())
    assert loaded.norm.weight.dtype == torch.float32
    assert loaded(TOKENS).dtype == torch.bfloat16
