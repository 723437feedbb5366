"""Plans: what can be compared fairly, and what is refused before anything is run."""

import json
import math
import string
from dataclasses import replace

import pytest

from oneblock.compare.catalogue import CURVES, MEASURES
from oneblock.compare.experiment import BUDGETS, VERDICTS, Alike, Lower
from oneblock.compare.experiments import EXPERIMENTS, experiment
from oneblock.compare.faults import FAULTS
from oneblock.compare.matching import size
from oneblock.compare.measures import PROBES
from oneblock.compare.own import budget_of_files, from_files, vary
from oneblock.compare.plan import plan, with_rate
from oneblock.compare.reversal import Reversal
from oneblock.config.errors import OneblockError
from oneblock.config.override import override
from oneblock.config.presets import nano
from oneblock.config.serial import to_dict
from oneblock.models.build import build

FIELDS = {"difference": "1", "low": "1", "high": "2", "seeds": 5, "floor": "1", "detectable": "1", "a": "a", "b": "b"}
FIELDS |= {"p": "= 0.2", "comparisons": "2 comparisons", "within": "0.1"}


@pytest.mark.parametrize("name", EXPERIMENTS)
def test_every_experiment_is_whole_and_can_be_planned_at_every_budget(name):
    found = EXPERIMENTS[name]
    assert found.claim.endswith(".") and found.source and len(found.variants) >= 2
    for comparison in found.rule:
        named = {comparison.a, comparison.b} if isinstance(comparison, Lower | Alike) else {comparison.a}
        assert named <= set(found.variants) and comparison.measure in MEASURES
    assert set(found.measures) <= set(MEASURES) and set(found.asked) <= set(PROBES)
    for figure in found.figures:
        drawn = set(figure.curves) <= set(CURVES) if figure.curves else {figure.x, figure.y} <= set(found.wanted)
        assert drawn, figure
    for verdict in VERDICTS:
        words = found.says.of(verdict)
        assert {field for _, field, _, _ in string.Formatter().parse(words) if field} <= set(FIELDS)
        assert len(words.format(**FIELDS)) > 20
    for budget in found.budgets.values():
        made = plan(found, budget, settings=["recipe.data=pattern"] if found.trains and not found.starts else [])
        assert made.labels == tuple(found.variants)
        different = {(json.dumps(to_dict(variant.config)), variant.fault) for variant in made.variants}
        assert len(different) == len(made.variants)
        assert all(variant.fault in ("", *FAULTS) for variant in made.variants)
        if found.equal == "parameters":
            first, *others = (variant.parameters for variant in made.variants)
            assert all(abs(other - first) <= found.tolerance * first for other in others)


def test_experiments_are_found_by_name_and_row_and_others_by_likeness():
    assert experiment("placement") is experiment("E7") is experiment("e7")
    assert experiment("kv_heads").name == "kv-heads" and experiment("E2").name == "gradient-flow"
    with pytest.raises(OneblockError, match=r"plasement is not an experiment; try placement"):
        experiment("plasement")
    with pytest.raises(OneblockError, match="residuals, gradient-flow"):
        experiment("zzz")


def test_what_is_planned_is_what_is_built(experiment, tiny, text):
    made = plan(
        experiment({"dense": (), "gated": ("block.feed_forward=swiglu", "tied=false")}, equal="parameters"), tiny
    )
    symbols = len(set(text.read_text()))
    for variant in made.variants:
        assert variant.config.model.vocab_size == symbols and made.nothing_learned == pytest.approx(math.log(symbols))
        assert sum(p.numel() for p in build(variant.config).parameters()) == variant.parameters
    assert made.variants[1].solved.startswith("hidden=")


def test_a_budget_can_give_one_variant_settings_of_its_own(experiment, tiny):
    found = experiment({"deep": ("num_layers=2",), "shallow": ("num_layers=1",)})
    usual = plan(found, tiny)
    larger = plan(found, replace(tiny, own={"deep": ("num_layers=5",)}))
    assert [[v.config.model.num_layers for v in made.variants] for made in (usual, larger)] == [[2, 1], [5, 1]]
    assert larger.variants[0].settings == ("num_layers=2", "num_layers=5")
    assert plan(EXPERIMENTS["depth"], EXPERIMENTS["depth"].budgets["full"]).variants[0].config.model.num_layers == 48


def test_the_smallest_budget_is_quick_with_less_of_everything():
    for found in EXPERIMENTS.values():
        small, quick = found.budget("smoke"), found.budget("quick")
        assert small.seeds == 2 and small.rates == (1.0,) and quick is found.budgets["quick"]
        assert small.settings[: len(quick.settings)] == quick.settings and "recipe.steps=4" in small.settings
    assert set(budget_of_files("smoke").settings) >= {"recipe.steps=4", "recipe.batch_size=4"}
    assert all(word.startswith("recipe.") for word in budget_of_files("smoke").settings)


def test_flops_can_be_held_equal_and_the_width_be_solved_for(experiment, tiny):
    variants = {"two layers": (), "three": ("num_layers=3",)}
    made = plan(experiment(variants, equal="flops", solve="width", tolerance=0.3), tiny)
    assert made.variants[1].solved == "width=8"
    assert abs(made.variants[1].flops / made.variants[0].flops - 1) <= 0.3
    with pytest.raises(OneblockError, match=r"the variant three cannot be matched: the nearest flops"):
        plan(experiment(variants, equal="flops", solve="width", tolerance=0.001), tiny)


def test_a_width_that_comes_near_and_feed_forwards_for_the_rest(experiment, tiny):
    variants = {"four layers": ("num_layers=4",), "one": ("num_layers=1",)}
    made = plan(experiment(variants, equal="parameters", solve="shape"), tiny)
    deep, shallow = made.variants
    assert deep.solved == "" and shallow.solved.startswith("hidden=") and "width=" in shallow.solved
    assert shallow.config.model.width > deep.config.model.width
    assert abs(shallow.parameters / deep.parameters - 1) <= 0.01


def test_a_fault_is_no_setting_of_the_configuration(experiment, tiny):
    made = plan(experiment({"right": (), "wrong": ("fault=no-mask", "block.norm=layer")}), tiny)
    assert [variant.fault for variant in made.variants] == ["", "no-mask"]
    assert made.variants[1].settings == ("fault=no-mask", "block.norm=layer")
    with pytest.raises(OneblockError, match="fault"):
        plan(experiment({"one": (), "two": ("block.norm=layer",)}), tiny, settings=["fault=no-mask"])


@pytest.mark.parametrize("setting", ["recipe.batch_size=12", "context=4", "recipe.steps=3", "recipe.tokenizer=bytes"])
def test_variants_that_would_see_other_tokens_are_refused(experiment, tiny, setting):
    with pytest.raises(OneblockError, match=r"one and two differ in .* set that for all variants with --set"):
        plan(experiment({"one": (), "two": (setting,)}), tiny)


def test_bad_input_is_said_before_anything_runs(experiment, tiny):
    with pytest.raises(OneblockError, match=r"the variant two \(block.placement=beside\) is not valid.*pre, post"):
        plan(experiment({"one": (), "two": ("block.placement=beside",)}), tiny)
    with pytest.raises(OneblockError, match="what another seed changes cannot be measured"):
        plan(experiment({"one": (), "two": ("block.placement=post",)}), tiny, seeds=1)
    with pytest.raises(OneblockError, match="a DiT; comparisons are of decoders"):
        plan(vary("block.norm=rms,layer", "dit-nano"), BUDGETS["full"])
    with pytest.raises(OneblockError, match="nowhere"):
        plan(experiment({"one": (), "two": ("block.placement=post",)}), tiny, settings=["recipe.data=nowhere.txt"])
    with pytest.raises(OneblockError, match="is too short for a context"):
        plan(experiment({"one": (), "two": ("block.placement=post",)}), tiny, settings=["context=999"])


def test_the_guard_is_off_and_what_is_asked_for_wins(experiment, tiny):
    made = plan(
        experiment({"one": (), "two": ("block.placement=post",)}), tiny, settings=["width=16"], seeds=3, first_seed=7
    )
    assert made.seeds == (7, 8, 9)
    for variant in made.variants:
        assert variant.config.model.width == 16 and not variant.config.recipe.guard
        assert variant.config.recipe.refit == 0 and variant.config.recipe.average is None


def test_rates_scale_every_optimiser():
    assert with_rate(override(nano(), "recipe.optimizer=adamw"), 3.0).recipe.optimizer.learning_rate == pytest.approx(
        3e-3
    )
    muon = with_rate(nano(), 0.5).recipe.optimizer
    assert (muon.learning_rate, muon.rest.learning_rate) == pytest.approx((0.01, 0.0015))


def test_one_setting_varied():
    made = vary("block.placement=pre, post,peri", "llama-nano")
    assert list(made.variants) == ["pre", "post", "peri"] and made.preset == "llama-nano"
    assert made.rule == (Lower(a="pre", b="post"), Lower(a="pre", b="peri"))
    assert vary("recipe.data=a/b.txt,c", "nano").name == "vary-recipe-data-a-b.txt-c"
    for wrong in ("block.placement", "block.placement=pre", "block.placement=pre,pre"):
        with pytest.raises(OneblockError, match="two or more values"):
            vary(wrong, "nano")


def test_configurations_from_files(tmp_path, text):
    sizes = ("context=8", "width=12", "num_layers=1", "block.attention.num_heads=2", f"recipe.data={text}")
    paths = [tmp_path / "a.json", tmp_path / "b.json"]
    for path, norm in zip(paths, ("rms", "layer"), strict=True):
        path.write_text(json.dumps(to_dict(override(nano(), *sizes, f"block.norm={norm}"))))
    found, given = from_files(paths, "parameters")
    assert list(found.variants) == ["a", "b"] and "blocks.0.norm" in found.variants["b"][0]
    made = plan(found, budget_of_files("quick"), given=given)
    one, other = (variant.config for variant in made.variants)
    assert one.model.width == 12 and one.recipe.steps == 400 and not other.recipe.guard
    assert size(one, "parameters") == pytest.approx(size(other, "parameters"), rel=0.01)


def test_files_that_cannot_be_compared(tmp_path):
    good, same, broken, wrong = (tmp_path / f"{name}.json" for name in ("good", "same", "broken", "wrong"))
    for path in (good, same):
        path.write_text(json.dumps(to_dict(nano())))
    broken.write_text("{")
    wrong.write_text(json.dumps(to_dict(nano()) | {"depth": 3}))
    for paths, words in (
        ([good], "two or more files"),
        ([good, same], "says the same"),
        ([good, broken], "is not JSON"),
        ([good, wrong], "depth=3 is not a field"),
        ([good, tmp_path / "gone.json"], "cannot be read"),
    ):
        with pytest.raises(OneblockError, match=words):
            from_files(paths)


def test_models_of_different_kinds_are_matched_and_given_the_same_task():
    found = experiment("E16")
    made = plan(found, found.budgets["quick"], settings=["recipe.data=reversal-7", "width=16"])
    kinds = [type(variant.config.model).__name__ for variant in made.variants]
    assert kinds == ["EncoderDecoder", "Decoder", "EncoderDecoder"]
    first, alone, blind = made.variants
    assert alone.solved.startswith("hidden=") and not first.solved and not blind.solved
    for variant in made.variants:
        assert sum(p.numel() for p in build(variant.config).parameters()) == variant.parameters
    assert made.data_sha256 == Reversal(longest=7).sha256 and made.nothing_learned == pytest.approx(math.log(19))
    assert (alone.config.model.context, first.config.model.encoder.context) == (15, 7)
    assert len({json.dumps(to_dict(variant.config.recipe.optimizer)) for variant in made.variants}) == 1


def test_tasks_that_cannot_be_are_refused_in_words():
    found = experiment("E16")
    with pytest.raises(OneblockError, match=r"recipe.data=tinyshakespeare: this experiment.*reversal-N"):
        plan(found, found.budgets["quick"], settings=["recipe.data=tinyshakespeare"])
    batches = replace(found, variants=found.variants | {"decoder-only": ("recipe.batch_size=7",)})
    with pytest.raises(OneblockError, match=r"encoder-decoder and decoder-only differ in recipe.batch_size"):
        plan(batches, found.budgets["quick"])
    turned = {name: found.variants[name] for name in ("decoder-only", "encoder-decoder", "no cross-attention")}
    with pytest.raises(OneblockError, match="of the kind EncoderDecoder; make it the first variant"):
        plan(replace(found, variants=turned), found.budgets["quick"])
