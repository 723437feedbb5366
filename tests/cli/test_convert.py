"""`oneblock convert`: arguments in, one JSON object out."""

import json
import os
import shutil
import signal

import pytest
import torch

import oneblock
from oneblock.cli.main import main
from oneblock.config import to_dict
from oneblock.runs.folder import Run
from oneblock.runs.load import load_config
from oneblock.runs.weights import save_weights


@pytest.fixture
def run(tmp_path):
    config = oneblock.override(oneblock.presets.llama_nano(), "width=16", "num_layers=2", "context=16", "vocab_size=11")
    made = Run.create(tmp_path / "run", "run")
    made.write_json("config.json", to_dict(config))
    save_weights(made.path, "kept", oneblock.build(config, seed=3).state_dict(), {})
    return made.path


def answer(capsys, *arguments):
    status = main(["convert", *map(str, arguments), "--json"])
    out, err = capsys.readouterr()
    return status, json.loads(out.splitlines()[-1]) if out else None, err


def test_there_and_back(run, tmp_path, capsys):
    parameters = sum(each.numel() for each in oneblock.load(run).parameters())
    status, said, err = answer(capsys, run, tmp_path / "hf")
    assert (status, said["family"], said["parameters"]) == (0, "llama", parameters)
    assert (said["missing"], said["unexpected"]) == ([], [])
    assert "there is no tokenizer with it" in err
    status, said, _ = answer(capsys, tmp_path / "hf", tmp_path / "back", "--to", "oneblock", "--dtype", "bfloat16")
    assert (status, said["family"]) == (0, "llama")
    assert oneblock.load(tmp_path / "back").norm.weight.dtype == torch.bfloat16
    assert load_config(tmp_path / "back").name == "llama"


def test_shards(run, tmp_path, capsys):
    assert answer(capsys, run, tmp_path / "hf", "--shard-gb", "0.00001")[0] == 0
    assert len(list((tmp_path / "hf").glob("model-*.safetensors"))) > 1


def test_what_is_left_aside_is_told(run, tmp_path, capsys):
    main(["convert", str(run), str(tmp_path / "hf")])
    path = tmp_path / "hf" / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"attention_sinks": 4}))
    _, said, err = answer(capsys, tmp_path / "hf", tmp_path / "back")
    assert said["unread"] == ["attention_sinks"]
    assert "fields of its configuration that nothing here reads: attention_sinks" in err


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("nowhere", "out"), "nowhere does not exist"),
        (("run", "run"), "run is not empty"),
        (("run", "out", "--to", "oneblock"), "is a run or a converted folder already"),
        (("run", "out", "--set", "width=3"), "--set changes nothing here"),
        (("run", "out", "--to", "oneblock", "--shard-gb", "2"), "--shard-gb is for --to hf"),
    ],
)
def test_bad_input_exits_with_2(run, tmp_path, capsys, monkeypatch, arguments, says):
    monkeypatch.chdir(tmp_path)
    status, said, err = answer(capsys, *arguments)
    assert (status, said) == (2, None)
    assert says in err
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(("number", "status"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_stopped_in_the_middle_it_leaves_nothing(run, tmp_path, monkeypatch, number, status):
    """Twice, as a second one in the middle of tidying up must not break that off."""
    before = signal.getsignal(number)
    half, tidy = [], shutil.rmtree

    def stop(folder, files):
        half.extend(path.name for path in folder.iterdir())
        os.kill(os.getpid(), number)

    def stop_again(*arguments, **options):
        if number == signal.SIGTERM:
            os.kill(os.getpid(), number)
        tidy(*arguments, **options)

    monkeypatch.setattr("oneblock.runs.convert._write", stop)
    monkeypatch.setattr("shutil.rmtree", stop_again)
    try:
        found = main(["convert", str(run), str(tmp_path / "new" / "hf")])
    except SystemExit as end:
        found = end.code
    assert (found, half) == (status, ["model.safetensors"])
    assert sorted(path.name for path in tmp_path.iterdir()) == ["run"]
    assert signal.getsignal(number) == before


def test_show_takes_what_goes_out_and_what_comes_back(run, tmp_path, capsys):
    main(["convert", str(run), str(tmp_path / "hf")])
    main(["convert", str(tmp_path / "hf"), str(tmp_path / "back")])
    capsys.readouterr()
    shown = []
    for folder in (run, tmp_path / "hf", tmp_path / "back"):
        assert main(["show", str(folder), "--json"]) == 0
        said = json.loads(capsys.readouterr().out.splitlines()[-1])
        shown.append((said["parameters"], said["formula"], said["parts"]))
    assert shown[0] == shown[1] == shown[2]
