"""What lessons may link to, held against the rooms that it comes from."""

import importlib.util
import json
from pathlib import Path

import pytest

from oneblock.compare.experiments import EXPERIMENTS
from oneblock.doctor.checks import CHECKS
from oneblock.learn.course import links
from oneblock.learn.course.links import Target, checks, experiments, fault, known, target

ROOT = Path(__file__).resolve().parents[3]


def make_course_links():
    spec = importlib.util.spec_from_file_location("make_course_links", ROOT / "docs" / "make_course_links.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_file_is_current():
    made = make_course_links().made()
    assert links.FILE.read_text(encoding="utf-8") == made, "run python docs/make_course_links.py"


def test_all_experiments_and_checks_are_there():
    assert list(experiments()) == list(EXPERIMENTS) and list(checks()) == list(CHECKS)
    assert checks()["C1"] == "does a token see later ones?" and experiments()["residuals"].row == "E1"


def test_the_largest_budget_is_told(tmp_path, monkeypatch):
    made = make_course_links()
    monkeypatch.setattr(made, "RESULTS", tmp_path)
    assert made.recorded("mask") == {}
    for budget, verdict in (("quick", "supported"), ("standard", "refuted")):
        (tmp_path / f"mask-{budget}.json").write_text(json.dumps({"verdict": verdict, "sentence": budget, "more": 1}))
    assert made.recorded("mask") == {"budget": "standard", "verdict": "refuted", "sentence": "standard"}
    assert '"verdict": "refuted"' in made.made() and links.experiments()["mask"].verdict in ("", *VERDICTS)


VERDICTS = ("supported", "refuted", "inside the noise", "not testable at this scale")


@pytest.mark.parametrize(
    ("to", "parts"),
    [
        ("lesson:norm#why", ("lesson", "norm", "why")),
        ("lesson:norm", ("lesson", "norm", "")),
        ("#why:not", ("", "", "why:not")),
        ("norm.md", ("", "norm.md", "")),
        ("https://a.b/c#d", ("https", "//a.b/c", "d")),
    ],
)
def test_addresses(to, parts):
    assert target(to) == Target(kind=parts[0], name=parts[1], anchor=parts[2])


def test_every_kind_has_names_and_refuses_others():
    for kind in links.KINDS:
        names = known(kind)
        assert names, kind
        assert not fault(f"{kind}:{next(iter(names))}", ()), kind
        assert "is not there; try" in fault(f"{kind}:zzz", ()), kind
    assert known("nothing") is None
