"""The table of claims: every row of experiments is in it, and what it says was run."""

import argparse
import importlib.util
import json
import math
import re
import shlex
from pathlib import Path

import pytest

from oneblock.cli import compare
from oneblock.compare.experiment import INSIDE, REFUTED, SUPPORTED, UNTESTABLE
from oneblock.compare.experiments import EXPERIMENTS
from oneblock.compare.verdict import worded
from oneblock.config.override import override
from oneblock.config.presets import preset
from oneblock.config.serial import to_dict

DOCS = Path(__file__).resolve().parents[2] / "docs"


@pytest.fixture
def make_claims():
    spec = importlib.util.spec_from_file_location("make_claims", DOCS / "make_claims.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def claims():
    return json.loads((DOCS / "claims.json").read_text(encoding="utf-8"))


def test_the_page_is_current(make_claims):
    assert make_claims.PAGE.read_text(encoding="utf-8") == make_claims.made(), "run python docs/make_claims.py"


def test_every_row_and_every_experiment_has_its_claims():
    assert {f"E{n}" for n in range(1, 19)} <= {claim["row"] for claim in claims()}
    assert {claim["experiment"] for claim in claims() if "experiment" in claim} == set(EXPERIMENTS)
    for claim in claims():
        assert claim["claim"].endswith(".") and claim["source"]
        assert set(claim) <= {"row", "claim", "source", "experiment", "comparison", "reason", "remark"}, claim
        assert "experiment" in claim or claim["reason"], claim
        if "experiment" in claim:
            found = EXPERIMENTS[claim["experiment"]]
            assert found.row == claim["row"], claim
            assert claim.get("comparison") in [None, *map(worded, found.rule)], claim


def test_a_result_is_taken_over_without_the_places_of_its_machine(make_claims, tmp_path, monkeypatch):
    monkeypatch.setattr(make_claims, "KEPT", tmp_path / "kept")
    folder = tmp_path / "secret" / "mask"
    folder.mkdir(parents=True)
    words = "leak: before below -15"
    result = {
        "experiment": "mask",
        "verdict": INSIDE,
        "sentence": "a | b",
        "seeds": [0, 1, 2],
        "comparisons": [finding(words, SUPPORTED, difference=-1.0, interval=[-1.5, "NaN"])],
        "report": str(folder / "report.html"),
        "command": f"oneblock compare mask --out {tmp_path / 'secret'}",
    }
    asked = {"budget": None, "seeds": 3, "seed": None, "settings": ["recipe.steps=20"]}
    (folder / "results.json").write_text(json.dumps(result))
    (folder / "asked.json").write_text(json.dumps(asked))
    (kept,) = make_claims.take(tmp_path / "secret")
    assert kept.name == "mask-quick.json" and "secret" not in kept.read_text()
    (folder / "asked.json").write_text(json.dumps(asked | {"budget": "smoke"}))
    assert make_claims.take(tmp_path / "secret") == [], "of the smallest budget the verdicts mean nothing"
    page = make_claims.made()
    command = "oneblock compare mask --budget quick --seeds 3 --set recipe.steps=20"
    assert f"`{command}` | 3 | inside the noise | a \\| b |" in page
    linked = f"`{command}` ([result](results/compare/mask-quick.json))"
    assert f"| quick: supported | −1 (−1.5 to –) | – | {linked} |" in page
    assert "came of it: 1 of" in re.sub(r"\s+", " ", page)
    assert make_claims.undecided(make_claims.results()) == ["mask"]
    assert "Should decide at the quick budget, and did not: mask." in page
    assert page.count(f"| {make_claims.NOT_RUN} |") == len(claims()) - 1


def finding(words, verdict, **numbers):
    known = {"difference": 0.02, "interval": [0.01, 0.03], "p": 0.2, "noise_floor": 0.03, "detectable": 0.046}
    return {"words": words, "verdict": verdict} | known | numbers


def result(budget, *findings, verdict=REFUTED):
    return {"budget": budget, "seeds": [0, 1, 2, 3, 4], "comparisons": list(findings), "verdict": verdict}


def test_a_comparison_that_was_not_among_those_run_is_said(make_claims):
    words = "val_loss: none lower than before"
    claim = {"row": "E12", "claim": "x.", "source": "y", "comparison": words, "experiment": "mask"}
    older = result("standard", finding("leak: before below -15", SUPPORTED)) | {"command": "c"}
    row = make_claims._row(claim, {"standard": older})
    assert row.endswith(
        "| not run here | – | what was run is older than this comparison: run it again | `oneblock compare mask` |"
    )
    newer = {"quick": result("quick", finding(words, SUPPORTED)) | {"command": "d"}, "standard": older}
    assert make_claims._verdicts(claim, newer) == f"quick: supported; standard: {make_claims.OLDER}"
    assert "`d` ([result](results/compare/mask-quick.json))" in make_claims._row(claim, newer), (
        "the largest that has it"
    )


def test_every_claim_that_did_not_come_out_has_its_reason(make_claims):
    assert make_claims.unexplained(claims(), make_claims.results()) == [], "write a `reason` in docs/claims.json"


def test_a_refuted_claim_without_a_reason_is_found(make_claims):
    words = "val_loss: none lower than before"
    claim = {"claim": "x.", "source": "y", "experiment": "mask", "comparison": words}
    of = {"quick": result("quick", finding(words, REFUTED))}
    assert make_claims.unexplained([claim, claim | {"reason": "z"}], {"mask": of}) == ["x."]
    assert make_claims.reason(claim | {"reason": "z"}, of) == "z"
    whole = {"claim": "x.", "source": "y", "experiment": "mask"}
    assert make_claims.unexplained([whole], {"mask": of}) == ["x."], "of the experiment as a whole"
    assert make_claims.unexplained([{"claim": "x.", "source": "y"}], {}) == ["x."], "of no experiment"


def test_a_reason_goes_when_a_larger_run_shows_the_claim(make_claims):
    words = "val_loss: none lower than before"
    claim = {
        "row": "E12",
        "claim": "x.",
        "source": "y",
        "experiment": "mask",
        "comparison": words,
        "reason": "too small",
    }
    of = {"quick": result("quick", finding(words, REFUTED)) | {"command": "c"}}
    assert "| too small |" in make_claims._row(claim, of)
    of["standard"] = result("standard", finding(words, SUPPORTED)) | {"command": "d"}
    row = make_claims._row(claim, of)
    assert "too small" not in row and "| quick: refuted; standard: supported |" in row and "| – | `d` (" in row
    of["standard"]["comparisons"] = [finding(words, INSIDE)]
    assert "| not larger than the noise floor of 0.03; 5 seeds find 0.046 four times in five |" in make_claims._row(
        claim, of
    )
    assert "| too small; see there |" in make_claims._row(claim | {"remark": "see there"}, {"quick": of["quick"]})


LOWER, ALIKE = "val_loss: switch lower than dense", "val_loss: pre and pre, warm-up within 0.05"


@pytest.mark.parametrize(
    ("experiment", "found", "said"),
    [
        ("experts", finding(LOWER, INSIDE), "not larger than the noise floor of 0.03; 5 seeds find 0.046 four times"),
        ("experts", finding(LOWER, INSIDE, p=0.01), "noise floor of 0.03, though p = 0.01 after correction for 2 com"),
        (
            "experts",
            finding(LOWER, INSIDE, difference=-0.04, p=0.02),
            "larger than the noise floor of 0.03, but the seeds differ too much among themselves: p = 0.02 after",
        ),
        (
            "experts",
            finding(LOWER, UNTESTABLE, detectable=0.2),
            "5 seeds find 0.2 four times in five, and the claim is of 0.17",
        ),
        ("experts", finding(LOWER, INSIDE, difference=math.nan), "a run that diverged has no such number"),
        ("warm-up", finding(ALIKE, INSIDE), "shown neither to lie within ±0.05 nor beyond: p = 0.2 after correction"),
        (
            "warm-up",
            finding(ALIKE, INSIDE, difference=0.06, noise_floor=0.07, p=0.0),
            "beyond ±0.05, but not larger than",
        ),
        (
            "warm-up",
            finding(ALIKE, UNTESTABLE, detectable=0.074),
            "show ±0.074 four times in five, and the claim is of ±0.05",
        ),
    ],
)
def test_what_was_not_settled_is_explained_by_its_numbers(make_claims, experiment, found, said):
    claim = {"claim": "x.", "source": "y", "experiment": experiment, "comparison": found["words"], "reason": "by hand"}
    why = make_claims.reason(claim, {"quick": result("quick", found, finding("another", SUPPORTED))})
    assert said in why and "by hand" not in why and not (said.startswith("larger") and "not larger" in why)


def test_what_is_linked_is_there(make_claims):
    linked = re.findall(r"\]\((results/compare/[^)]+)\)", make_claims.made())
    assert linked and all((DOCS / path).is_file() for path in linked)


def test_the_page_does_not_say_that_noise_is_what_another_seed_changes(make_claims):
    page = re.sub(r"\s+", " ", make_claims.made())
    assert "another seed changes" not in page
    assert "the difference is not larger than the noise floor, or p after correction is above 1 %" in page
    assert "of that one comparison alone, not corrected for the others" in page


def test_the_commands_it_names_can_be_planned(tmp_path, monkeypatch):
    said = " ".join(claim.get("reason", "") for claim in claims())
    monkeypatch.chdir(tmp_path)
    for options, folder in re.findall(r"`oneblock train nano --steps 1 (?:--set ([^ `]+) )?--out (\w+)`", said):
        config = override(preset("nano"), *([options] if options else []))
        Path(folder).mkdir()
        Path(folder, "config.json").write_text(json.dumps(to_dict(config)))
    commands = re.findall(r"`oneblock compare (--[^`]+)`", said)
    assert len(commands) == 2
    for words in commands:
        parser = argparse.ArgumentParser()
        compare.options(parser)
        args = parser.parse_args([*shlex.split(words), "--budget", "smoke"])
        args.settings = []
        assert len(compare.make_plan(args).variants) == 2
