"""Classes of transformers against ours, and against themselves with one choice otherwise."""

import pytest
import torch

import oneblock
from oneblock.doctor import against
from oneblock.runs.load import load
from oneblock.weights.reading import open_checkpoint

pytestmark = pytest.mark.peers
GPT2 = {
    "vocab_size": 37,
    "n_embd": 24,
    "n_layer": 2,
    "n_head": 4,
    "n_positions": 96,
    "bos_token_id": 0,
    "eos_token_id": 0,
}
SIZES = {
    "vocab_size": 37,
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "intermediate_size": 40,
    "max_position_embeddings": 96,
    "bos_token_id": 0,
    "eos_token_id": 0,
    "pad_token_id": 0,
}
GROUPED = SIZES | {"num_key_value_heads": 2, "head_dim": 8}
MODELS = {
    "GPT2": ("GPT2LMHeadModel", "GPT2Config", GPT2),
    "GPTJ": ("GPTJForCausalLM", "GPTJConfig", GPT2 | {"rotary_dim": 4}),
    "GPTNeoX": ("GPTNeoXForCausalLM", "GPTNeoXConfig", SIZES),
    "Llama": ("LlamaForCausalLM", "LlamaConfig", GROUPED),
    "Qwen3": ("Qwen3ForCausalLM", "Qwen3Config", GROUPED),
    "Gemma2": ("Gemma2ForCausalLM", "Gemma2Config", GROUPED),
    "Mixtral": ("MixtralForCausalLM", "MixtralConfig", GROUPED | {"num_local_experts": 4}),
    "Bert": ("BertForMaskedLM", "BertConfig", SIZES),
    "T5": (
        "T5ForConditionalGeneration",
        "T5Config",
        {"vocab_size": 37, "d_model": 24, "d_kv": 6, "num_layers": 2, "num_heads": 4, "d_ff": 40},
    ),
    "Olmo2": ("Olmo2ForCausalLM", "Olmo2Config", SIZES),
}
PLANTED = [
    ("GPT2", {"layer_norm_epsilon": 1e-2}, {"norm eps": 1e-2}),
    ("GPT2", {"activation_function": "gelu"}, {"activation": "gelu"}),
    ("GPT2", {"scale_attn_weights": False}, {"attention scale": "1"}),
    ("GPTJ", {"rotary_dim": 2}, {"rope fraction": 1 / 3}),
    ("GPTNeoX", {"use_parallel_residual": False}, {"parallel": False}),
    ("GPTNeoX", {"hidden_act": "relu"}, {"activation": "relu"}),
    ("Llama", {"rms_norm_eps": 1e-2}, {"norm eps": 1e-2}),
    ("Llama", {"rope_parameters": {"rope_type": "default", "rope_theta": 5e5}}, {"rope base": 5e5}),
    ("Llama", {"hidden_act": "gelu"}, {"activation": "gelu"}),
    ("Qwen3", {"rms_norm_eps": 1e-2}, {"norm eps": 1e-2}),
    ("Gemma2", {"final_logit_softcapping": None}, {"logit cap": None}),
    ("Gemma2", {"attn_logit_softcapping": 5.0}, {"attention cap": 5.0}),
    ("Olmo2", {"rms_norm_eps": 1e-2}, {"norm eps": 1e-2}),
]


def made(name, **more):
    transformers = pytest.importorskip("transformers")
    kind, config, sizes = MODELS[name]
    torch.manual_seed(0)
    model = getattr(transformers, kind)(getattr(transformers, config)(**(sizes | more)))
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.2 * torch.randn_like(parameter))
    return model


@pytest.mark.parametrize(("name", "more", "wanted"), PLANTED)
def test_a_choice_of_a_class_is_named(name, more, wanted):
    found = against(made(name, **more), made(name))
    named = {change.what: change.target for change in found.explanation}
    assert named.keys() == wanted.keys() and not found.unread, found
    for what, value in wanted.items():
        assert named[what] == (pytest.approx(value) if isinstance(value, float) else value)


@pytest.mark.parametrize(
    ("name", "field", "value"),
    [
        ("Mixtral", "num_experts_per_tok", 1),
        ("Bert", "layer_norm_eps", 1e-2),
        ("T5", "relative_attention_max_distance", 9),
    ],
)
def test_fields_of_a_class_that_is_no_plain_decoder(name, field, value):
    found = against(made(name, **{field: value}), made(name))
    (change,) = found.explanation
    assert (change.what, change.target) in [(field, value), ("norm eps", value)], found


@pytest.mark.parametrize(
    ("name", "change", "what"),
    [
        ("GPT2", "", ""),
        ("GPT2", "block.feed_forward.activation=gelu", "activation"),
        ("GPT2", "block.placement=post", "norm placement"),
        ("Llama", "", ""),
        ("Llama", "position.style=interleaved", "rope"),
        ("Llama", "block.attention.window=6", "mask"),
        ("Llama", "block.norm.one_plus=true", "norm gain"),
        ("Gemma2", "", ""),
        ("Gemma2", "embedding_scale=false", "embedding scale"),
        ("Olmo2", "", ""),
    ],
)
def test_ours_against_a_class(name, change, what, tmp_path):
    reference = made(name)
    reference.save_pretrained(tmp_path)
    model = load(tmp_path)
    if change:
        config = open_checkpoint(tmp_path).config.model
        other = oneblock.build(oneblock.override(config, change))
        tensors = model.state_dict()
        if "post" in change:
            moved = {
                f"blocks.{i}.{n}.norm_in": f"blocks.{i}.{n}_residual.norm"
                for i in range(2)
                for n in ("attention", "feed_forward")
            }
            tensors = {
                moved.get(k.rpartition(".")[0], k.rpartition(".")[0]) + "." + k.rpartition(".")[2]: v
                for k, v in tensors.items()
            }
        other.load_state_dict(tensors, strict="post" not in change)
        model = other
    found = against(model, reference)
    assert found.agree is (not change), found
    if change and "post" not in change:
        assert [each.what for each in found.explanation] == [what], found
    elif change:
        # Ours has no norm after the last block there, whose post-norm is one.
        assert what in [each.what for each in found.explanation], found
