"""A run read back: which weights are taken, and what is said where they do not fit."""

import pytest
import torch

import oneblock
from oneblock.config import override, to_dict
from oneblock.config.errors import OneblockError
from oneblock.config.presets import nano
from oneblock.data.tokenizer import train_tokenizer
from oneblock.runs.checkpoint import save_checkpoint
from oneblock.runs.errors import RunError
from oneblock.runs.load import load, load_config, load_tokenizer
from oneblock.runs.weights import save_weights

TEXT = "to be, or not\n"


@pytest.fixture
def run(tmp_path):
    """A run's folder without weights, its configuration and a model for it."""
    config = override(nano(), "model.width=24", "model.num_layers=2", "model.context=11")
    tokenizer = train_tokenizer("chars", TEXT)
    config = override(config, f"model.vocab_size={tokenizer.vocab_size}")
    made = oneblock.runs.folder.Run.create(tmp_path / "nano-1", "nano")
    made.write_json("config.json", to_dict(config))
    made.write_json("tokenizer.json", tokenizer.to_dict())
    return made.path, config, oneblock.build(config, seed=5)


def test_the_kept_weights_come_back_bit_for_bit(run):
    path, config, model = run
    save_weights(path, "kept", model.state_dict(), {"step": 3})
    state = torch.get_rng_state()
    loaded = oneblock.load(str(path))
    assert torch.equal(state, torch.get_rng_state())
    assert not any(module.training for module in loaded.modules())
    assert loaded.state_dict().keys() == model.state_dict().keys()
    for name, tensor in model.state_dict().items():
        assert torch.equal(loaded.state_dict()[name], tensor), name
    assert load_config(path) == config and load_tokenizer(path) == train_tokenizer("chars", TEXT)


def test_without_kept_weights_the_newest_checkpoint_is_taken(run):
    path, _, model = run
    for step, scale in ((2, 1.0), (7, 3.0)):
        tensors = {f"model.{name}": tensor * scale for name, tensor in model.state_dict().items()}
        save_checkpoint(path, step, tensors | {"optimizer.moment": torch.ones(2)}, {})
    loaded = load(path)
    assert torch.equal(loaded.embedding.weight, model.embedding.weight * 3)


def test_what_does_not_fit_is_listed_both_ways(run):
    path, _, model = run
    tensors = dict(model.state_dict())
    tensors["blocks.9.norm.weight"] = tensors.pop("blocks.1.attention.qkv.weight")
    tensors["embedding.weight"] = torch.zeros(2, 24)
    save_weights(path, "kept", tensors, {})
    with pytest.raises(RunError) as caught:
        load(path)
    message = str(caught.value)
    assert "missing: blocks.1.attention.qkv.weight;" in message
    assert "unexpected: blocks.9.norm.weight;" in message
    assert "of another shape: embedding.weight is (2, 24) and should be" in message


def test_a_run_without_anything_to_load_says_so(run):
    with pytest.raises(RunError, match="no checkpoint in"):
        load(run[0])


def test_where_there_is_no_run_the_near_ones_are_named(run):
    with pytest.raises(RunError, match=r"nano-2 does not exist; there are .*nano-1"):
        load(run[0].parent / "nano-2")
    (run[0] / "tokenizer.json").unlink()
    with pytest.raises(OneblockError, match=r"tokenizer\.json is missing"):
        load_tokenizer(run[0])
