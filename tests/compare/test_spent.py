"""The loss by seconds and by FLOPs, and one measure by another, as they are drawn."""

import math
from types import SimpleNamespace

import pytest

from oneblock.compare import lines
from oneblock.compare.experiment import Against, Figure
from oneblock.compare.spent import over_cost

BY_SECOND = Figure(title="Quality per second", curves=("loss by second",))
BY_FLOPS = Figure(title="Quality per FLOP", curves=("loss by FLOPs",))
SHAPE = SimpleNamespace(recipe=SimpleNamespace(batch_size=4), model=SimpleNamespace(context=100))


def outcome(losses, flops, seconds):
    """Two seeds of each variant, whose steps take 0.25 s less and more than is given."""
    runs = {
        label: tuple(
            {"curve": of, "curves": {}, "measures": {"step_seconds": seconds[label] + sign * 0.25}} for sign in (-1, 1)
        )
        for label, of in losses.items()
    }
    variants = [SimpleNamespace(label=label, flops=flops[label], config=SHAPE) for label in losses]
    plan = SimpleNamespace(labels=tuple(losses), nothing_learned=4.0, variants=variants)
    return SimpleNamespace(plan=plan, runs=runs)


@pytest.fixture
def made():
    losses = {"cheap": [[10, 4.0], [20, 2.0]], "dear": [[10, 4.0], [20, 1.5]]}
    return outcome(losses, {"cheap": 2e6, "dear": 5e6}, {"cheap": 0.5, "dear": 1.5})


def test_a_step_costs_its_seconds_and_the_flops_of_all_its_tokens(made):
    run = made.runs["dear"][1]
    assert over_cost(made, "loss by second", "dear", run) == [[12.5, 4.0], [25.0, 1.5]], (
        "at the pace of the quicker seed"
    )
    # 5 MFLOPs for each of 4 × 100 tokens.
    assert over_cost(made, "loss by FLOPs", "dear", run) == [[20.0, 4.0], [40.0, 1.5]]
    assert over_cost(made, "loss by FLOPs", "cheap", run) == [[pytest.approx(8.0), 4.0], [pytest.approx(16.0), 1.5]]


def test_every_variant_ends_where_its_cost_does(made):
    plot = lines.plot(made, BY_SECOND)
    assert (
        plot.title
        == "Quality per second: training loss, nats per token, by second of training at the quickest seed's pace"
    )
    found = lines.curves(made, plot, made.plan.labels)
    assert found["cheap"][0] == [2.5, 5.0] and found["dear"][0] == [12.5, 25.0]
    (chart,) = lines.charts(made, plot)
    # 20 steps of the dear one are the whole width; of the cheap one a fifth of it.
    assert "L1000.0 " in chart and "L200.0 " in chart
    (chart,) = lines.charts(made, lines.plot(made, BY_FLOPS))
    assert "L1000.0 " in chart and "L400.0 " in chart


def test_a_loss_that_flew_off_does_not_press_the_others_flat_there_either():
    wild = outcome(
        {"tame": [[1, 4.0], [2, 2.0]], "wild": [[1, 4.0], [2, 9000.0]]}, dict.fromkeys(("tame", "wild"), 1e7),
        dict.fromkeys(("tame", "wild"), 1.0),
    )  # fmt: skip
    (chart,) = lines.charts(wild, lines.plot(wild, BY_FLOPS))
    assert ">5</text>" in chart and ">8,000</text>" not in chart and ">8000</text>" not in chart


def test_one_variant_alone_has_its_chart(made):
    made.plan.labels = ("dear",)
    (chart,) = lines.charts(made, lines.plot(made, BY_SECOND))
    assert " dear" in chart and "cheap" not in chart


def test_one_measure_by_another_is_a_point_for_each_variant(made):
    for label, (size, losses) in {"cheap": (64.0, (2.5, 2.7)), "dear": (256.0, (2.0, 2.2))}.items():
        for run, loss in zip(made.runs[label], losses, strict=True):
            run["measures"] |= {"cache_bytes": size, "val_loss": loss}
    plot = lines.plot(made, Against(title="Cache against quality", x="cache_bytes", y="val_loss"))
    assert plot.title.startswith("Cache against quality: loss on the whole validation split, nats per token, by keys")
    found = lines.curves(made, plot, made.plan.labels)
    assert {label: (xs, values.tolist()) for label, (xs, values) in found.items()} == {
        "cheap": ([64.0], [[2.5], [2.7]]),
        "dear": ([256.0], [[2.0], [2.2]]),
    }
    (chart,) = lines.charts(made, plot)
    assert "cheap, bytes per token 64: 2.6" in chart and "dear, bytes per token 256: 2.1" in chart
    for run in made.runs["dear"]:
        run["measures"]["val_loss"] = math.nan
    assert {*lines.curves(made, plot, made.plan.labels)} == {"cheap"}
