"""`oneblock compare` as a person runs it."""

import json
import os
import random
import signal
import time
from pathlib import Path

import pytest

from oneblock.config.override import override
from oneblock.config.presets import nano
from oneblock.config.serial import to_dict

SMALL = (
    "context=8",
    "width=12",
    "num_layers=1",
    "block.attention.num_heads=2",
    "recipe.batch_size=6",
    "recipe.steps=10",
)


@pytest.fixture
def small(tmp_path):
    """`--set` for runs of a tenth of a second, on a text made here."""
    draw = random.Random(5)
    (tmp_path / "text.txt").write_text("".join(draw.choices("abcdefghij ", k=1500)))
    return [word for setting in (*SMALL, "recipe.data=text.txt") for word in ("--set", setting)]


def test_the_list_names_every_experiment(oneblock):
    done = oneblock("compare", "--list", "--json")
    assert done.status == 0
    listed = done.result["experiments"]
    assert {"placement", "feed-forwards", "toys"} <= {entry["name"] for entry in listed}
    assert all(entry["claim"] for entry in listed)
    words = oneblock("compare", "--list")
    assert words.status == 0 and "E7   placement" in words.out


def test_an_experiment_without_training_decides(oneblock, tmp_path):
    done = oneblock("compare", "E17", "--json")
    assert done.status == 0, done.err
    assert (done.result["experiment"], done.result["verdict"]) == ("toys", "supported")
    assert "1157" in done.result["sentence"] and "verdict: supported" in done.err
    assert (tmp_path / done.result["report"]).read_text().startswith("<!doctype html>")
    kept = json.loads((tmp_path / "runs/compare/toys/results.json").read_text())
    assert kept["verdict"] == "supported" and kept["command"] == "oneblock compare E17 --json"
    assert len((tmp_path / "runs/compare/results.jsonl").read_text().splitlines()) == 4 * 3


def test_each_budget_has_its_own_reports(oneblock, tmp_path):
    for budget in ("quick", "standard"):
        assert oneblock("compare", "toys", "--budget", budget).status == 0
    for folder, budget in (("toys", "quick"), ("toys-standard", "standard")):
        assert json.loads((tmp_path / "runs/compare" / folder / "asked.json").read_text())["budget"] == budget
        assert (tmp_path / "runs/compare" / folder / "report.html").exists()
    unsure = oneblock("compare", "toys", "--resume")
    assert unsure.status == 2 and "toys, toys-standard were begun" in unsure.err and "--budget" in unsure.err
    assert oneblock("compare", "toys", "--resume", "--budget", "standard").status == 0


def test_a_row_of_several_names_the_others(oneblock):
    done = oneblock("compare", "E17")
    assert done.status == 0 and "E17 is toys, and by their own names slopes, drifts" in done.err
    assert "by their own names" not in oneblock("compare", "toys").err


def test_one_setting_varied_then_taken_up_again(oneblock, small, tmp_path):
    vary = ("--vary", "block.placement=pre,post", "--out", "here")
    done = oneblock("compare", *vary, "--seeds", "2", *small, "--json")
    assert done.status == 0, done.err
    assert done.result["verdict"] in ("supported", "refuted", "inside the noise", "not testable at this scale")
    assert [variant["name"] for variant in done.result["variants"]] == ["pre", "post"]
    assert done.result["noise_floor"] > 0 and done.result["seeds"] == [0, 1]
    again = oneblock("compare", *vary, "--resume", "--json")
    assert again.status == 0 and "4 of 4 were run before" in again.err
    same = ("verdict", "noise_floor", "comparisons", "seeds")
    assert {key: again.result[key] for key in same} == {key: done.result[key] for key in same}
    other = oneblock("compare", *vary, "--resume", "--seeds", "3")
    assert other.status == 2 and "seeds=2, not 3" in other.err


def test_seeds_together_and_remembered(oneblock, small, tmp_path):
    vary = ("--vary", "block.placement=pre,post")
    done = oneblock("compare", *vary, "--seeds", "2", "--seeds-together", "always", *small, "--json")
    assert done.status == 0, done.err
    lines = (tmp_path / "runs/compare/results.jsonl").read_text().splitlines()
    assert [json.loads(line)["result"].get("together") for line in lines if json.loads(line)["seed"] < 2] == [2] * 4
    again = oneblock("compare", *vary, "--resume", "--seeds-together", "never")
    assert again.status == 2 and "seeds_together=always, not never" in again.err
    assert oneblock("compare", *vary, "--resume").status == 0
    several = oneblock("compare", *vary, "--resume", "--workers", "2")
    assert several.status == 2 and "--seeds-together always: is for one process" in several.err


def test_whole_configurations_compared(oneblock, small, tmp_path):
    settings = [setting for setting in small if setting != "--set"]
    for name, norm in (("a", "rms"), ("b", "layer")):
        (tmp_path / f"{name}.json").write_text(json.dumps(to_dict(override(nano(), *settings, f"block.norm={norm}"))))
    done = oneblock("compare", "--variants", "a.json", "b.json", "--seeds", "2", "--set", "recipe.steps=5", "--json")
    assert done.status == 0, done.err
    assert [variant["name"] for variant in done.result["variants"]] == ["a", "b"]


def test_an_interrupted_comparison_is_taken_up(begin, oneblock, small, tmp_path):
    arguments = ("compare", "--vary", "block.norm=rms,layer", "--seeds", "4", *small)
    first = begin(*arguments)
    first.wait_for(lambda: "seeds 2/8" in first.err)
    first.send(signal.SIGINT)
    assert first.end().status in (0, 130)
    then = oneblock("compare", "--vary", "block.norm=rms,layer", "--resume", "--json")
    assert then.status == 0, then.err
    assert "were run before" in then.err and len(then.result["seeds"]) == 4


def descendants(process):
    """Processes below one, by the parents that the system tells."""
    parents = {}
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            number, _, rest = path.read_text().partition(" ")
        except OSError:
            continue
        parents[int(number)] = int(rest.rpartition(")")[2].split()[1])
    below, found = {process}, set()
    while below:
        below = {number for number, parent in parents.items() if parent in below}
        found |= below
    return found


def gone(processes):
    return not any(
        Path(f"/proc/{number}/cmdline").exists() and Path(f"/proc/{number}/cmdline").read_bytes()
        for number in processes
    )


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL])
def test_workers_end_with_the_one_that_started_them(begin, small, number):
    # Runs that would go on for hours.
    long = ("--set", "recipe.steps=1000000", "--workers", "2")
    run = begin("compare", "--vary", "block.norm=rms,layer", "--seeds", "2", *small, *long)
    run.wait_for(lambda: len(descendants(run.process)) >= 4)
    time.sleep(1)
    below = descendants(run.process)
    run.send(number)
    run.end()
    end = time.monotonic() + 20
    while not gone(below) and time.monotonic() < end:
        time.sleep(0.05)
    left = [process for process in below if not gone({process})]
    for process in left:
        os.kill(process, signal.SIGKILL)
    assert not left and "Traceback" not in run.err


def test_equal_time_is_solved_for_said_and_kept(oneblock, small, tmp_path):
    vary = ("--vary", "num_layers=1,4", "--equal", "time")
    done = oneblock("compare", *vary, "--seeds", "2", *small, "--json")
    assert done.status == 0, done.err
    assert "equal time: steps 1 10 of " in done.err and "Another trial finds others" in done.err
    assert done.result["equal"] == "time" and set(done.result["trial_step_seconds"]) == {"1", "4"}
    again = oneblock("compare", *vary, "--resume", "--json")
    assert "4 of 4 were run before" in again.err
    assert again.result["trial_step_seconds"] == done.result["trial_step_seconds"]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["plasement"], "try placement"),
        ([], "give one of NAME, --vary and --variants"),
        (["toys", "--vary", "a=b,c"], "give one of"),
        (["toys", "--base", "nano"], "--base is for --vary"),
        (["toys", "--resume"], "leave --resume out"),
        (["--resume"], "needs the comparison's NAME"),
        (["--vary", "block.placement=pre,beside"], "the variant beside"),
        (["--vary", "block.placement=pre,post", "--base", "dit-nano"], "a DiT; comparisons are of decoders"),
        (["--variants", "a.json", "b.json"], "a.json: cannot be read"),
        (["norms", "--set", "recipe.data=gone.txt"], "gone.txt"),
        (["norms", "--seeds", "1"], "1 is below 2"),
        (["norms", "--equal", "flops"], "--equal is for --vary and --variants"),
        (["toys", "--equal", "time"], "trains nothing"),
        (["norms", "--workers", "2", "--engine", "ray"], "--workers is for --engine local"),
        (["norms", "--workers", "2", "--device", "cuda"], "a GPU is one process's"),
        (["E16", "--set", "recipe.data=tinyshakespeare"], "reversal-N"),
    ],
)
def test_bad_input_is_said_in_words(oneblock, arguments, words):
    done = oneblock("compare", *arguments)
    assert done.status == 2 and words in done.err and "Traceback" not in done.err
