"""Seeds trained as one model are what each is alone: losses, clipping, decay, probes, and one that diverges."""

import math
import time
from dataclasses import replace

import pytest
import torch

from oneblock.compare.cell import Cell
from oneblock.compare.plan import plan
from oneblock.compare.together import Together, stacked, suits
from oneblock.config.override import override

SEEDS = (2, 5, 11)
GPT = ("position=learned", "block.norm=layer", "tied=true", "block.attention.num_heads=2", "width=22")
LLAMA = (
    "position=rope",
    "block.norm=rms",
    "tied=false",
    "block.feed_forward=gated",
    "block.feed_forward.hidden=37",
    "width=30",
    "block.attention.num_heads=3",
    "block.attention.num_kv_heads=1",
)
SIZES = ("context=7", "num_layers=3", "recipe.batch_size=5", "recipe.steps=13", "recipe.schedule.warmup=3")


@pytest.fixture
def cells(experiment, tiny):
    """`cells(setting, …)`: a cell for each seed. Every step is clipped, and decay is felt."""

    def make(*settings, seeds=SEEDS, **fields):
        felt = ("recipe.clip=0.5", "recipe.optimizer.weight_decay=3")
        budget = replace(tiny, settings=(*tiny.settings, *SIZES, *felt, *settings))
        made = plan(experiment({"a": (), "b": ("block.placement=post",)}), budget)
        config = made.variants[0].config
        return [Cell(config=config, seed=seed, data_sha256=made.data_sha256, **fields) for seed in seeds]

    return make


@pytest.fixture
def begun(tmp_path):
    """`begun(cells)`: their training together, before its first step."""

    def make(cells):
        training = stacked([cell.sit(tmp_path / f"{n}") for n, cell in enumerate(cells)])
        assert training is not None
        return training

    return make


def trained(training):
    for sitting in training.sittings:
        sitting.begin()
    training.train()
    return list(training.results())


@pytest.mark.parametrize("settings", [GPT, LLAMA], ids=["gpt", "llama"])
def test_each_seed_ends_as_it_does_alone(cells, begun, settings):
    made = cells(*settings, asked=("start", "layers"))
    assert all(map(suits, made))
    found, alone = trained(begun(made)), [cell.run() for cell in made]
    for one, other in zip(found, alone, strict=True):
        assert set(one) == {*other, "together"} and one["together"] == 3 and not one["diverged"]
        assert len(one["curve"]) == 13
        assert [loss for _, loss in one["curve"]] == pytest.approx([loss for _, loss in other["curve"]], rel=1e-5)
        assert set(one["measures"]) == set(other["measures"])
        for name in set(other["measures"]) - {"step_seconds"}:
            assert one["measures"][name] == pytest.approx(other["measures"][name], rel=1e-4, abs=1e-5), name
        assert set(one["curves"]) == set(other["curves"]) != set()
    assert len({one["measures"]["val_loss"] for one in found}) == 3


def test_weights_are_each_seeds_own(cells, begun, tmp_path):
    made = cells(*LLAMA)
    training = begun(made)
    training.train()
    sittings = [cell.sit(tmp_path / f"alone-{cell.seed}") for cell in made]
    for sitting, other in zip(training.sittings, sittings, strict=True):
        other.train()
        weights = other.session.model.state_dict()
        for name, weight in sitting.session.model.state_dict().items():
            torch.testing.assert_close(weight, weights[name], rtol=1e-3, atol=1e-5)
            assert weight.untyped_storage().nbytes() == weight.numel() * 4


def test_each_seeds_gradient_is_clipped_by_its_own_norm(cells, begun, monkeypatch):
    # Two norms are below the bound, two above.
    made = cells(*GPT, seeds=(2, 5, 11, 17, 23))
    training = begun(made)
    loose = begun_norms(training)
    bound = sorted(loose)[2]
    training.recipe = replace(training.recipe, clip=bound)
    seen = []
    monkeypatch.setattr(training.optimizer, "step", lambda: seen.extend(norms(training)))
    training.step()
    assert seen == pytest.approx([min(norm, bound) for norm in loose], rel=1e-5)
    told = [sitting.events[-1]["grad_norm"] for sitting in training.sittings]
    assert told == pytest.approx(loose, rel=1e-5)


def norms(training):
    grads = [stack.grad.flatten(1) for stack in training.stacked.values() if stack.grad is not None]
    return torch.cat(grads, dim=1).norm(dim=1).tolist()


def begun_norms(training):
    training.gradients(0)
    return norms(training)


def test_what_decays_is_what_decays_alone(cells, begun):
    training = begun(cells(*GPT))
    (own,) = training.sittings[0].session.parts.optimizer.optimizers
    (ours,) = training.optimizer.optimizers
    same = ("weight_decay", "lr", "betas", "eps", "fused", "param_names")
    assert [{name: group[name] for name in same} for group in ours.param_groups] == [
        {name: group[name] for name in same} for group in own.param_groups
    ]
    free = [group for group in ours.param_groups if group["weight_decay"] == 0]
    # Gains are vectors, and stacked they would look like matrices.
    assert [p.ndim for group in free for p in group["params"]] == [2] * len(free[0]["params"]) != []


def test_a_seed_that_diverges_is_a_result_and_disturbs_no_other(cells, begun, tmp_path):
    made = cells(*LLAMA)
    undisturbed = trained(begun(made))
    training = Together([cell.sit(tmp_path / f"again-{cell.seed}") for cell in made])
    for _ in range(4):
        training.step()
    with torch.no_grad():
        training.stacked["embedding.weight"][1].fill_(math.inf)
    training.train()
    found = list(training.results())
    for n in (0, 2):
        assert found[n]["curve"] == undisturbed[n]["curve"] and not found[n]["diverged"]
        assert found[n]["measures"]["val_loss"] == undisturbed[n]["measures"]["val_loss"]
    alone = made[1].sit(tmp_path / "alone")
    heard = alone.session.loop.listen

    def listen(event):
        heard(event)
        if event["event"] == "step" and event["step"] == 4:
            torch.nn.init.constant_(alone.session.model.embedding.weight, math.inf)

    alone.session.loop.listen = listen
    alone.train()
    expected = alone.result()
    assert found[1]["diverged"] is expected["diverged"] is True
    assert [step for step, _ in found[1]["curve"]] == [step for step, _ in expected["curve"]] == [1, 2, 3, 4, 5]
    for name, value in expected["measures"].items():
        assert math.isfinite(found[1]["measures"][name]) == math.isfinite(value), name
    assert math.isnan(found[1]["measures"]["val_loss"])


def test_where_all_diverge_nothing_more_is_trained(cells, begun):
    training = begun(cells(*GPT))
    training.step()
    with torch.no_grad():
        training.stacked["embedding.weight"].fill_(math.nan)
    training.train()
    assert training.taken == 2 and [result["diverged"] for result in training.results()] == [True] * 3


def test_a_seed_has_its_share_of_the_seconds(cells, begun):
    training = begun(cells(*GPT))
    began = time.perf_counter()
    training.train()
    found = list(training.results())
    took = time.perf_counter() - began
    for sitting, result in zip(training.sittings, found, strict=True):
        steps = sitting.session.loop.steps_timed
        assert len(steps) == 13 and sum(steps) < result["seconds"]
    assert sum(result["seconds"] for result in found) < took


@pytest.mark.parametrize(
    "setting",
    [
        "recipe.precision=bfloat16",
        "recipe.compile=on",
        "recipe.guard=true",
        "recipe.average=0.9",
        "recipe.optimizer=muon",
        "recipe.input_noise=0.1",
        "recipe.accumulation=5",
    ],
)
def test_what_is_trained_in_another_way_does_not_suit(cells, setting):
    (cell,) = cells(seeds=(2,))
    config = override(cell.config, setting)
    assert suits(cell) and not suits(replace(cell, config=config))


def test_what_has_a_fault_or_no_training_or_no_text_does_not_suit(cells):
    (cell,) = cells(seeds=(2,))
    assert not suits(replace(cell, fault="no-mask")) and not suits(replace(cell, trains=False))
    assert not suits(replace(cell, config=override(cell.config, "recipe.data=reversal-5")))


@pytest.mark.parametrize(
    "settings",
    [
        ("block.dropout=0.3",),
        ("block.attention.dropout=0.3",),
        ("embedding_dropout=0.3",),
        ("block.feed_forward=top_k", "block.feed_forward.num_experts=3", "block.feed_forward.k=1"),
        ("block.feed_forward=switch", "block.feed_forward.num_experts=3"),
        # All of its shapes are every seed's, but its biases are moved after a step.
        ("block.feed_forward=top_k", "block.feed_forward.dispatch=einsum", "block.feed_forward.bias_rate=0.1"),
    ],
)
def test_what_vmap_cannot_do_as_alone_is_not_stacked(cells, tmp_path, settings):
    made = cells(*settings)
    assert stacked([cell.sit(tmp_path / f"{cell.seed}") for cell in made]) is None


def test_gradients_that_are_not_those_alone_are_not_believed(cells, tmp_path, monkeypatch):
    gradients = Together.gradients

    def wrong(self, step):
        losses = gradients(self, step)
        self.stacked["embedding.weight"].grad[2].mul_(1.02)
        return losses

    monkeypatch.setattr(Together, "gradients", wrong)
    assert stacked([cell.sit(tmp_path / f"{cell.seed}") for cell in cells(*GPT)]) is None
    monkeypatch.setattr(Together, "error", lambda self: math.nan)
    assert stacked([cell.sit(tmp_path / f"nan-{cell.seed}") for cell in cells(*GPT)]) is None


def test_it_is_said_before_anything_is_computed_or_by_vmap_why_not(cells, tmp_path):
    mixed = cells("block.feed_forward=switch", "block.feed_forward.num_experts=3")
    with pytest.raises(ValueError, match="a mixture of experts"):
        Together([cell.sit(tmp_path / f"{cell.seed}") for cell in mixed])
    dropped = Together([cell.sit(tmp_path / f"dropped-{cell.seed}") for cell in cells("block.dropout=0.3")])
    with pytest.raises(RuntimeError, match="random"):
        dropped.gradients(0)
