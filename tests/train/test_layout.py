"""A model laid out over processes in any way: the losses, the weights and the resume of one process."""

import json

import pytest
import torch
import torch.distributed.fsdp  # once here, not in every process that a test forks
from forked import forked

from oneblock.config.errors import ConfigError, OneblockError
from oneblock.models.build import build
from oneblock.runs.checkpoint import load_checkpoint
from oneblock.runs.weights import load_weights
from oneblock.train import muon, session
from oneblock.train.guard import SpikeGuard
from oneblock.train.layout import Layout
from oneblock.train.sharding import local
from oneblock.train.step import Gradients

EXPERTS = (
    "block.feed_forward=top_k", "block.feed_forward.num_experts=4", "block.feed_forward.k=2",
    "block.feed_forward.expert.hidden=10", "block.feed_forward.auxiliary_weight=0", "block.feed_forward.bias_rate=0.01",
)  # fmt: skip
PARAMETERS_SHARDED = "recipe.distribution.parameters=sharded"
EXPERTS_SHARDED = "recipe.distribution.experts=sharded"
KINDS = {
    "replicated": (),
    "parameters": (PARAMETERS_SHARDED,),
    "experts": (*EXPERTS, EXPERTS_SHARDED),
    "both": (*EXPERTS, PARAMETERS_SHARDED, EXPERTS_SHARDED),
}
# An odd number of rows for four processes in most matrices, and a threshold that every gradient is above.
HARD = (
    "width=18", "block.attention.num_heads=3", "num_layers=2", "recipe.clip=0.1", "recipe.accumulation=3", "recipe.average=0.9",
    "recipe.evaluate_every=4", "recipe.checkpoint_every=4", "recipe.sample_every=6", "recipe.schedule=constant",
)  # fmt: skip
TOLERANCE = 1e-5


@pytest.fixture(autouse=True)
def exact(monkeypatch):
    """Newton and Schulz's steps in float32: in bfloat16 the last bit of a sum becomes that of a rounded number."""
    monkeypatch.setattr(muon, "newton_schulz_dtype", lambda device: torch.float32)


def told(folder, name):
    lines = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    return torch.tensor([line[name] for line in lines if line["event"] == "step"], dtype=torch.float64)


def same(one, other, tolerance=TOLERANCE):
    """Two runs' losses, norms, checkpoints and kept weights."""
    for name in ("loss", "grad_norm"):
        torch.testing.assert_close(told(one, name), told(other, name), rtol=tolerance, atol=tolerance)
    for tensors, others in (
        (load_checkpoint(one).tensors, load_checkpoint(other).tensors),
        (load_weights(one, "kept")[0], load_weights(other, "kept")[0]),
    ):
        assert tensors.keys() == others.keys()
        for name, tensor in tensors.items():
            twin = others[name]
            assert tensor.dtype == twin.dtype and type(tensor) is type(twin) is torch.Tensor
            scale = max(float(twin.abs().max()), 1e-3)
            torch.testing.assert_close(tensor, twin, rtol=0, atol=30 * tolerance * scale, msg=name)


def settings_of(kind, optimizer="adamw"):
    """Of one process, and of several."""
    alone = (
        *HARD,
        f"recipe.optimizer={optimizer}",
        *(setting for setting in KINDS[kind] if "distribution" not in setting),
    )
    return alone, (*alone, *KINDS[kind])


def check(tmp_path, small, together, kind, optimizer, world, steps=6):
    alone, several = settings_of(kind, optimizer)
    one = together(1, tmp_path / "one", small(*alone, f"recipe.steps={steps}"))
    many = together(world, tmp_path / "many", small(*several, f"recipe.steps={steps}"))
    same(tmp_path / "one", tmp_path / "many")
    for name in ("val_loss", "final_val_loss", "train_loss"):
        assert many[name] == pytest.approx(one[name], rel=TOLERANCE)
    assert many["parameters"] == one["parameters"] and many["kept_step"] == one["kept_step"]


@pytest.mark.parametrize("kind", KINDS)
def test_two_processes_train_as_one(tmp_path, small, together, kind):
    check(tmp_path, small, together, kind, "adamw", 2)


def test_two_processes_train_as_one_by_muon(tmp_path, small, together):
    check(tmp_path, small, together, "both", "muon", 2)


@pytest.mark.parametrize("experts", [pytest.param("replicated", marks=pytest.mark.slow), "sharded"])
def test_rounding_is_that_of_replicated_parameters(tmp_path, small, together, experts):
    """Two processes each time: rows of bfloat16 weights are gathered, or float32 ones are rounded."""
    settings = (*settings_of("experts")[0], "recipe.steps=4", "recipe.precision=bfloat16")
    settings = (*settings, f"recipe.distribution.experts={experts}")
    together(2, tmp_path / "replicated", small(*settings))
    together(2, tmp_path / "sharded", small(*settings, PARAMETERS_SHARDED))
    same(tmp_path / "replicated", tmp_path / "sharded")


@pytest.mark.slow
def test_a_spike_takes_all_back(tmp_path, small, together, monkeypatch):
    monkeypatch.setattr(
        session, "SpikeGuard", lambda: SpikeGuard(minimum=2, window=16, rollback_after=3, max_rollbacks=2)
    )
    compute, calls = Gradients.__call__, []

    def spoilt(self, *batch, step):
        calls.append(step)
        return compute(self, *batch, step=step) * (float("nan") if 5 <= len(calls) <= 7 else 1.0)

    monkeypatch.setattr(Gradients, "__call__", spoilt)
    alone, several = settings_of("both")
    together(1, tmp_path / "one", small(*alone, "recipe.steps=7"))
    calls.clear()
    together(2, tmp_path / "many", small(*several, "recipe.steps=7"))
    assert "rollback" in (tmp_path / "one/metrics.jsonl").read_text()
    same(tmp_path / "one", tmp_path / "many")


def test_each_holds_its_rows_and_all_the_names(small, tmp_path):
    config = small(*settings_of("both")[1], "recipe.steps=3")
    names = [name for name, _ in build(config, seed=0).named_parameters()]

    def work(processes):
        model = build(config, seed=0)
        layout = Layout(model, config.recipe.distribution, processes)
        held = {name: local(p).numel() / p.numel() for name, p in model.named_parameters()}
        with layout.whole() as whole:
            kind = {name: type(p) for name, p in whole.named_parameters()}
            same = all(
                torch.equal(p, build(config, seed=0).get_parameter(name)) for name, p in whole.named_parameters()
            )
        freed = sum(p.numel() for p in whole.parameters())
        return held, kind, same, freed, layout.whole_everywhere

    for held, kind, same, freed, everywhere in forked(2, work, tmp_path / "forked"):
        assert list(held) == list(kind) == names and same and freed == 0 and not everywhere
        assert set(kind.values()) == {torch.nn.Parameter}
        for name, share in held.items():
            whole = "norm" in name or "router" in name
            assert share == 1 if whole else 0.3 < share < 0.7, name


def test_alone_nothing_is_laid_out(small):
    config = small("recipe.distribution.parameters=sharded", "recipe.distribution.experts=sharded")
    model = build(config, seed=0)
    layout = Layout(model, config.recipe.distribution)
    assert layout.whole_everywhere and not layout.fully
    with layout.whole() as whole:
        assert whole is model


def test_compiling_what_is_shared_out_is_refused(small, tmp_path):
    config = small(PARAMETERS_SHARDED, "recipe.steps=3", "recipe.compile=on")
    for error in forked(2, lambda processes: session.start(config, tmp_path / "run", processes), tmp_path / "forked"):
        assert isinstance(error, OneblockError) and "compile" in str(error)


def test_experts_of_a_model_without_any_are_refused(small, tmp_path):
    with pytest.raises(ConfigError, match="needs a model with experts"):
        session.start(small(EXPERTS_SHARDED, "recipe.steps=3"), tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_a_limit_over_the_whole_batch_is_refused(small, tmp_path):
    limited = (
        "block.feed_forward=switch",
        "block.feed_forward.num_experts=4",
        "block.feed_forward.capacity_factor=1.0",
    )
    config = small(*limited, "recipe.steps=3")
    errors = forked(2, lambda processes: session.start(config, tmp_path / "run", processes), tmp_path / "forked")
    assert all(isinstance(error, OneblockError) and "group_size" in str(error) for error in errors)
    assert not (tmp_path / "run").exists()


@pytest.mark.slow
@pytest.mark.parametrize("optimizer", ["adamw", "muon"])
@pytest.mark.parametrize("kind", KINDS)
def test_four_processes_train_as_one(tmp_path, small, together, kind, optimizer):
    check(tmp_path, small, together, kind, optimizer, 4)


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("first", "then"), [(2, 1), (2, 4), (1, 2), (4, 2)])
def test_another_number_goes_on(tmp_path, small, together, kind, first, then):
    alone, several = settings_of(kind, "muon")
    together(1, tmp_path / "one", small(*alone, "recipe.steps=7"))
    together(first, tmp_path / "many", small(*several, "recipe.steps=4"))
    together(then, tmp_path / "many", steps=7)
    same(tmp_path / "one", tmp_path / "many")
