"""What is found before training is of the model that training began with, and changes nothing in it."""

import pytest

from oneblock.compare.cell import Cell
from oneblock.compare.measures import layers, start
from oneblock.compare.measures.subject import Subject
from oneblock.compare.plan import plan
from oneblock.data.corpus import prepare
from oneblock.models.build import build


def test_it_is_what_layers_finds_under_other_names(subject):
    made = subject()
    now, begun = layers.measure(made), start.measure(made)
    assert begun.measures == {"start_spread": now.measures["gradient_spread"]}
    assert begun.curves["stream at the start by layer"] == now.curves["stream by layer"]
    assert begun.curves["gradient at the start by layer"] == now.curves["gradient by layer"]


def test_a_cell_finds_it_before_the_first_step(experiment, tiny):
    made = plan(experiment({"a": (), "b": ("block.norm=layer",)}), tiny)
    config = made.variants[0].config
    without, found = (
        Cell(config=config, seed=7, data_sha256=made.data_sha256, asked=asked).run()
        for asked in (("layers",), ("layers", "start"))
    )
    tokens = prepare(config.recipe.data, config.recipe.tokenizer).validation
    expected = start.measure(Subject(model=build(config, seed=7), config=config, tokens=tokens, seed=7)).curves
    for name, curve in expected.items():
        assert [y for _, y in found["curves"][name]] == pytest.approx([y for _, y in curve], rel=1e-5)
    ended = [y for _, y in found["curves"]["stream by layer"]]
    assert ended != pytest.approx([y for _, y in found["curves"]["stream at the start by layer"]], rel=1e-3)
    assert found["measures"]["val_loss"] == without["measures"]["val_loss"] and found["curve"] == without["curve"]
