"""Measures of runs: those kept, those made of two, and what a run that diverged counts as."""

import math
from types import SimpleNamespace

from oneblock.compare.work import measured, value_of

PLAN = SimpleNamespace(nothing_learned=4.0)


def run(diverged=False, **measures):
    return {"diverged": diverged, "measures": measures}


def test_a_measure_that_is_one_less_another_is_made_of_what_was_kept():
    assert value_of("near_loss", run(far_loss=3.0, stretch=0.5)) == 2.5
    assert math.isnan(value_of("near_loss", run(far_loss=3.0))) and math.isnan(value_of("stretch", run()))


def test_a_run_that_diverged_has_learned_nothing():
    runs = {"a": (run(far_loss=3.0, stretch=0.5), run(diverged=True, far_loss=9.0, stretch=1.0))}
    assert measured("near_loss", runs, PLAN) == {"a": [2.5, 8.0]}
    runs["b"] = (run(diverged=True, far_loss=3.0, stretch=math.nan),) * 2
    assert measured("near_loss", runs, PLAN)["b"] == [8.0, 8.0]
    assert measured("stretch", {"a": (run(stretch=math.inf),)}, PLAN)["a"] != [math.inf]
