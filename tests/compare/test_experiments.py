"""Every experiment on models of a second's training: what it shows, judges and draws is there."""

import math

import pytest

from oneblock.compare.catalogue import CURVES
from oneblock.compare.cell import Cell
from oneblock.compare.engine import compare
from oneblock.compare.experiment import REFUTED, SUPPORTED, Against, Budget
from oneblock.compare.experiments import EXPERIMENTS
from oneblock.compare.plan import plan
from oneblock.compare.report import page
from oneblock.compare.store import Store
from oneblock.compare.work import value_of
from oneblock.config import Dense, Switch

SMOKE = ("context=8", "width=16", "recipe.batch_size=4", "recipe.steps=4", "recipe.schedule.warmup=1")
UNTRAINED = ("context=16", "width=16", "num_layers=3")
HAS_NONE = {"imbalance", "dropped", "spikes"}
"""Measures that only a model with experts has, or a run of more than 50 steps."""


def planned(found, text, seeds=2):
    settings = [*SMOKE, f"recipe.data={text}"] if found.trains else list(UNTRAINED)
    if found.starts:
        settings = [*SMOKE[1:], "recipe.data=reversal-5"]
    sizes = () if found.starts else ("num_layers=2", "block.attention.num_heads=2")
    small = Budget(settings=sizes, seeds=seeds, rates=(1.0,))
    return plan(found, small, settings=settings)


@pytest.mark.parametrize("name", EXPERIMENTS)
def test_what_an_experiment_asks_for_is_measured(name, text):
    found = EXPERIMENTS[name]
    made = planned(found, text)
    for variant in {made.variants[0].label: made.variants[0], made.variants[-1].label: made.variants[-1]}.values():
        cell = Cell(
            config=variant.config,
            seed=1,
            data_sha256=made.data_sha256,
            asked=found.asked,
            fault=variant.fault,
            trains=found.trains,
        )
        result = cell.run()
        for measure in found.wanted:
            assert math.isfinite(value_of(measure, result)) or measure in HAS_NONE, (variant.label, measure)
        for figure in found.figures:
            for curve in figure.curves:
                points = result["curves"].get(curve, []) if CURVES[curve].by else result["curve"] or [[0.0, 0.0]]
                assert [x for x, _ in points] == sorted({x for x, _ in points}), curve
                assert points or curve == "tokens by expert", curve


def test_a_smoke_run_with_figures_is_a_page(text, tmp_path):
    store = Store(tmp_path / "out")
    outcome = compare(planned(EXPERIMENTS["mask"], text), store)
    store.close()
    verdicts = {finding.words: finding.verdict for finding in outcome.findings}
    assert verdicts["leak: before below -15"] == SUPPORTED
    assert REFUTED not in [verdict for words, verdict in verdicts.items() if words.startswith(("leak:", "blocked"))]
    html = page(outcome, "x")
    assert "fault=no-mask" in html and html.count("<figure>") == 1 and "raining loss" in html, "its losses alone"


def test_figures_are_on_the_page(text, tmp_path):
    store = Store(tmp_path / "out")
    outcome = compare(planned(EXPERIMENTS["gradient-flow"], text), store)
    store.close()
    html = page(outcome, "x")
    assert all(figure.title in html for figure in EXPERIMENTS["gradient-flow"].figures)
    assert html.count("<figure>") == 2 * 3, "five variants are more than one pair of axes takes"
    assert html.count("no difference") + html.count("bound") >= len(outcome.findings), "an interval each"


def test_dots_are_of_measures_that_are_in_the_table():
    drawn = [(name, of) for name, found in EXPERIMENTS.items() for of in found.figures if isinstance(of, Against)]
    assert "kv-heads" in dict(drawn)
    for name, of in drawn:
        assert {of.x, of.y} <= {*EXPERIMENTS[name].wanted}, name


def test_experts_in_every_block_every_other_and_none(text):
    found = EXPERIMENTS["expert-layers"]
    variants = plan(found, found.budgets["quick"], settings=[f"recipe.data={text}"]).variants
    kinds = [[type(variant.config.model.block(n).feed_forward) for n in range(4)] for variant in variants]
    assert kinds == [[Switch] * 4, [Dense, Switch] * 2, [Dense] * 4]
    every, other, none = variants
    assert every.parameters - other.parameters == other.parameters - none.parameters > 0
    assert 1 < every.flops / none.flops < 1.02, "routers are all they differ by"


def test_heads_are_of_equal_parameters_by_themselves(text):
    found = EXPERIMENTS["heads"]
    for budget in found.budgets.values():
        variants = plan(found, budget, settings=["context=32", f"recipe.data={text}"]).variants
        assert len({variant.parameters for variant in variants}) == 1 and not any(v.solved for v in variants)
        assert [variant.config.model.blocks[0].attention.num_heads for variant in variants] == [8, 1, 2, 4]
