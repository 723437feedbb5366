"""The failure–fix table: the eleven rows and more, each with an experiment, a check and an exercise that are there."""

import json

import pytest

from oneblock.learn.course import failures, links, rules
from oneblock.learn.course.failures import lines, markdown, rows, told
from oneblock.learn.errors import LearnError
from oneblock.learn.exercises import NAMES

CORE = [
    # words of the failure, of the fix
    ("overwrites features", "residual"),
    ("vanish", "identity path"),
    ("drift up", "norm"),
    ("collapse", "norm"),
    ("mean shifts", "LayerNorm"),
    ("Post-norm is brittle", "Pre-norm"),
    ("nothing of the others", "Attention"),
    ("never worked on", "feed-forward"),
    ("reads the future", "mask"),
    ("prefix again", "cache"),
    ("does not see the source", "Cross-attention"),
]
BEYOND = {"good-loss-bad-text", "shifted-twice", "unscaled", "router-precision", "masked-after", "positions-restart"}
EXPERIMENTS = {"unscaled": "scale", "reads-the-future": "mask", "recomputes": "cache", "router-precision": "experts"}
CHECKS = {"unscaled": "A2", "reads-the-future": "C1", "recomputes": "K1", "router-precision": "D3", "shifted-twice": "L1",
          "positions-restart": "K3", "spike": "F1", "growing": "A3", "post-norm": "N1"}  # fmt: skip


def by_id():
    return {row.id: row for row in rows()}


def test_the_recaps_rows_stand_first_in_their_order():
    core = [row for row in rows() if row.core]
    assert len(core) == len(CORE) and list(rows()[: len(CORE)]) == core
    for row, (failure, fix) in zip(core, CORE, strict=True):
        assert failure in row.failure and fix.lower() in row.fix.lower() and len(row.why.split()) > 6 and row.see


def test_rows_met_in_practice_are_there():
    assert set(by_id()) >= BEYOND and len(rows()) >= 18


@pytest.mark.parametrize("row", rows(), ids=lambda row: row.id)
def test_what_a_row_names_is_there(row):
    assert row.checks and set(row.checks) <= set(links.checks())
    assert row.exercises and set(row.exercises) <= set(NAMES)
    assert set(row.experiments) <= set(links.experiments())
    # Cross-attention's own experiment may not be there yet.
    assert row.experiments or not row.core or row.later


def test_rows_name_the_right_ones():
    assert all(EXPERIMENTS[name] in by_id()[name].experiments for name in EXPERIMENTS)
    assert all(CHECKS[name] in by_id()[name].checks for name in CHECKS)


def test_the_table_has_its_columns_and_its_links_lead_somewhere():
    text = markdown()
    assert text.startswith("| failure | what you see | fix | why |")
    rules.linked("failures", text, ())
    assert "[lesson residual](lesson:residual#" in text, "words alone say which lesson"
    tables = [line for line in text.splitlines() if line.startswith("| ")]
    assert len(tables) == len(rows()) + 2 and {line.count(" | ") for line in tables} == {4}


def test_an_experiment_that_comes_later_is_shown_then(monkeypatch, tmp_path):
    copy = tmp_path / "failures.toml"
    copy.write_text(failures.FILE.read_text(encoding="utf-8"), encoding="utf-8")
    there = {**links.experiments(), "encoder-decoder": next(iter(links.experiments().values()))}
    monkeypatch.setattr(links, "experiments", lambda: there)
    row = next(row for row in rows(copy) if row.id == "no-source")
    assert "encoder-decoder" in row.experiments


def test_json_and_terminal():
    found = json.loads(json.dumps(told()))["failures"]
    assert len(found) == len(rows()) and set(found[0]) == {
        "id", "failure", "see", "fix", "why", "lesson", "experiments", "checks", "exercises", "core"
    }  # fmt: skip
    text = "\n".join(lines(width=80))
    assert "  oneblock compare scale\n" in text and "oneblock doctor TARGET --only A2,A3" in text
    assert "oneblock doctor --log FILE" in text and "--only F1" not in text
    assert all(len(line) <= 80 for line in text.splitlines())


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ('checks = ["A2", "A3"]', 'checks = ["A2", "A33"]', "A33"),
        ('experiments = ["scale"]', 'experiments = ["scales"]', "scale"),
        ('exercises = ["fit"]', 'exercises = ["fitt"]', "fit"),
        ('lesson = "stacks#cross-attention"', 'lesson = "stack"', "stacks"),
        ('id = "unscaled"', 'id = "spike"', "there twice"),
        ('see = "Hidden norms grow', 'saw = "Hidden norms grow', "saw is not a field; try"),
    ],
)
def test_a_wrong_row_is_refused(tmp_path, old, new, said):
    text = failures.FILE.read_text(encoding="utf-8")
    assert old in text
    path = tmp_path / "failures.toml"
    path.write_text(text.replace(old, new, 1), encoding="utf-8")
    with pytest.raises(LearnError, match=said):
        rows(path)
