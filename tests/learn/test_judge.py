"""The judge: one root failure, a world left as it was, inputs left alone, the same answer twice."""

import re
from types import SimpleNamespace

import pytest
import torch
from toy_exercise import HINTS, line, make_exercise

from oneblock.learn.alike import apart
from oneblock.learn.child.desk import Desk
from oneblock.learn.diagnose import diagnose
from oneblock.learn.judge import judge
from oneblock.learn.prove import here

EXERCISE = make_exercise()


def graded(function, **names):
    desk = Desk({"line": function, **names}, folder=__file__, file=__file__)
    outcome = judge(EXERCISE, desk.answer, seed=5)
    return outcome, diagnose(EXERCISE, outcome, desk.answer, dtype=torch.float64)


def statuses(outcome):
    return {verdict.id: verdict.status for verdict in outcome.verdicts}


def test_right_passes_everything():
    outcome, diagnosis = graded(line)
    assert outcome.passed and outcome.root is None and diagnosis is None
    assert set(statuses(outcome).values()) == {"PASS"}
    assert list(statuses(outcome)) == ["loads", "own_work", "world", "inputs", "zero", "values", "again"]


def test_one_root_failure_and_what_waits_for_it():
    outcome, diagnosis = graded(lambda x: 2 * x)
    assert outcome.root.id == "zero" and outcome.root.hints == HINTS
    assert statuses(outcome) | {"zero": "FAIL", "values": "SKIP", "again": "SKIP"} == statuses(outcome)
    assert diagnosis.named == ("low",) and "the line without its offset" in diagnosis.sentence


def test_a_diagnosis_names_pairs_and_says_what_to_do():
    outcome, diagnosis = here(EXERCISE, {"slope": 1.0}, seed=0)
    assert diagnosis.named == ("flat",) and diagnosis.sentence.endswith("(difference 0). Turn.")
    assert diagnosis.worked == "x = 3. On paper: [7.0]. Yours: [4.0]"
    # Not in the list at all: no variant is named, and the first step that is missing is.
    outcome, diagnosis = graded(lambda x: 2 * x + 1 + x**3)
    assert outcome.root.id == "values" and diagnosis.named == ()
    outcome, diagnosis = graded(lambda x: (2 * x) * 1 + x.new_ones(()) + x * x.abs())
    assert "Up to 2 x + 1 your numbers are right" not in diagnosis.sentence


def test_a_step_that_is_nowhere_is_told():
    def parts(x):
        double = 2 * x
        return double + (x != 0) * 3 + (x == 0)

    _, diagnosis = graded(parts)
    assert "Up to 2 x your numbers are right" in diagnosis.sentence and "2 x + 1 is nowhere" in diagnosis.sentence
    assert diagnosis.line > 0


def test_a_missing_name_is_told_with_what_is_there():
    outcome = judge(EXERCISE, Desk({"Line": line, "_hidden": 1}).answer, seed=0)
    assert outcome.root.id == "loads" and outcome.root.message == "your file has no line; it has Line"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda: torch.manual_seed(3), "it sets a seed for everyone.*torch.manual_seed"),
        (lambda: torch.set_default_dtype(torch.float64), "default dtype"),
        (lambda: torch.set_grad_enabled(False), "turns gradients off"),
    ],
)
def test_the_world_is_the_root_and_is_put_right(change, message):
    outcome, _ = graded(lambda x: (change(), line(x))[1])
    assert outcome.root.id == "world"
    assert re.search(message, outcome.root.message)
    assert torch.get_default_dtype() == torch.float32 and torch.is_grad_enabled()


@pytest.mark.parametrize("where", [(torch, "exp"), (torch.Tensor, "__eq__"), (torch.nn.Module, "__call__")])
def test_a_patched_function_is_named_and_put_right(where):
    place, name = where
    before = getattr(place, name)

    def patching(x):
        setattr(place, name, lambda *args: True)
        return 2 * x + 1

    outcome, _ = graded(patching)
    assert outcome.root.id == "world" and outcome.root.message.endswith(name)
    assert getattr(place, name) is before


def test_inputs_changed_in_place_come_before_their_consequences():
    def line_in_place(x):
        return x.mul_(2).add_(1)

    outcome, _ = graded(line_in_place)
    assert outcome.root.id == "inputs" and "argument number 1 in place" in outcome.root.message


def test_what_is_kept_between_calls_is_found():
    seen = SimpleNamespace(count=0)

    def tired(x):
        seen.count += 1
        return 2 * x + 1 + (1e-3 if seen.count > 2 else 0.0)

    outcome, _ = graded(tired)
    assert outcome.root.id == "again"
    outcome, _ = graded(lambda x: 2 * x + 1 + 1e-12 * torch.rand(()))
    assert outcome.passed
    outcome, _ = graded(lambda x: torch.where(torch.rand(()) < 2, 2 * x + 1, x))
    assert outcome.passed


@pytest.mark.parametrize("given", [None, [1.0], "7", 3.0, (torch.ones(3),), {"a": 1}, object()])
def test_another_kind_of_value_is_told(given):
    outcome, _ = graded(lambda x: given)
    more = " (does it end with `return`?)" if given is None else ""
    assert outcome.root.id == "zero" and outcome.root.message.endswith(f"a tensor is asked{more}")


def test_nan_never_passes_and_shapes_are_exact():
    for wrong in (lambda x: x * torch.nan, lambda x: (2 * x + 1)[None], lambda x: (2 * x + 1).float()):
        assert not graded(wrong)[0].passed


def test_what_raises_is_told_with_its_line():
    def boom(x):
        raise KeyError("nothing there")

    outcome, diagnosis = graded(boom)
    assert "line raised KeyError: 'nothing there' (line" in outcome.root.message
    assert diagnosis.line > 0 and diagnosis.worked == ""
    outcome, _ = graded(lambda: None)
    assert "takes 0 positional arguments" in outcome.root.message


def test_distances():
    one, nan = torch.tensor([1.0, float("nan")]), torch.tensor([1.0, float("nan")])
    assert apart(one, nan) == 0 and apart((one, 3), (nan, 3)) == 0
    assert apart(one, one.double()) == apart(one, one[:1]) == apart([1], [1, 2]) == apart(1, 2) == float("inf")
    assert apart([0.5], (0.5,)) == float("inf") and apart([one], (one,)) == apart([3], (3,)) == 0
    assert apart(torch.tensor([200.0]), torch.tensor([202.0])) == pytest.approx(0.01)
