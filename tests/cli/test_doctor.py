"""`oneblock doctor`: arguments in, a report and one JSON object out."""

import json

import pytest

import oneblock
from oneblock.cli.main import main
from oneblock.config import to_dict
from oneblock.runs.folder import Run
from oneblock.runs.weights import save_weights

FACTORY = """
import torch
from torch import nn

class Gpt(nn.Module):
    def __init__(self, leaks):
        super().__init__()
        self.table, self.leaks = nn.Embedding(19, 12), leaks
        self.mix, self.head = nn.Linear(12, 12), nn.Linear(12, 19)

    def forward(self, ids):
        x = self.table(ids)
        count = torch.arange(1, ids.shape[1] + 1)[:, None]
        mean = x.mean(1, keepdim=True) if self.leaks else x.cumsum(1) / count
        return self.head(torch.tanh(x + self.mix(mean)))

def healthy():
    return Gpt(False)

def leaking():
    return Gpt(True)

def broken():
    return Gpt(missing)

def shapes():
    return nn.Conv2d(1, 2, 3)
"""


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "model.py"
    path.write_text(FACTORY)
    return path


def answer(capsys, *arguments):
    status = main(["doctor", *map(str, arguments), "--json"])
    out, err = capsys.readouterr()
    return status, json.loads(out.splitlines()[-1]) if out else None, err


def test_a_factory(file, capsys):
    status, said, _ = answer(capsys, f"{file}:healthy", "--only", "leak,batch,W4")
    assert (status, said["healthy"], said["leaks"]) == (0, True, False)
    assert [each["id"] for each in said["checks"]] == ["C1", "C2", "B1", "W4"]
    keys = {"id", "status", "value", "threshold", "source", "message", "where", "reproduce", "seed", "repair"}
    assert keys == set(said["checks"][0])
    status, said, err = answer(capsys, f"{file}:leaking", "--only", "C1", "--seed", "3")
    assert (status, said["healthy"], said["leaks"]) == (1, False, True)
    assert said["checks"][0]["status"] == "FAIL" and "every token sees all that follow" in err
    assert said["checks"][0]["reproduce"] == f"oneblock doctor {file}:leaking --only C1 --seed 3"
    assert answer(capsys, f"{file}:leaking", "--only", "C1", "--expect", "encoder")[0] == 0


def test_a_run(tmp_path, capsys):
    config = oneblock.override(oneblock.presets.llama_nano(), "width=16", "num_layers=2", "context=16", "vocab_size=11")
    made = Run.create(tmp_path / "run", "run")
    made.write_json("config.json", to_dict(config))
    save_weights(made.path, "kept", oneblock.build(config, seed=3).state_dict(), {})
    status, said, _ = answer(capsys, made.path, "--only", "leak,cache,weights")
    assert (status, said["healthy"], said["kind"]) == (0, True, "causal")
    assert {each["status"] for each in said["checks"]} == {"PASS"}


def test_words_for_a_person(file, capsys):
    assert main(["doctor", f"{file}:leaking", "--only", "C1,E1"]) == 1
    out = capsys.readouterr().out.splitlines()
    assert out[0].endswith("1 fault (causal)") and out[3].startswith("FAIL  C1") and "repair:" in "".join(out)


def test_a_page_and_a_depth_report(file, tmp_path, capsys):
    page = tmp_path / "report.html"
    status, said, err = answer(capsys, f"{file}:leaking", "--only", "C1", "--html", page, "--depth-report")
    assert status == 1 and page.read_text().startswith("<!doctype html>") and str(page) in err
    assert "no list of blocks" in said["depth_report"]["refused"] and "no depth report" in err
    config = oneblock.override(oneblock.presets.llama_nano(), "width=16", "num_layers=2", "context=16", "vocab_size=11")
    made = Run.create(tmp_path / "run", "run")
    made.write_json("config.json", to_dict(config))
    save_weights(made.path, "kept", oneblock.build(config, seed=3).state_dict(), {})
    status, said, err = answer(capsys, made.path, "--only", "N1", "--depth-report")
    deep = said["depth_report"]
    assert (
        status == 0
        and deep["layers"] == [12, 24, 36]
        and [len(each["stream"]) for each in deep["depths"]] == [13, 25, 37]
    )
    assert {each["id"] for each in deep["answers"]} == {"H1", "N1", "I1", "A3", "gradient"}
    assert main(["doctor", f"{file}:leaking", "--html", str(tmp_path / "nowhere" / "report.html")]) == 2


@pytest.mark.parametrize(
    ("target", "more", "says"),
    [
        ("nowhere", (), "nowhere is not there"),
        ("FILE:absent", (), "has no absent; it has"),
        ("FILE:broken", (), "name 'missing' is not defined"),
        ("FILE:broken", (), "return Gpt(missing)"),
        ("FILE:shapes", (), "cannot be called"),
        ("FILE:healthy", ("--only", "leek"), "no check 'leek'"),
        ("FILE:healthy", ("--expect", "norm=no"), "cannot be expected"),
        ("FILE:healthy", ("--set", "width=3"), "--set changes nothing here"),
    ],
)
def test_bad_input(file, capsys, target, more, says):
    status, said, err = answer(capsys, target.replace("FILE", str(file)), *more)
    assert (status, said) == (2, None)
    assert says in err
