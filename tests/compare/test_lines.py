"""The figures of a comparison: every variant has its line, on the axes its numbers need."""

import math
from types import SimpleNamespace

import numpy as np

from oneblock.compare import lines
from oneblock.compare.experiment import Figure
from oneblock.compare.tables import points


def made(curves, nothing_learned=4.0):
    """An outcome of two seeds, whose curves are those given, a label -> name -> points."""
    runs = {label: tuple({"curve": of.get("loss", []), "curves": of} for _ in range(2)) for label, of in curves.items()}
    plan = SimpleNamespace(labels=tuple(curves), nothing_learned=nothing_learned)
    return SimpleNamespace(plan=plan, runs=runs)


def test_five_variants_take_two_charts_and_the_first_is_on_both():
    line = {"gradient by layer": [[0.0, 1.0], [1.0, 1e-8], [2.0, 1e-3]]}
    outcome = made(dict.fromkeys(("first", "b", "c", "d", "last"), line))
    charts = lines.charts(outcome, lines.plot(outcome, Figure(title="Gradient", curves=("gradient by layer",))))
    assert len(charts) == 2 and all("> first<" in chart for chart in charts)
    assert "> last<" in charts[1] and "> last<" not in charts[0] and all(lines.EDGES in chart for chart in charts)
    # An axis of powers of ten: eight of them reach from the top to the bottom, three not half as far.
    assert "M0.0 1.3h0L500.0 248.7L1000.0 94.1" in charts[0]


def test_two_curves_of_one_figure_stand_on_the_same_axes():
    both = {"cached latency": [[16.0, 1.0], [512.0, 1.5]], "uncached latency": [[16.0, 2.0], [512.0, 40.0]]}
    figure = Figure(title="Milliseconds", curves=("cached latency", "uncached latency"))
    outcome = made({"a": both, "b": both})
    (chart,) = lines.charts(outcome, lines.plot(outcome, figure))
    for words in ("a, ms for a token, with a cache", "b, ms for a token, all computed anew"):
        assert words in chart


def test_what_a_variant_has_not_got_is_left_out():
    plot = lines.plot(made({}), Figure(title="Tokens", curves=("tokens by expert",)))
    (chart,) = lines.charts(made({"switch": {"tokens by expert": [[1.0, 3.0], [2.0, 1.0]]}, "dense": {}}), plot)
    assert "> switch<" in chart and "> dense<" not in chart
    assert lines.charts(made({"dense": {}, "other": {}}), plot) == []
    nothing = {"tokens by expert": [[1.0, math.nan], [2.0, math.nan]]}
    assert lines.charts(made({"dense": nothing, "other": {}}), plot) == []


def test_a_loss_that_flew_off_does_not_press_the_others_flat():
    outcome = made({"tame": {"loss": [[1, 4.0], [2, 2.0]]}, "wild": {"loss": [[1, 4.0], [2, 9000.0]]}})
    (chart,) = lines.charts(outcome, lines.loss(outcome))
    assert ">5</text>" in chart and ">8,000</text>" not in chart and ">8000</text>" not in chart


def test_a_toy_stack_stands_beside_the_real_ones_and_begins_where_the_first_does():
    figure = Figure(title="Stream", curves=("stream at the start by layer",), toys=(3.0, 0.1))
    first, other = [[0.0, 2.0], [1.0, 2.5], [2.0, 4.0]], [[0.0, 5.0], [1.0, 5.0], [2.0, 5.0]]
    curve = "stream at the start by layer"
    outcome = made({"a": {curve: first}, "b": {curve: other}})
    plot = lines.plot(outcome, figure)
    computed = lines.toys(plot, [0.0, 1.0, 2.0], 2.0)
    assert computed["a stack of ×3, computed"] == [2.0, 6.0, 18.0]
    assert [round(y, 12) for y in computed["a stack of ×0.1, computed"]] == [2.0, 0.2, 0.02]
    (chart,) = lines.charts(outcome, plot)
    assert "a stack of ×3, computed, layer 2: 18" in chart and 'class="soft"' in chart
    table = points(outcome, plot)
    assert table.names == ["layer", "a", "b", "a stack of ×3, computed", "a stack of ×0.1, computed"]
    assert table.lines[2] == ["2", "4", "5", "18", "0.02"]


def test_a_figure_as_numbers_has_the_mean_and_the_edges_at_few_places():
    outcome = made({"a": {"loss": [[float(step), 4.0 - step / 50] for step in range(1, 101)]}, "b": {}})
    first, second = outcome.runs["a"]
    second["curve"] = [[x, y + 0.5] for x, y in first["curve"]]
    table = points(outcome, lines.loss(outcome))
    assert table.names == ["step", "a"] and len(table.lines) == 13
    assert table.lines[0] == ["1", "4.23 (3.98 to 4.48)"] and table.lines[-1] == ["100", "2.25 (2 to 2.5)"]
    assert points(made({"a": {}, "b": {}}), lines.loss(outcome)) is None


def test_a_run_that_ended_early_counts_as_far_as_it_went():
    """Points lie at every fifth step of whole runs, and at every step of one that diverged at the twelfth."""
    whole = [[float(step), 4.0 - step / 50] for step in range(5, 101, 5)]
    short = [[float(step), 6.0] for step in range(1, 13)]
    outcome = made({"a": {"loss": whole}})
    first, second = outcome.runs["a"]
    second["curve"] = short
    ((xs, values),) = lines.curves(outcome, lines.loss(outcome), ["a"]).values()
    assert xs == [x for x, _ in whole]
    assert values[1, :2].tolist() == [6.0, 6.0] and all(map(math.isnan, values[1, 2:]))
    means = lines.over_seeds(np.mean, values)
    assert means[0] == (3.9 + 6.0) / 2 and means[2:] == [y for _, y in whole[2:]]
    (chart,) = lines.charts(outcome, lines.loss(outcome))
    assert "nan" not in chart.lower()
    first["curve"] = second["curve"] = [[1.0, math.nan]]
    assert lines.over_seeds(np.max, np.array([[math.nan, 2.0], [math.nan, 3.0]]))[1] == 3.0
    assert lines.charts(outcome, lines.loss(outcome)) == []
