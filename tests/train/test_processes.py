"""One model trained by several processes: the same losses as by one, and none left waiting."""

import json
import os
import signal
import subprocess
import sys
import time
from datetime import timedelta
from pathlib import Path

import pytest
import torch
import torch.distributed as dist

import oneblock
from oneblock.train import processes
from oneblock.train.processes import ProcessError, Processes, first_says, joined, own_device

SMALL = (
    "context=8", "width=16", "num_layers=1", "block.attention.num_heads=2", "recipe.compile=off", "recipe.refit=0",
    "block.dropout=0", "embedding_dropout=0", "recipe.precision=float32", "recipe.batch_size=12",
    "recipe.checkpoint_every=5", "recipe.average=0.9",
)  # fmt: skip


def command(processes, text, out, *words, settings=()):
    begin = ["-m", "torch.distributed.run", "--standalone", f"--nproc-per-node={processes}"] if processes > 1 else []
    sets = [word for setting in (*SMALL, *settings) for word in ("--set", setting)]
    return [
        sys.executable, *begin, "-m", "oneblock", "train", "nano", "--data", str(text), "--out", str(out), "--json",
        *words, *([] if "--resume" in words else sets),
    ]  # fmt: skip


def environment():
    source = str(Path(oneblock.__file__).parents[1])
    return {k: v for k, v in os.environ.items() if k != "PYTHONPATH"} | {
        "PYTHONPATH": source, "OMP_NUM_THREADS": "1", "ONEBLOCK_NO_KERNELS": "1",
    }  # fmt: skip


def run(*of, **options):
    done = subprocess.run(command(*of, **options), env=environment(), capture_output=True, text=True, timeout=240)
    assert done.returncode == 0, done.stderr[-3000:]
    lines = done.stdout.strip().splitlines()
    assert len(lines) == 1, "one of the processes speaks"
    return json.loads(lines[0])


def losses(out):
    lines = [json.loads(line) for line in (out / "metrics.jsonl").read_text().splitlines()]
    return torch.tensor([line["loss"] for line in lines if line["event"] == "step"], dtype=torch.float64)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("optimizer", "tolerance"),
    # Muon orthogonalises in bfloat16, which turns the last bit of a sum into the last bit of a rounded number.
    [("adamw", 1e-5), ("muon", 3e-4)],
)
def test_two_processes_lose_as_one_and_either_goes_on_where_the_other_stopped(tmp_path, text, optimizer, tolerance):
    settings = (f"recipe.optimizer={optimizer}", "recipe.accumulation=2")
    one = run(1, text, tmp_path / "one", "--steps", "12", settings=settings)
    two = run(2, text, tmp_path / "two", "--steps", "12", settings=settings)
    torch.testing.assert_close(losses(tmp_path / "two"), losses(tmp_path / "one"), rtol=tolerance, atol=tolerance)
    assert two["val_loss"] == pytest.approx(one["val_loss"], rel=tolerance) and two["tokens"] == one["tokens"]
    for first, then in ((2, 1), (1, 2)):
        out = tmp_path / f"from{first}"
        run(first, text, out, "--steps", "5", settings=(*settings, "recipe.schedule=constant"))
        run(then, text, out, "--steps", "12", "--resume")
        assert len(losses(out)) == 12
    torch.testing.assert_close(losses(tmp_path / "from2"), losses(tmp_path / "from1"), rtol=tolerance, atol=tolerance)


SHARDED = (
    "recipe.distribution.parameters=sharded", "recipe.distribution.experts=sharded", "block.feed_forward=top_k",
    "block.feed_forward.num_experts=4",
)  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize("settings", [(), SHARDED], ids=["replicated", "sharded"])
def test_a_killed_process_ends_the_others_with_a_word(tmp_path, text, settings):
    out = tmp_path / "run"
    process = subprocess.Popen(
        command(2, text, out, "--steps", "100000", settings=settings),
        env=environment(), stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    deadline = time.monotonic() + 120
    while not list(out.glob("checkpoints/step-*")) or len((out / "metrics.jsonl").read_text().splitlines()) < 20:
        assert time.monotonic() < deadline and process.poll() is None
        time.sleep(0.2)
    children = subprocess.run(["pgrep", "-P", str(process.pid)], capture_output=True, text=True).stdout.split()
    os.kill(int(children[-1]), signal.SIGKILL)
    _, words = process.communicate(timeout=120)
    assert process.returncode != 0
    assert "another process is gone" in words or "saving after this step" in words
    result = run(2, text, out, "--steps", "30", "--resume") if len(losses(out)) < 30 else None
    assert result is None or result["finished"]


@pytest.mark.slow
def test_what_one_cannot_do_stops_all(tmp_path, text):
    (tmp_path / "taken").mkdir()
    (tmp_path / "taken/letter").write_text("Dear")
    for out, settings, words in (
        (tmp_path / "taken", (), "is not empty"),
        (tmp_path / "odd", ("recipe.batch_size=9",), "a batch of 9 cannot be shared by 2 processes"),
        (tmp_path / "bad", ("block.placement=middle",), "block.placement=middle is not one of the choices"),
    ):
        done = subprocess.run(
            command(2, text, out, "--steps", "3", settings=settings),
            env=environment(), capture_output=True, text=True, timeout=240,
        )  # fmt: skip
        assert done.returncode != 0 and "Traceback" not in done.stderr.split("torch/")[0]
        assert done.stderr.count(words) == 1, "one of the processes says it"


@pytest.fixture
def meeting(monkeypatch):
    """A store where processes meet, and this one as any of them: `meeting(rank)`."""
    store = dist.TCPStore("127.0.0.1", 0, is_master=True, wait_for_workers=False)
    monkeypatch.setattr(processes, "PATIENCE", timedelta(seconds=1))
    monkeypatch.setenv("MASTER_ADDR", "127.0.0.1")
    monkeypatch.setenv("MASTER_PORT", str(store.port))
    monkeypatch.setenv("TORCHELASTIC_RESTART_COUNT", "0")
    yield lambda rank: monkeypatch.setenv("RANK", str(rank))
    del store


def test_what_the_first_says_the_others_need_not(meeting, monkeypatch):
    meeting(0)
    assert not first_says("x=3 is wrong") and not first_says("x=4 is wrong"), "the first always speaks"
    meeting(1)
    assert first_says("x=4 is wrong") and first_says("the first process stopped: x=4 is wrong") and first_says("x=4")
    assert not first_says("the disk is full")
    # Started anew by torchrun, it has said nothing yet.
    monkeypatch.setenv("TORCHELASTIC_RESTART_COUNT", "1")
    assert not first_says("x=4 is wrong")


def test_where_nobody_can_be_asked_one_speaks(meeting, monkeypatch):
    meeting(1)
    monkeypatch.setenv("MASTER_PORT", "1")
    assert not first_says("x=3 is wrong")
    monkeypatch.delenv("MASTER_PORT")
    assert not first_says("x=3 is wrong")


def test_alone_nothing_is_asked_of_others():
    alone = Processes()
    batch = (torch.arange(7), torch.arange(14).view(7, 2))
    assert all(torch.equal(one, other) for one, other in zip(alone.share(batch), batch, strict=True))
    assert alone.any(True) and not alone.any(False) and alone.agree("x") == "x" and alone.first
    assert alone.first_does(lambda: 3) == 3 and float(alone.sum(torch.tensor(2.0))) == 2
    with joined(torch.device("cpu")) as processes:
        assert processes == alone
    assert own_device(torch.device("cpu")) == torch.device("cpu")


def test_rows_are_shared_in_order():
    batch = (torch.arange(12), torch.arange(24).view(12, 2))
    parts = [Processes(rank, 3).share(batch) for rank in range(3)]
    for column, whole in enumerate(batch):
        assert torch.equal(torch.cat([part[column] for part in parts]), whole)
    with pytest.raises(ProcessError, match="a batch of 12 cannot be shared by 5"):
        Processes(0, 5).share(batch)
