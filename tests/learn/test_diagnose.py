"""In which order explanations of a failure are tried: time ends the search, so the likely ones stand first."""

import pytest
import torch

from oneblock.learn.child.desk import Desk
from oneblock.learn.diagnose import _candidates, diagnose
from oneblock.learn.exercises import exercise_named
from oneblock.learn.judge import judge
from oneblock.learn.prove import judged

NORMS = exercise_named("norms")
BY_NAME = {wrong.name: wrong for wrong in NORMS.wrong}


@pytest.mark.parametrize(
    ("names", "root"),
    [
        (("rms_sum", "rms_no_weight"), "rms_values"),
        (("rms_one_plus", "rms_in_place"), "inputs"),
        (("unbiased", "rms_sum"), "layer_values"),
    ],
)
def test_two_mistakes_are_both_named_before_the_time_is_over(names, root, monkeypatch):
    tried = []

    def counted(exercise, of):
        for variants, switches in _candidates(exercise, of):
            tried.append(variants)
            yield variants, switches

    monkeypatch.setattr("oneblock.learn.diagnose._candidates", counted)
    # Of time there is as much as it takes: what counts is how many are tried before.
    monkeypatch.setattr("oneblock.learn.diagnose.PATIENCE", 1e9)
    switches = {key: value for name in names for key, value in BY_NAME[name].switches.items()}
    outcome, desk = judged(NORMS, switches, seed=3)
    assert outcome.root.id == root
    found = diagnose(NORMS, outcome, desk.answer, dtype=torch.float64)
    assert set(found.named) == set(names) and found.whole
    assert len(tried) < 700


def test_every_wrong_variant_by_itself_comes_first_and_each_pair_once():
    found = [variants for variants, _ in _candidates(NORMS, "rms_values")]
    assert found[: len(NORMS.wrong)] == [(wrong,) for wrong in NORMS.wrong]
    pairs = [variants for variants in found if len(variants) == 2]
    assert len({(one.name, two.name) for one, two in pairs}) == len(pairs) > 900
    dies = ["rms_values" in one.dies and "rms_values" in two.dies for one, two in pairs]
    assert dies == sorted(dies, reverse=True) and any(dies)


HALF = """import math


def softmax(x):
    e = [math.exp(a) for a in x]
    return [a / sum(e) for a in e]


def attention(q, k, v):
    raise NotImplementedError("attention is yours to write")


def layer_norm(x, eps):
    raise NotImplementedError("layer_norm is yours to write")


def residual(x, f):
    return [a + b for a, b in zip(x, f(x))]
"""


def test_what_is_not_begun_is_no_example_and_an_error_has_no_difference():
    names: dict = {}
    exec(HALF, names)
    lists = exercise_named("lists")
    desk = Desk({name: names[name] for name in lists.names})
    outcome = judge(lists, desk.answer, seed=3)
    assert outcome.root.id == "large"
    found = diagnose(lists, outcome, desk.answer, dtype=torch.float64)
    assert "softmax without the largest score taken away. exp of" in found.sentence and found.worked == ""
