"""Which optimiser a parameter belongs to, and with which decay."""

import pytest
import torch

import oneblock
from oneblock.config.recipe import AdamW, Muon
from oneblock.models.build import build
from oneblock.train.optimizer import make_optimizer, tables

REST = AdamW(learning_rate=3e-3, weight_decay=0.3)


def made(small, *settings):
    return build(small("recipe.steps=1", "vocab_size=11", "num_layers=2", *settings).model, seed=1)


def roles(model, option):
    """Parameter name -> (optimiser, learning rate, decay)."""
    found = {}
    for optimizer in make_optimizer(model, option).optimizers:
        for group in optimizer.param_groups:
            for parameter in group["params"]:
                name = next(n for n, p in model.named_parameters() if p is parameter)
                assert name not in found, "no parameter is stepped twice"
                found[name] = type(optimizer).__name__, group["lr"], group["weight_decay"]
    return found


SETTINGS = [
    (),
    ("tied=false", "head_bias=true"),
    ("position=learned",),
    ("position=t5",),
    ("block.attention.position=t5",),
    (
        "block.attention.bias=true",
        "block.norm=layer",
        "block.attention.output_bias=true",
        "block.feed_forward.bias=true",
    ),
]


@pytest.mark.parametrize("settings", SETTINGS)
@pytest.mark.parametrize("option", [AdamW(), Muon(rest=REST)])
def test_every_parameter_is_trained_once(small, settings, option):
    model = made(small, *settings)
    assert roles(model, option).keys() == dict(model.named_parameters()).keys()


@pytest.mark.parametrize("settings", SETTINGS)
def test_muon_takes_the_blocks_matrices_and_nothing_else(small, settings):
    model = made(small, *settings)
    looked_up = tables(model)
    for name, (optimizer, rate, decay) in roles(model, Muon(learning_rate=0.02, weight_decay=0.1, rest=REST)).items():
        parameter = model.get_parameter(name)
        inside = name.startswith("blocks.") and parameter.ndim == 2 and id(parameter) not in looked_up
        if inside:
            assert (optimizer, rate, decay) == ("Muon", 0.02, 0.1), name
        else:
            wanted = 0.3 if parameter.ndim == 2 else 0.0
            assert (optimizer, rate, decay) == ("AdamW", 3e-3, wanted), name


@pytest.mark.parametrize("decay_embeddings", [True, False])
@pytest.mark.parametrize("settings", SETTINGS)
def test_adamw_decays_matrices_alone(small, settings, decay_embeddings):
    model = made(small, *settings)
    option = AdamW(learning_rate=1e-3, weight_decay=0.2, decay_embeddings=decay_embeddings)
    looked_up = tables(model)
    assert looked_up
    for name, (_, _, decay) in roles(model, option).items():
        parameter = model.get_parameter(name)
        wanted = parameter.ndim == 2 and (decay_embeddings or id(parameter) not in looked_up)
        assert decay == (0.2 if wanted else 0.0), name


def test_settings_reach_adamw(small):
    (optimizer,) = make_optimizer(made(small), AdamW(beta1=0.7, beta2=0.8, eps=1e-5)).optimizers
    assert all(group["betas"] == (0.7, 0.8) and group["eps"] == 1e-5 for group in optimizer.param_groups)


@pytest.mark.parametrize("split", [True, False])
def test_settings_reach_muon(small, split):
    model = made(small, "block.attention.num_kv_heads=1")
    muon = make_optimizer(
        model, Muon(momentum=0.8, nesterov=False, ns_steps=3, adjust="match_rms_adamw", split_qkv=split)
    ).optimizers[0]
    group = muon.param_groups[0]
    assert (group["momentum"], group["nesterov"], group["ns_steps"], group["adjust_lr"]) == (
        0.8,
        False,
        3,
        "match_rms_adamw",
    )
    wanted = {id(block.attention.qkv.weight): [16, 8, 8] for block in model.blocks} if split else {}
    assert {id(weight): rows for weight, rows in muon.splits.items()} == wanted


def test_a_matrix_outside_the_blocks_may_be_two_dimensional_and_is_not_muons(small):
    model = made(small, "tied=false")
    assert model.get_parameter("head.weight").ndim == 2 and roles(model, Muon())["head.weight"][0] == "AdamW"
    assert isinstance(make_optimizer(model, Muon()).optimizers[1], torch.optim.AdamW)


def test_of_other_architectures_muon_takes_the_blocks_matrices_and_no_router():
    presets = oneblock.presets
    for config, kept_out in ((presets.switch_nano(), "router.weight"), (presets.seq2seq_nano(), "embedding.weight")):
        model = oneblock.build(oneblock.override(config, "width=32"), seed=0)
        muon, adamw = make_optimizer(model, config.recipe.optimizer).optimizers
        taken = {name for group in muon.param_groups for name in group["param_names"]}
        rest = {name for group in adamw.param_groups for name in group["param_names"]}
        assert {name for name, p in model.named_parameters() if "qkv" in name} <= taken
        assert any(name.endswith(kept_out) for name in rest) and not any(name.endswith(kept_out) for name in taken)
        assert taken | rest == {name for name, _ in model.named_parameters()}
    halves = [muon.splits[p] for name, p in model.named_parameters() if name.endswith("key_value.weight")]
    assert halves == [[32, 32]] * 3
