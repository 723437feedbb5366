import math
import re

import pytest

from oneblock.train.report.charts import HEIGHT, STRETCH, Chart, Series, draw, thin
from oneblock.train.report.curves import smooth
from oneblock.train.report.history import read_history
from oneblock.train.report.markup import Markup, element, text
from oneblock.train.report.pieces import even
from oneblock.train.report.ticks import label, labels, linear_ticks, log_ticks


def chart(xs, ys, **options):
    series = Series(label="a curve", xs=xs, ys=ys, color="c1")
    defaults = {"title": "t", "description": "d", "x_range": (0, 10), "y_range": (0, 4)}
    return draw(Chart(series=[series], **defaults | options))


def path(markup):
    return re.search(r'<path d="([^"]*)" class="c1"', markup).group(1)


def test_a_line_runs_through_its_points():
    drawn = path(chart([0, 5, 10], [0, 1, 4]))
    assert drawn == f"M0.0 {HEIGHT:.1f}h0L{STRETCH / 2} {0.75 * HEIGHT:.1f}L{STRETCH:.1f} 0.0"


def test_a_line_breaks_where_a_value_is_no_number():
    drawn = path(chart([0, 1, 2, 3, 4], [1, 2, math.nan, 2, 1]))
    assert drawn.count("M") == 2
    assert "nan" not in drawn


def test_a_logarithmic_axis_is_even_in_factors():
    heights = re.findall(r"[\d.]+ ([\d.]+)", path(chart([0, 5, 10], [0.1, 1, 10], y_range=(0.1, 10), log=True)))
    assert [float(height) for height in heights] == [HEIGHT, HEIGHT / 2, 0]


def test_of_a_part_only_what_is_seen_is_drawn():
    drawn = path(chart(list(range(100)), [1.0] * 100, x_range=(40, 50)))
    # One point more on either side, so that the line runs to the edge.
    assert drawn.count("L") + 1 == 13


def test_the_words_of_a_dashed_line_stay_inside():
    for value, anchor in ((9, "end"), (1, "start")):
        drawn = chart([0, 10], [1, 2], vertical=(value, "kept here"))
        assert re.search(rf'x="{value * 10}.00%"[^>]*text-anchor="{anchor}">kept here', drawn)


def test_thinning_keeps_ends_and_extremes():
    ys = [math.sin(n / 50) for n in range(20_000)]
    ys[7_001], ys[13_002], ys[500] = 9.0, -9.0, math.nan
    xs, thinned = thin(list(range(20_000)), ys)
    assert len(xs) <= 600
    assert xs == sorted(xs)
    assert (xs[0], xs[-1]) == (0, 19_999)
    assert (max(thinned), min(thinned)) == (9.0, -9.0)
    assert (7_001, 9.0) in zip(xs, thinned, strict=True)


def test_thinning_leaves_few_points_and_gaps_alone():
    assert thin([1, 2, 3], [4.0, 5.0, 6.0]) == ([1, 2, 3], [4, 5, 6])
    _, thinned = thin(list(range(6000)), [math.nan] * 3000 + [1.0] * 3000)
    assert math.isnan(thinned[100])
    assert thinned[-1] == 1


def test_smoothing_is_the_mean_around_each_point():
    xs, means = smooth(list(range(1, 12)), [float(n * n) for n in range(1, 12)], 3)
    assert xs == list(range(1, 12))
    assert means[0] == 1
    assert means[4] == pytest.approx((16 + 25 + 36) / 3)
    assert means[-1] == pytest.approx((100 + 121) / 2)


def test_smoothing_leaves_out_what_is_no_number_and_what_is_far_away():
    _, means = smooth([1, 2, 3, 4, 5, 6, 7], [1e30, 1.0, 2.0, math.nan, 4.0, 5.0, 6.0], 3)
    assert means[3] == 3.0
    assert means[5] == 5.0
    assert all(math.isnan(mean) for mean in smooth([1, 2, 3], [math.nan] * 3, 3)[1])


@pytest.mark.parametrize(
    ("low", "high", "ticks"),
    [
        (0, 4750, [0, 1000, 2000, 3000, 4000]),
        (0.93, 4.31, [1, 2, 3, 4]),
        (1.16, 1.68, [1.2, 1.3, 1.4, 1.5, 1.6]),
        (-0.3, 0.21, [-0.3, -0.2, -0.1, 0, 0.1, 0.2]),
        (0, 0.00162, [0, 0.0005, 0.001, 0.0015]),
    ],
)
def test_ticks_are_round(low, high, ticks):
    assert linear_ticks(low, high) == ticks


@pytest.mark.parametrize("high", [1, 2, 3, 7, 60, 999, 100_000, 31_415_926])
def test_steps_have_whole_ticks(high):
    ticks = linear_ticks(0, high, whole=True)
    assert 2 <= len(ticks) <= 6
    assert all(tick == int(tick) for tick in ticks)


@pytest.mark.parametrize(
    ("low", "high", "ticks"),
    [
        (0.2, 60, [0.3, 1, 3, 10, 30]),
        (0.001, 1000, [0.001, 0.01, 0.1, 1, 10, 100, 1000]),
        (0.4, 3, [0.5, 1, 2]),
        (0.31, 0.42, [0.35, 0.4]),
    ],
)
def test_logarithmic_ticks_are_round(low, high, ticks):
    assert log_ticks(low, high) == ticks


@pytest.mark.parametrize(("low", "high"), [(1e-30, 1e30), (0.5, 0.50001), (1e-9, 2e-9)])
def test_ticks_stay_few_and_inside(low, high):
    for ticks in (log_ticks(low, high), linear_ticks(low, high)):
        assert 1 <= len(ticks) <= 7
        assert all(low - 1e-6 * (high - low) <= tick <= high * 1.001 for tick in ticks)


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (0, "0"),
        (0.0015, "0.0015"),
        (1.23456, "1.235"),
        (-2.5, "−2.5"),
        (43210, "43,210"),
        (2e-7, "2e−7"),
        (3e38, "3e38"),
    ],
)
def test_numbers_are_written_short(value, words):
    assert label(value) == words


def test_the_ticks_of_an_axis_have_the_same_decimals():
    assert labels([0, 1, 1.5, 2]) == ["0", "1.0", "1.5", "2.0"]


def happened(kind, step, **values):
    return {"event": kind, "step": step, **values}


def test_a_rollback_takes_back_what_came_after():
    events = [happened("step", n, loss=float(n)) for n in range(1, 8)]
    events += [happened("evaluate", 7, kept=True), happened("skip", 8), happened("rollback", 4, to_step=4)]
    events += [happened("step", n, loss=-float(n)) for n in (5, 6)]
    history = read_history(events)
    assert [event["loss"] for event in history.steps] == [1, 2, 3, 4, -5, -6]
    assert [[event["step"] for event in times] for times in history.undone] == [[5, 6, 7]]
    assert history.evaluations == history.skips == []
    assert history.kept is None
    assert history.step == 6


def test_steps_that_come_again_without_a_word_replace_the_old_ones():
    history = read_history([happened("step", n, loss=float(i)) for i, n in enumerate((1, 2, 3, 2, 3, 4))])
    assert [(event["step"], event["loss"]) for event in history.steps] == [(1, 0), (2, 3), (3, 4), (4, 5)]


def test_events_of_one_step_stand_beside_each_other():
    kinds = ("step", "evaluate", "sample", "stopped", "resume", "start", "end")
    history = read_history(happened(kind, 5) for kind in kinds)
    assert len(history.steps) == len(history.evaluations) == len(history.samples) == 1
    assert [event["event"] for event in history.happenings] == ["stopped", "resume", "start", "end"]


def test_lines_that_are_no_events_are_passed_over():
    assert read_history([{}, {"event": "step"}, {"event": 3, "step": 1}, {"step": 2}]).step == 0


def test_markup_is_escaped_once():
    made = element("p", '<&">', Markup("<b></b>"), class_='a"b', aria_hidden="true")
    assert made == '<p class="a&quot;b" aria-hidden="true">&lt;&amp;&quot;&gt;<b></b></p>'
    assert element("p", made).count("&amp;") == 1
    assert text("\x00\x7f\t\n") == "␀␡\t\n"


def test_even_choice_has_both_ends():
    assert even(range(100), 4) == [0, 33, 66, 99]
    assert even([1, 2], 4) == [1, 2]
