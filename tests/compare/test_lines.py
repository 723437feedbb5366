"""The figures of a comparison: every variant has its line, on the axes its numbers need."""

import math
from types import SimpleNamespace

from oneblock.compare import lines
from oneblock.compare.experiment import Figure


def made(curves, nothing_learned=4.0):
    """An outcome of two seeds, whose curves are those given, a label -> name -> points."""
    runs = {label: tuple({"curve": of.get("loss", []), "curves": of} for _ in range(2)) for label, of in curves.items()}
    plan = SimpleNamespace(labels=tuple(curves), nothing_learned=nothing_learned)
    return SimpleNamespace(plan=plan, runs=runs)


def test_five_variants_take_two_charts_and_the_first_is_on_both():
    line = {"gradient by layer": [[0.0, 1.0], [1.0, 1e-8], [2.0, 1e-3]]}
    outcome = made(dict.fromkeys(("first", "b", "c", "d", "last"), line))
    charts = lines.figure(outcome, Figure(title="Gradient", curves=("gradient by layer",)))
    assert len(charts) == 2 and all("first, mean" in chart for chart in charts)
    assert "last, mean" in charts[1] and "last, mean" not in charts[0]
    # An axis of powers of ten: eight of them reach from the top to the bottom, three not half as far.
    assert "M0.0 1.3h0L500.0 248.7L1000.0 94.1" in charts[0]


def test_two_curves_of_one_figure_stand_on_the_same_axes():
    both = {"cached latency": [[16.0, 1.0], [512.0, 1.5]], "uncached latency": [[16.0, 2.0], [512.0, 40.0]]}
    figure = Figure(title="Milliseconds", curves=("cached latency", "uncached latency"))
    (chart,) = lines.figure(made({"a": both, "b": both}), figure)
    for words in ("a, ms for a token, with a cache, mean", "b, ms for a token, all computed anew, mean"):
        assert words in chart


def test_what_a_variant_has_not_got_is_left_out():
    figure = Figure(title="Tokens", curves=("tokens by expert",))
    (chart,) = lines.figure(made({"switch": {"tokens by expert": [[1.0, 3.0], [2.0, 1.0]]}, "dense": {}}), figure)
    assert "switch, mean" in chart and "dense, mean" not in chart
    assert lines.figure(made({"dense": {}, "other": {}}), figure) == []
    nothing = {"tokens by expert": [[1.0, math.nan], [2.0, math.nan]]}
    assert lines.figure(made({"dense": nothing, "other": {}}), figure) == []


def test_a_loss_that_flew_off_does_not_press_the_others_flat():
    outcome = made({"tame": {"loss": [[1, 4.0], [2, 2.0]]}, "wild": {"loss": [[1, 4.0], [2, 9000.0]]}})
    (chart,) = lines.losses(outcome)
    assert ">5</text>" in chart and ">8,000</text>" not in chart and ">8000</text>" not in chart
