"""What cannot be measured is said before anything is run."""

import pytest

from oneblock.compare.experiment import Above, Figure, Lower
from oneblock.compare.experiments import EXPERIMENTS
from oneblock.compare.faults import ATTENDS
from oneblock.compare.fits import MASKS, STEPS_BEFORE, lacks
from oneblock.compare.measures import spikes
from oneblock.compare.plan import plan
from oneblock.config.errors import OneblockError
from oneblock.config.override import override
from oneblock.config.presets import nano

PATTERN = ("recipe.data=pattern",)


@pytest.mark.parametrize(
    ("probe", "settings", "words"),
    [
        ("experts", (), "has no experts"),
        ("precision", (), "has no experts"),
        ("far", ("position=learned", "context=24"), "learned positions end at 24"),
        ("reach", ("position=learned",), "learned positions end"),
        ("attention", ("block.steps=feed_forward",), "none of its blocks has attention"),
    ],
)
def test_what_a_model_lacks(probe, settings, words):
    assert words in lacks(probe, override(nano(), *settings))


def test_what_a_model_has():
    for probe in ("", "layers", "attention", "far", "leak"):
        assert lacks(probe, override(nano(), "position=rope")) == ""
    assert lacks("experts", override(nano(), "block.feed_forward=switch")) == ""
    second = override(nano(), "blocks=2", "blocks.1.feed_forward=top_k")
    assert lacks("experts", second) == ""


def test_a_rule_that_cannot_be_judged_is_refused(experiment, tiny):
    made = experiment({"a": (), "b": ("block.placement=post",)}, rule=(Lower(a="a", b="b", measure="imbalance"),))
    with pytest.raises(OneblockError, match="imbalance cannot be measured of the variant a: it has no experts"):
        plan(made, tiny)


def test_a_variant_may_lack_what_is_only_shown_but_not_all_of_them(experiment, tiny):
    shown = {"measures": ("val_loss", "imbalance"), "rule": (Lower(a="dense", b="switch"),)}
    plan(experiment({"dense": (), "switch": ("block.feed_forward=switch",)}, **shown), tiny)
    with pytest.raises(OneblockError, match="imbalance cannot be measured of any variant"):
        plan(experiment({"dense": (), "switch": ("block.placement=post",)}, **shown), tiny)


def test_a_figure_of_what_is_not_there_is_refused(experiment, tiny):
    figure = Figure(title="Experts", curves=("tokens by expert",))
    with pytest.raises(OneblockError, match="tokens by expert cannot be measured of any variant"):
        plan(experiment({"a": (), "b": ("block.placement=post",)}, figures=(figure,)), tiny)


def test_a_fault_that_cannot_be_planted_is_refused():
    mask = EXPERIMENTS["mask"]
    with pytest.raises(OneblockError, match="plants .*mask.* in attention without a soft cap"):
        plan(mask, mask.budgets["quick"], settings=(*PATTERN, "block.attention.soft_cap=20"))


def test_too_few_steps_for_a_spike_are_a_warning():
    placement = EXPERIMENTS["placement"]
    short = plan(placement, placement.budgets["quick"], settings=(*PATTERN, "recipe.steps=50"))
    assert short.warnings == ("spikes: told by the 50 steps before, and 50 are trained: there will be none to see",)
    assert not plan(placement, placement.budgets["quick"], settings=(*PATTERN, "recipe.steps=51")).warnings


def test_a_bound_is_asked_of_its_one_variant(experiment, tiny):
    rule = (Above(a="switch", bound=1.0, measure="imbalance"),)
    plan(experiment({"dense": (), "switch": ("block.feed_forward=switch",)}, rule=rule), tiny)
    with pytest.raises(OneblockError, match="of the variant dense"):
        rule = (Above(a="dense", bound=1.0, measure="imbalance"),)
        plan(experiment({"dense": (), "switch": ("block.feed_forward=switch",)}, rule=rule), tiny)


def test_what_is_known_of_probes_and_faults_without_torch_is_true():
    assert spikes.BEFORE == STEPS_BEFORE and set(ATTENDS) == set(MASKS)
