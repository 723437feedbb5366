"""A run of ours with a page of another text in its data: the replay meets the same losses and names a layer."""

import json
import random

import pytest
import torch

from oneblock.cli.main import main
from oneblock.config.override import override
from oneblock.config.presets import nano
from oneblock.doctor.errors import DoctorError
from oneblock.doctor.logs.examine import examine_log
from oneblock.doctor.logs.reading import read_log
from oneblock.doctor.logs.replay import first_to_move, replay
from oneblock.train import session
from oneblock.train.step import Gradients
from oneblock.train.tasks import next_token

SETTINGS = (
    "context=8",
    "width=16",
    "num_layers=2",
    "block.attention.num_heads=2",
    "block.dropout=0.1",
    "embedding_dropout=0",
    "recipe.batch_size=12",
    "recipe.compile=off",
    "recipe.refit=0",
    "recipe.optimizer=adamw",
    "recipe.precision=float32",
    "recipe.average=none",
    "recipe.schedule.warmup=3",
    "recipe.steps=60",
    "recipe.guard=false",
    "recipe.checkpoint_every=20",
)


@pytest.fixture
def run(tmp_path, monkeypatch):
    monkeypatch.setattr(session, "matrix_peak", lambda *of: 1e12)
    monkeypatch.setattr(session, "write_report", lambda *of: None)
    monkeypatch.setattr(next_token, "SAMPLE_TOKENS", 5)
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    draw = random.Random(5)
    text = tmp_path / "text.txt"
    text.write_text("".join(draw.choices("abcdefg", k=1500)))

    def train(folder="run", spoil=None):
        compute = Gradients.__call__

        def spoilt(self, *batch, step):
            loss = compute(self, *batch, step=step)
            return spoil(self, loss, step) if spoil else loss

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(Gradients, "__call__", spoilt)
            made = session.start(override(nano(), f"recipe.data={text}", *SETTINGS), tmp_path / folder)
            session.Session(*made, device="cpu").train()
        return tmp_path / folder

    yield train
    torch.set_num_threads(threads)


def test_the_same_steps_once_more(run):
    folder = run()
    before = {path: path.stat().st_mtime_ns for path in folder.rglob("*")}
    found = replay(folder, read_log(folder), 50)
    assert found["from_step"] == 40 and found["steps"] == 18 and found["same"] is True
    assert {path: path.stat().st_mtime_ns for path in folder.rglob("*")} == before, "the run is only read"


def test_what_is_no_function_of_weights_and_data_is_said(run):
    folder = run(spoil=lambda self, loss, step: loss * (3 if step == 49 else 1))
    found = replay(folder, read_log(folder), 50)
    assert found["same"] is False and any("not those of the log" in words for words in found["words"])


def test_too_far_from_a_checkpoint_is_said(run):
    folder = run()
    found = replay(folder, read_log(folder), 900)
    assert found["steps"] == 0 and "no checkpoint is left" in found["words"][0]


def test_the_first_to_move():
    rows = [{"step": n, "grad_norms": [1 + 0.01 * (n % 3), 2.0, 5.0], "stream": [1.0, 1.1, 1.2]} for n in range(9)]
    assert first_to_move(rows) is None
    rows[6] = {**rows[6], "grad_norms": [1.0, 9.0, 5.0]}
    rows[7] = {**rows[7], "stream": [1.0, 8.0, 90.0]}
    assert first_to_move(rows) == ("block 1", "grad_norms", 6, pytest.approx(4.5))
    del rows[6]["grad_norms"]
    assert first_to_move(rows)[:3] == ("block 1", "stream", 7)


def test_the_command(run, tmp_path, capsys):
    folder = run(spoil=lambda self, loss, step: loss * (4 if step == 50 else 1))
    assert main(["doctor", str(folder), "--log", str(folder / "metrics.jsonl"), "--json"]) == 1
    said = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert said["onset_step"] == 51 and said["replay"]["same"] is False
    assert {"observed", "consistent_with", "ruled_out", "not_logged", "questions", "timeline"} <= said.keys()
    assert any("loss scale" in words and "float32" in words for words in said["ruled_out"])
    plain = tmp_path / "plain.csv"
    plain.write_text("step,loss\n" + "".join(f"{n},{3 - 0.01 * n}\n" for n in range(40)))
    assert main(["doctor", "--log", str(plain)]) == 0
    assert "nothing begins that should not" in capsys.readouterr().out
    assert main(["doctor", "--log", str(tmp_path / "none.csv")]) == 2
    assert main(["doctor"]) == 2
    assert "TARGET" in capsys.readouterr().err


def test_a_run_that_is_none(tmp_path):
    log = tmp_path / "log.csv"
    log.write_text("step,loss\n" + "".join(f"{n},{9.0 if n == 50 else 3 - 0.01 * n}\n" for n in range(80)))
    assert examine_log(log).onset_step == 50
    with pytest.raises(DoctorError, match="cannot be replayed"):
        examine_log(log, run=tmp_path)
