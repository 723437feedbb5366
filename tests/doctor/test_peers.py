"""Classes of transformers: healthy ones must not alarm, faults put into them must be found."""

import doctor_peer_list as listed
import doctor_peers as peers
import doctor_zoo as zoo
import pytest
import torch
from doctor_peers import SIZES

from oneblock.doctor import examine
from oneblock.doctor.checks import CHECKS

pytestmark = pytest.mark.peers
QUICK = [name for name in CHECKS if name not in zoo.TRAINING]
GROUPED = SIZES | {"num_key_value_heads": 2}
MODELS = {
    "GPT2LMHeadModel": ("GPT2Config", {"vocab_size": 37, "n_embd": 24, "n_layer": 2, "n_head": 4, "n_positions": 96}),
    "LlamaForCausalLM": ("LlamaConfig", GROUPED),
    "Qwen3ForCausalLM": ("Qwen3Config", GROUPED | {"head_dim": 6}),
    "Gemma2ForCausalLM": ("Gemma2Config", GROUPED | {"head_dim": 6}),
    "MixtralForCausalLM": ("MixtralConfig", GROUPED | {"num_local_experts": 4}),
    "GPTNeoXForCausalLM": ("GPTNeoXConfig", SIZES),
    "BertForMaskedLM": ("BertConfig", SIZES),
    "T5ForConditionalGeneration": (
        "T5Config",
        {"vocab_size": 37, "d_model": 24, "d_kv": 6, "num_layers": 2, "num_heads": 4, "d_ff": 40},
    ),
}


def made(name):
    transformers = pytest.importorskip("transformers")
    config, sizes = MODELS[name]
    torch.manual_seed(0)
    return getattr(transformers, name)(getattr(transformers, config)(**sizes))


@pytest.mark.parametrize("name", MODELS)
def test_a_healthy_class_does_not_alarm(name):
    report = examine(made(name), only=QUICK)
    assert report.healthy, report
    assert not [each for each in report.checks if "could not be asked" in each.message], report


def unscaled(model):
    for layer in model.model.layers:
        layer.self_attn.scaling = 1.0


def sees_all(model):
    for layer in model.transformer.h:
        layer.attn.register_forward_hook(
            lambda module, args, kwargs, out: (out[0] + 0.1 * out[0].mean(1, keepdim=True), *out[1:]), with_kwargs=True
        )


def untied(model):
    model.lm_head.weight = torch.nn.Parameter(model.lm_head.weight.detach().clone())


def one_norm(model):
    for layer in model.model.layers:
        layer.post_attention_layernorm = layer.input_layernorm


@pytest.mark.parametrize(
    ("name", "break_it", "check"),
    [
        ("LlamaForCausalLM", unscaled, "A2"),
        ("GPT2LMHeadModel", sees_all, "C1"),
        ("GPT2LMHeadModel", untied, "W1"),
        ("LlamaForCausalLM", one_norm, "W3"),
    ],
)
def test_a_broken_class_is_found(name, break_it, check):
    model = made(name)
    break_it(model)
    (found,) = examine(model, only=[check]).checks
    assert found.status == "FAIL", found


@pytest.mark.parametrize("row", peers.faults(), ids=lambda row: f"{row[0]}, {row[1]} {row[4]}".strip())
def test_a_planted_fault_is_told_by_a_check_named_for_it(row):
    pytest.importorskip("transformers")
    name, fault, wanted, planting, where = row
    report = examine(peers.ill(name, fault, planting, where), only=wanted.split())
    statuses = ("FAIL", "WARN") if fault in listed.WARNED else ("FAIL",)
    told = any(each.status in statuses for each in report.checks)
    # No order among a decoder's own tokens but that of its mask is a design too (NoPE).
    assert told is (fault != "one distance for all"), report


def test_a_class_that_takes_images_is_examined():
    transformers = pytest.importorskip("transformers")
    sizes = {"hidden_size": 21, "num_hidden_layers": 2, "num_attention_heads": 3, "intermediate_size": 40}
    torch.manual_seed(0)
    report = examine(transformers.ViTModel(transformers.ViTConfig(**sizes, image_size=12, patch_size=4)), only=QUICK)
    assert report.kind == "images" and report.healthy and "pixel_values=ids" in report.called, report
