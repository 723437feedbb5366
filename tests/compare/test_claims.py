"""The table of claims: every row of experiments is in it, and what it says was run."""

import importlib.util
import json
from pathlib import Path

import pytest

from oneblock.compare.experiment import INSIDE, SUPPORTED
from oneblock.compare.experiments import EXPERIMENTS
from oneblock.compare.verdict import worded

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
        if "experiment" in claim:
            found = EXPERIMENTS[claim["experiment"]]
            assert found.row == claim["row"]
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
        "comparisons": [{"words": words, "verdict": SUPPORTED, "difference": -1.0, "interval": [-1.5, "NaN"]}],
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
    assert "| quick: supported | −1 (−1.5 to –) | `mask` |" in page
    assert "came of it: 7 of" in page and make_claims.undecided(make_claims.results()) == ["mask"]
    assert "Should decide at the quick budget, and did not: mask." in page
    assert page.count(make_claims.NOT_RUN) > 50


def test_a_comparison_that_was_not_among_those_run_is_said(make_claims):
    claim = {"comparison": "val_loss: x lower than y", "experiment": "mask"}
    assert make_claims._judged(claim, {"comparisons": []})[0].startswith("not among what was compared")
