"""Real experiments from the command to their reports, as small as they run: `--budget smoke`."""

import json
import random

import pytest

from oneblock.compare.experiment import VERDICTS
from oneblock.compare.experiments import EXPERIMENTS

THREE = ("placement", "encoder-decoder", "gradient-flow")
"""One that trains on a text, one on made sequences, one that trains nothing."""


def goes_through(oneblock, folder, name):
    found = EXPERIMENTS[name]
    text = "".join(random.Random(5).choices("abcdefghijklm .\n", k=2500))
    (folder / "text.txt").write_text(text)
    data = ["--set", "recipe.data=text.txt"] if found.trains and not found.starts else []
    done = oneblock("compare", name, "--budget", "smoke", *data, "--out", "here", "--json")
    assert done.status == 0, done.err
    assert done.result["verdict"] in VERDICTS and done.result["experiment"] == name
    assert done.result["seeds"] == [0, 1] and [v["name"] for v in done.result["variants"]] == list(found.variants)
    here = folder / "here"
    page = (here / f"{name}-smoke" / "report.html").read_text()
    words = (here / f"{name}-smoke" / "report.md").read_text()
    kept = json.loads((here / f"{name}-smoke" / "results.json").read_text())
    assert page.startswith("<!doctype html>") and "</html>" in page and "What was compared" in page
    assert words.startswith(f"# {found.row} {name}\n") and "## How it was run" in words
    assert all(f"### {figure.title}" in words for figure in found.figures if figure.curves)
    assert kept["verdict"] == done.result["verdict"] and len(kept["comparisons"]) == len(found.rule)
    lines = (here / "results.jsonl").read_text()
    assert lines
    again = oneblock("compare", name, "--resume", "--out", "here", "--json")
    assert again.status == 0, again.err
    # Variants that differ in nothing that is trained share their runs.
    runs = len(lines.splitlines())
    assert f"{runs} of {runs} were run before" in again.err
    assert (here / "results.jsonl").read_text() == lines
    assert again.result["variants"] == done.result["variants"]


@pytest.mark.parametrize("name", THREE)
def test_an_experiment_goes_from_the_command_to_its_reports_and_is_not_run_twice(oneblock, tmp_path, name):
    goes_through(oneblock, tmp_path, name)


@pytest.mark.slow
@pytest.mark.parametrize("name", [name for name in EXPERIMENTS if name not in THREE])
def test_every_other_experiment_does(oneblock, tmp_path, name):
    goes_through(oneblock, tmp_path, name)


def test_a_comparison_of_ones_own_has_the_smallest_budget_too(oneblock, tmp_path):
    (tmp_path / "text.txt").write_text("".join(random.Random(5).choices("abcdefghij ", k=1500)))
    vary = ("--vary", "block.norm=rms,layer", "--budget", "smoke", "--set", "recipe.data=text.txt")
    done = oneblock("compare", *vary, "--json")
    assert done.status == 0 and done.result["seeds"] == [0, 1], done.err
