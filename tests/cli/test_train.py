"""`oneblock train` as a person meets it: results, refusals, Ctrl-C, kill -9, a full disk."""

import json
import os
import random
import shutil
import signal
import subprocess
import time
from pathlib import Path

import pytest
import torch

from oneblock.config.serial import config_from_dict
from oneblock.runs.checkpoint import load_checkpoint
from oneblock.runs.errors import RunError
from oneblock.runs.folder import Run
from oneblock.runs.metrics import MetricsLog
from oneblock.runs.weights import load_weights

SMALL = [
    "context=16",
    "width=32",
    "num_layers=1",
    "block.attention.num_heads=2",
    "recipe.compile=off",
    "recipe.schedule.warmup=3",
    "recipe.refit=0",
]
SETTINGS = [word for setting in SMALL for word in ("--set", setting)]
TRAIN = ("train", "--data", "pattern", "--batch", "4", *SETTINGS)
NUMBER, TEXT = (int, float), str
RESULT = {
    "val_loss": NUMBER, "val_perplexity": NUMBER, "kept_step": int, "final_val_loss": NUMBER, "train_loss": NUMBER,
    "train_perplexity": NUMBER, "tokens_per_second": NUMBER, "peak_share": NUMBER, "tokens": int, "steps": int,
    "seconds": NUMBER, "compile_seconds": NUMBER, "parameters": int, "data_sha256": TEXT, "run": TEXT,
    "kept_weights": TEXT, "selection_loss": NUMBER, "finished": bool, "diverged": (TEXT, type(None)),
}  # fmt: skip


def steps(folder: Path) -> list[int]:
    path = folder / "metrics.jsonl"
    return [line["step"] for line in MetricsLog(path).read() if line["event"] == "step"] if path.exists() else []


def same_run(one: Path, other: Path) -> None:
    found = [load_checkpoint(path) for path in (one, other)]
    assert found[0].step == found[1].step
    kept = [load_weights(path, "kept") for path in (one, other)]
    assert kept[0][1] == kept[1][1]
    for mine, theirs in ((found[0].tensors, found[1].tensors), (kept[0][0], kept[1][0])):
        assert mine.keys() == theirs.keys()
        assert all(torch.equal(tensor, theirs[name]) for name, tensor in mine.items())
    losses = [
        [(line["step"], line["loss"]) for line in MetricsLog(path / "metrics.jsonl").read() if line["event"] == "step"]
        for path in (one, other)
    ]
    assert losses[0] == losses[1]


def test_the_result_and_nothing_else_on_stdout(oneblock, tmp_path):
    command = oneblock(*TRAIN, "--steps", "6", "--seed", "3", "--json")
    assert command.status == 0, command.err
    result = command.result
    assert result.keys() == RESULT.keys()
    for name, kind in RESULT.items():
        assert isinstance(result[name], kind) and (kind is bool) == (type(result[name]) is bool), name
    assert result["finished"] and result["diverged"] is None and Path(result["run"]) == Path("runs/nano-1")
    assert (result["steps"], result["tokens"]) == (6, 6 * 4 * 16)
    assert 0 < result["peak_share"] < 1 and len(result["data_sha256"]) == 64
    for words in ("parameters", "matrix peak", "step 1/6", "loss", "validation", "report: runs/nano-1/report.html"):
        assert words in command.err, words
    assert "\x1b[" not in command.err, "no colours where there is no terminal"
    run = tmp_path / result["run"]
    assert json.loads((run / "result.json").read_text())["val_loss"] == result["val_loss"]
    assert "oneblock train --data pattern" in (run / "report.html").read_text()
    config = config_from_dict(json.loads((run / "config.json").read_text()))
    assert (config.recipe.steps, config.recipe.minutes, config.recipe.seed) == (6, None, 3)
    assert (config.recipe.batch_size, config.recipe.data, config.model.width) == (4, "pattern", 32)
    quiet = oneblock(*TRAIN, "--steps", "1", "--no-guard", "--tokenizer", "bytes")
    assert quiet.status == 0 and quiet.out == ""
    config = config_from_dict(json.loads((tmp_path / "runs/nano-2/config.json").read_text()))
    assert config.recipe.guard is False and config.model.vocab_size == 256


@pytest.fixture
def texts(tmp_path):
    (tmp_path / "empty.txt").write_text("")
    (tmp_path / "tiny.txt").write_text("To be.")
    (tmp_path / "binary.bin").write_bytes(bytes(range(256)) * 9)
    (tmp_path / "latin.txt").write_bytes("Größe ".encode("latin-1") * 99)
    (tmp_path / "folder").mkdir()
    (tmp_path / "taken").mkdir()
    (tmp_path / "taken/letter.txt").write_text("Dear")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("train", "nanno"), ("preset=nanno", "nano")),
        (("train", "--set", "block.placement=sideways"), ("block.placement=sideways", "pre", "peri")),
        (("train", "--set", "blok.placement=pre"), ("blok", "block")),
        (("train", "--set", "width"), ("path=value",)),
        (("train", "--set", "recipe.batch_size=0"), ("recipe.batch_size=0", "1")),
        ((*TRAIN, "--set", "recipe.accumulation=3"), ("accumulation=3", "divide", "2, 4")),
        (("train", "--data", "empty.txt"), ("empty.txt is empty", "pattern")),
        (("train", "--data", "tiny.txt"), ("tiny.txt is too short", "256", "longer text")),
        (("train", "--data", "binary.bin"), ("binary.bin is a binary file", "UTF-8")),
        (("train", "--data", "latin.txt"), ("latin.txt is not UTF-8", "iconv")),
        (("train", "--data", "folder"), ("folder holds no text",)),
        (("train", "--data", "patern"), ("no text 'patern'", "Did you mean pattern")),
        (("train", "--data", "pattern", "--tokenizer", "words"), ("words", "chars, bytes")),
        ((*TRAIN, "--out", "taken"), ("--out taken is not empty", "choose another")),
        ((*TRAIN, "--out", "tiny.txt"), ("--out tiny.txt is a file", "choose another")),
        (("train", "--resume"), ("runs/nano-1 does not exist", "oneblock train")),
        (("train", "--resume", "--out", "nowhere"), ("nowhere does not exist",)),
        (("train", "--resume", "--out", "taken"), ("taken is not a run", "config.json is missing")),
        ((*TRAIN, "--device", "tpu"), ("device=tpu is not known", "cpu")),
        ((*TRAIN, "--steps", "5", "--minutes", "2"), ("not allowed with",)),
        ((*TRAIN, "--steps", "0"), ("0 is below 1",)),
        ((*TRAIN, "--steps", "many"), ("'many' is not a whole number",)),
        ((*TRAIN, "--minutes", "nan"), ("nan must be above 0",)),
        ((*TRAIN, "--minutes", "-1"), ("-1 must be above 0",)),
        ((*TRAIN, "--seed", "-1"), ("-1 is below 0",)),
        ((*TRAIN, "--stepps", "5"), ("--stepps",)),
        (("trian",), ("trian", "train")),
    ],
)  # fmt: skip
def test_bad_input(oneblock, tmp_path, texts, arguments, words):
    command = oneblock(*arguments, "--json") if arguments != ("trian",) else oneblock(*arguments)
    assert command.status == 2 and command.out == "", command.err
    assert "Traceback" not in command.err
    for word in words:
        assert word in command.err, command.err
    assert not (tmp_path / "runs").exists(), "what is refused leaves nothing behind"


def test_an_out_that_holds_a_run_and_resumes_that_differ(oneblock, tmp_path):
    assert oneblock(*TRAIN, "--steps", "2", "--out", "mine").status == 0
    again = oneblock(*TRAIN, "--steps", "2", "--out", "mine")
    assert again.status == 2 and "holds a run already; go on with it by --resume" in again.err
    for arguments, words in (
        (("--batch", "8"), "recipe.batch_size would differ"),
        (("--seed", "9", "--set", "width=64"), "model.width, recipe.seed would differ"),
        (("--data", "shakespeare"), "recipe.data would differ"),
        (("llama-nano",), "mine is a run of nano, not of llama-nano"),
    ):
        refused = oneblock("train", *arguments, "--resume", "--out", "mine")
        assert refused.status == 2 and words in refused.err, refused.err
    done = oneblock("train", "--resume", "--out", "mine", "--json")
    assert done.status == 0 and done.result["finished"] and done.result["tokens_per_second"] is None
    assert "to go further: oneblock train --resume --out mine --steps N" in done.err
    more = oneblock("train", "nano", "--resume", "--out", "mine", "--steps", "4", "--json")
    assert more.status == 0 and more.result["steps"] == 4


def test_resume_takes_the_newest_run_of_that_very_preset(oneblock, tmp_path):
    assert oneblock(*TRAIN, "--steps", "2").status == 0
    shutil.copytree(tmp_path / "runs/nano-1", tmp_path / "runs/nano-large-1")
    shutil.copytree(tmp_path / "runs/nano-1", tmp_path / "runs/nano-2")
    for age, name in enumerate(("nano-large-1", "nano-1", "nano-2")):
        os.utime(tmp_path / "runs" / name, (1e9 - age, 1e9 - age))
    resumed = oneblock("train", "--resume", "--json")
    assert resumed.status == 0 and resumed.result["run"] == "runs/nano-1"


LONG = (*TRAIN, "--steps", "60", "--set", "recipe.evaluate_every=7", "--set", "recipe.sample_every=30",
        "--set", "recipe.checkpoint_every=9")  # fmt: skip


@pytest.fixture(scope="module")
def undisturbed(oneblock_in, tmp_path_factory):
    folder = tmp_path_factory.mktemp("undisturbed")
    command = oneblock_in(folder, *LONG, "--out", "whole", "--json")
    assert command.status == 0, command.err
    return folder / "whole"


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_saves_and_says_how_to_go_on(begin, oneblock, tmp_path, undisturbed, number):
    command = begin(*LONG, "--out", "the run", "--json")
    command.wait_for(lambda: len(steps(tmp_path / "the run")) >= 11)
    command.send(number)
    assert command.end().status == 0, command.err
    result = command.result
    assert result["finished"] is False and 11 <= result["steps"] < 60 and result["val_loss"] is None
    assert result.keys() == RESULT.keys()
    assert f"{number.name}: saving after this step" in command.err
    assert "go on with: oneblock train --resume --out 'the run'" in command.err
    assert load_checkpoint(tmp_path / "the run").step == result["steps"] == steps(tmp_path / "the run")[-1]
    resumed = oneblock("train", "--resume", "--out", "the run", "--json")
    assert resumed.status == 0 and resumed.result["finished"]
    assert f"going on from step {result['steps']}" in resumed.err
    whole = json.loads((undisturbed / "result.json").read_text())
    assert {key: resumed.result[key] for key in ("val_loss", "kept_step", "tokens", "steps")} == {
        key: whole[key] for key in ("val_loss", "kept_step", "tokens", "steps")
    }
    same_run(undisturbed, tmp_path / "the run")


def test_the_second_signal_ends_at_once_and_loses_nothing_saved(begin, oneblock, tmp_path, undisturbed):
    command = begin(*LONG, "--out", "cut")
    command.wait_for(lambda: len(steps(tmp_path / "cut")) >= 12)
    command.send(signal.SIGINT)
    command.send(signal.SIGTERM)
    time.sleep(0.02)
    try:
        command.send(signal.SIGINT)
    except ProcessLookupError:
        pass
    assert command.end().status in (130, -signal.SIGINT), command.err
    assert "Traceback" not in command.err and command.out == ""
    assert load_checkpoint(tmp_path / "cut").step >= 9
    resumed = oneblock("train", "--resume", "--out", "cut", "--json")
    assert resumed.status == 0 and resumed.result["finished"], resumed.err


def killed(begin, oneblock, tmp_path, name, kills, dice):
    """Started, killed and resumed until it is through; at how many steps the kills fell."""
    arguments, fell = (*LONG, "--out", name), []
    for _ in range(kills):
        command = begin(*arguments)
        folder = tmp_path / name
        command.wait_for(lambda: (folder / "config.json").exists())
        # Some before the first step, in the middle of starting or going on.
        if dice.random() < 0.7:
            command.wait_for(lambda: "going on" in command.err if fell else steps(folder))
        time.sleep(dice.uniform(0, 0.2))
        command.send(signal.SIGKILL)
        assert command.end().status == -signal.SIGKILL
        fell.append(len(steps(folder)))
        arguments = ("train", "--resume", "--out", name)
    assert oneblock(*arguments).status == 0
    return fell


def test_killed_and_resumed_gives_the_same_weights(begin, oneblock, tmp_path, undisturbed):
    fell = killed(begin, oneblock, tmp_path, "cut", 3, random.Random(3))
    assert any(0 < step < 60 for step in fell)
    same_run(undisturbed, tmp_path / "cut")


@pytest.mark.slow
def test_killed_many_times(begin, oneblock, tmp_path, undisturbed):
    for seed in range(5):
        killed(begin, oneblock, tmp_path, f"cut-{seed}", 6, random.Random(seed))
        same_run(undisturbed, tmp_path / f"cut-{seed}")


def test_killed_before_the_first_checkpoint(begin, oneblock, tmp_path, undisturbed):
    command = begin(*LONG, "--out", "cut")
    command.wait_for(lambda: (tmp_path / "cut/config.json").exists())
    command.send(signal.SIGKILL)
    command.end()
    assert not list((tmp_path / "cut").glob("checkpoints/step-*[0-9]")) or load_checkpoint(tmp_path / "cut").step == 0
    assert oneblock("train", "--resume", "--out", "cut").status == 0
    same_run(undisturbed, tmp_path / "cut")


def check_full(command, folder, undisturbed, oneblock):
    assert command.status == 2, command.err
    assert "cannot save" in command.err and "It needs" in command.err and "free there" in command.err
    assert "Traceback" not in command.err and command.out == ""
    assert not list(folder.glob("checkpoints/*.tmp")) and load_checkpoint(folder).skipped == ()
    resumed = oneblock("train", "--resume", "--out", str(folder))
    assert resumed.status == 0, resumed.err
    same_run(undisturbed, folder)


def test_a_file_that_may_not_grow(oneblock, tmp_path, undisturbed):
    """The checkpoint of step 0 has no moments yet and fits; the one of step 9 does not."""
    first, full = ((undisturbed / "weights/kept.safetensors").stat().st_size, 120_000)
    assert first < full
    command = oneblock(*LONG, "--out", "cut", "--json", largest_file=full)
    assert load_checkpoint(tmp_path / "cut").step == 0
    check_full(command, tmp_path / "cut", undisturbed, oneblock)


def test_a_disk_that_is_really_full(oneblock, tmp_path, undisturbed):
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=700k", "tmpfs", str(disk)]
    if shutil.which("mount") is None or subprocess.run(mount, capture_output=True).returncode:
        pytest.skip("only root may mount a small disk")
    try:
        (disk / "ballast").write_bytes(bytes(300_000))
        command = oneblock(*LONG, "--out", str(disk / "run"), "--json")
        (disk / "ballast").unlink()
        subprocess.run(["mount", "-o", "remount,size=9m", str(disk)], check=True)
        check_full(command, disk / "run", undisturbed, oneblock)
    finally:
        subprocess.run(["umount", "--lazy", str(disk)], check=True)


def test_a_training_that_diverges_is_found_wrong(oneblock, tmp_path):
    wild = (
        *TRAIN,
        "--steps",
        "90",
        "--set",
        "recipe.optimizer.learning_rate=1e30",
        "--set",
        "recipe.schedule.warmup=0",
    )
    command = oneblock(*wild, "--out", "wild", "--json")
    assert command.status == 1, command.err
    assert "training diverged" in command.err and "Lower the learning rate" in command.err
    assert "Traceback" not in command.err
    assert "Lower the learning rate" in command.result["diverged"] and command.result["val_loss"] is None
    tensors = load_checkpoint(tmp_path / "wild").tensors
    assert all(tensor.isfinite().all() for tensor in tensors.values())
    unguarded = oneblock(*wild[:-4], "--set", "recipe.optimizer.learning_rate=1e30", "--set", "recipe.schedule.warmup=0",
                         "--no-guard", "--out", "worse", "--steps", "9", "--set", "recipe.evaluate_every=4", "--json")  # fmt: skip
    assert unguarded.status == 1 and unguarded.result["steps"] == 9, unguarded.err
    assert "no weights are kept" in unguarded.err and unguarded.result["val_loss"] is None


def test_two_trainings_in_one_folder(begin, tmp_path):
    command = begin(*TRAIN, "--steps", "3000", "--out", "mine")
    command.wait_for(lambda: steps(tmp_path / "mine"))
    with pytest.raises(RunError, match=f"written by process {command.process}"), Run.open(tmp_path / "mine").lock():
        pass
