"""From a configuration to a run's folder and its result. Going on is in `test_resume.py`, training in `test_loop.py`."""

import json

import pytest
import torch

from oneblock.config.serial import config_from_dict
from oneblock.data.errors import DataError
from oneblock.runs.checkpoint import load_checkpoint
from oneblock.runs.errors import RunError
from oneblock.runs.metrics import MetricsLog
from oneblock.runs.weights import load_weights
from oneblock.train import session
from oneblock.train.session import start
from oneblock.train.tasks import next_token


def test_a_start_writes_what_a_run_needs(tmp_path, small, text):
    config, task, run = start(small("recipe.steps=3", "vocab_size=99"), tmp_path / "run")
    corpus = task.corpus
    assert config.model.vocab_size == corpus.tokenizer.vocab_size == len(set(text.read_text()))
    assert config_from_dict(run.read_json("config.json")) == config
    assert run.read_json("tokenizer.json") == corpus.tokenizer.to_dict()
    assert run.read_json("data.json") == {"name": "text.txt", "origin": f"the file {text}", "sha256": corpus.sha256} | {
        "characters_per_token": dict.fromkeys(("train", "selection", "validation"), 1.0)
    }


@pytest.mark.parametrize("setting", ["recipe.data=nowhere.txt", "context=64", "recipe.tokenizer=words"])
def test_what_cannot_be_begun_leaves_no_folder(tmp_path, small, setting):
    with pytest.raises(DataError):
        start(small("recipe.steps=3", setting), tmp_path / "run")
    assert not (tmp_path / "run").exists()
    (tmp_path / "run").mkdir()
    (tmp_path / "run/letter").write_text("Dear")
    with pytest.raises(RunError, match="not empty"):
        start(small("recipe.steps=3"), tmp_path / "run")


def test_the_same_seed_gives_the_same_run_and_another_another(tmp_path, train, left, same):
    for name, seed in (("one", 5), ("two", 5), ("other", 6)):
        train(tmp_path / name, "recipe.steps=4", f"recipe.seed={seed}", "block.dropout=0.2")
    one, two, other = (left(tmp_path / name) for name in ("one", "two", "other"))
    same(one, two)
    assert one["told"][0]["loss"] != other["told"][0]["loss"]


def test_the_head_of_the_log(tmp_path, train):
    result, training = train(tmp_path / "run", "recipe.steps=4")
    head = MetricsLog(tmp_path / "run/metrics.jsonl").read()[0]
    assert head["event"] == "start" and head["step"] == 0
    assert head["horizon"] == training.parts.horizon.to_dict() and head["horizon"]["steps"] == 4
    assert head["tokens_a_step"] == 96 and head["parameters"] == result["parameters"]
    assert head["parameters"] == sum(p.numel() for p in training.model.parameters())
    assert (head["precision"], head["compiled"], head["peak_flops"]) == ("float32", False, 1e12)


def test_speed_is_that_of_the_steps_but_the_first(tmp_path, train):
    result, training = train(tmp_path / "run", "recipe.steps=4")
    timed = training.loop.steps_timed
    assert len(timed) == 4 and all(seconds > 0 for seconds in timed)
    assert result["tokens_per_second"] == pytest.approx(3 * 96 / sum(timed[1:]))
    flops = MetricsLog(tmp_path / "run/metrics.jsonl").read()[0]["flops_per_token"]
    assert result["peak_share"] == pytest.approx(result["tokens_per_second"] * flops / 1e12)
    assert result["seconds"] >= sum(timed)


def test_samples_are_text_and_leave_the_training_as_it_was(tmp_path, train, text, left, same):
    train(tmp_path / "often", "recipe.steps=5", "recipe.sample_every=1", "block.dropout=0.3", "recipe.average=0.9")
    train(tmp_path / "seldom", "recipe.steps=5", "recipe.sample_every=5", "block.dropout=0.3", "recipe.average=0.9")
    often, seldom = left(tmp_path / "often"), left(tmp_path / "seldom")
    samples = [line["text"] for line in often["told"] if line["event"] == "sample"]
    assert len(samples) == 5 and all(len(sample) == next_token.SAMPLE_TOKENS for sample in samples)
    assert set("".join(samples)) <= set(text.read_text())
    for run in (often, seldom):
        run["told"] = [line for line in run["told"] if line["event"] != "sample"]
        run["state"].pop("horizon")
    same(often, seldom)


def test_the_result_is_written_as_it_is_given(tmp_path, train):
    for stop_at in (2, None):
        result, _ = train(tmp_path / f"run-{stop_at}", "recipe.steps=4", stop_at=stop_at)
        assert json.loads((tmp_path / f"run-{stop_at}/result.json").read_text()) == result
        assert result["finished"] is (stop_at is None)
        assert (result["val_loss"] is None) is (result["train_perplexity"] is None) is (stop_at is not None)


def test_the_model_in_memory_is_the_last_one_not_the_kept(tmp_path, train):
    _, training = train(tmp_path / "run", "recipe.steps=9", "recipe.average=0.5", "recipe.evaluate_every=2")
    last, kept = load_checkpoint(tmp_path / "run").tensors, load_weights(tmp_path / "run", "kept")[0]
    found = training.model.state_dict()
    assert all(torch.equal(tensor, last[f"model.{name}"]) for name, tensor in found.items())
    assert any(not torch.equal(tensor, kept[name]) for name, tensor in found.items())


def test_samples_of_a_run_draw_the_same_numbers(tmp_path, train):
    _, training = train(tmp_path / "run", "recipe.steps=2")
    before = training._sample()
    training.parts.count.step += 1
    torch.manual_seed(99)
    assert training._sample() == before


def test_perplexity_of_a_loss_too_large_for_a_float():
    assert session._exp(None) is None and session._exp(0.0) == 1.0
    assert 1e300 < session._exp(1e9) < float("inf")
