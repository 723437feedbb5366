"""Decoder-only families: the sizes they are compared in, all odd where a class allows it."""

import json

LLAMA = {
    "vocab_size": 37,
    "hidden_size": 30,
    "intermediate_size": 29,
    "num_hidden_layers": 3,
    "num_attention_heads": 6,
    "num_key_value_heads": 2,
    "head_dim": 10,
    "max_position_embeddings": 64,
    "bos_token_id": None,
    "eos_token_id": None,
    "pad_token_id": None,
}
GPT = {"bos_token_id": None, "eos_token_id": None}
EXPERTS = {"num_local_experts": 5, "num_experts_per_tok": 2}
LLAMA3 = {
    "rope_type": "llama3",
    "rope_theta": 500.0,
    "factor": 8.0,
    "low_freq_factor": 1.0,
    "high_freq_factor": 4.0,
    "original_max_position_embeddings": 16,
}
YARN = {"rope_type": "yarn", "rope_theta": 1e4, "factor": 4.0, "original_max_position_embeddings": 16}


def as_minimind(folder):
    """MiniMind's class is no part of transformers: its layout is Qwen3's under another name."""
    path = folder / "config.json"
    fields = json.loads(path.read_text())
    fields |= {"model_type": "minimind", "architectures": ["MiniMindForCausalLM"]}
    fields |= {"rope_theta": fields.pop("rope_parameters")["rope_theta"], "use_moe": "num_experts_per_tok" in fields}
    for name in ("layer_types", "use_sliding_window", "sliding_window", "max_window_layers", "mlp_only_layers"):
        fields.pop(name, None)
    for name in ("decoder_sparse_step", "output_router_logits"):
        fields.pop(name, None)
    path.write_text(json.dumps(fields))


def fused(folder):
    """The experts of each layer as transformers 5 has them in memory: one tensor, gate before up."""
    from safetensors.torch import load_file, save_file
    from torch import cat, stack

    path = folder / "model.safetensors"
    tensors = load_file(path)
    for layer in range(3):
        old, new = f"model.layers.{layer}.block_sparse_moe", f"model.layers.{layer}.mlp"
        parts = {
            part: [tensors.pop(f"{old}.experts.{e}.{part}.weight") for e in range(5)] for part in ("w1", "w2", "w3")
        }
        pairs = zip(parts["w1"], parts["w3"], strict=True)
        tensors[f"{new}.experts.gate_up_proj"] = stack([cat(pair) for pair in pairs])
        tensors[f"{new}.experts.down_proj"] = stack(parts["w2"])
        tensors[f"{new}.gate.weight"] = tensors.pop(f"{old}.gate.weight")
    save_file(tensors, path, {"format": "pt"})


def changed_fields(**changes):
    """A config.json with other fields; None: without it."""

    def change(folder):
        path = folder / "config.json"
        fields = json.loads(path.read_text()) | changes
        path.write_text(json.dumps({name: value for name, value in fields.items() if value is not None}))

    return change


def with_buffers(layers, *names):
    """Buffers that early files hold, and no prefix: GPT-2's own file."""

    def change(folder):
        from safetensors.torch import load_file, save_file
        from torch import ones

        path = folder / "model.safetensors"
        tensors = load_file(path)
        tensors |= {name.format(layer): ones(3) for name in names for layer in range(layers)}
        save_file({name.removeprefix("transformer."): each for name, each in tensors.items()}, path, {"format": "pt"})

    return change


def from_memory(model):
    """The reference itself in float32, where its folder is not one that its class reads."""
    return model.float()


CASES = {
    "gpt2": {
        "config": "GPT2Config",
        "fields": {"vocab_size": 37, "n_embd": 21, "n_layer": 3, "n_head": 3, "n_positions": 23, "n_inner": 31, **GPT},
    },
    "gpt2, published": {
        "config": "GPT2Config",
        "fields": {"vocab_size": 37, "n_embd": 21, "n_layer": 3, "n_head": 3, "n_positions": 23, **GPT},
        "saved": [with_buffers(3, "h.{}.attn.bias", "h.{}.attn.masked_bias"), changed_fields(n_ctx=23)],
        "out": False,
    },
    "llama": {"config": "LlamaConfig", "fields": LLAMA},
    "llama 3, tied, biases": {
        "config": "LlamaConfig",
        "fields": LLAMA
        | {"tie_word_embeddings": True, "rope_parameters": LLAMA3, "attention_bias": True, "mlp_bias": True},
    },
    "llama, yarn": {"config": "LlamaConfig", "fields": LLAMA | {"rope_parameters": YARN}},
    "llama 3, transformers 4": {
        "config": "LlamaConfig",
        "fields": LLAMA | {"rope_parameters": LLAMA3},
        "saved": [
            changed_fields(
                rope_parameters=None,
                rope_theta=500.0,
                rope_scaling={name: LLAMA3[name] for name in LLAMA3 if name != "rope_theta"},
            )
        ],
    },
    "llama, linear": {
        "config": "LlamaConfig",
        "fields": LLAMA | {"rope_parameters": {"rope_type": "linear", "rope_theta": 1e4, "factor": 3.0}},
    },
    "mistral": {"config": "MistralConfig", "fields": LLAMA | {"sliding_window": 5}},
    "qwen2": {"config": "Qwen2Config", "fields": LLAMA},
    "qwen3": {"config": "Qwen3Config", "fields": LLAMA | {"attention_bias": True}},
    "qwen3, windows": {
        "config": "Qwen3Config",
        "fields": LLAMA | {"use_sliding_window": True, "sliding_window": 5, "max_window_layers": 1},
    },
    "arcee": {"config": "ArceeConfig", "fields": LLAMA},
    "gemma": {"config": "GemmaConfig", "fields": LLAMA},
    "gemma, published": {"config": "GemmaConfig", "fields": LLAMA, "saved": [changed_fields(hidden_act="gelu")]},
    "gemma2": {
        "config": "Gemma2Config",
        "fields": LLAMA | {"sliding_window": 5, "query_pre_attn_scalar": 7, "attn_logit_softcapping": 3.0},
    },
    "gemma3": {
        "config": "Gemma3TextConfig",
        "fields": LLAMA | {"num_hidden_layers": 7, "sliding_window": 5, "query_pre_attn_scalar": 7},
    },
    "gemma3, transformers 4": {
        "config": "Gemma3TextConfig",
        "fields": LLAMA | {"num_hidden_layers": 7, "sliding_window": 5, "query_pre_attn_scalar": 7},
        "saved": [
            changed_fields(
                rope_parameters=None,
                layer_types=None,
                _sliding_window_pattern=None,
                sliding_window_pattern=6,
                rope_theta=1e6,
                rope_local_base_freq=1e4,
                cache_implementation="hybrid",
            )
        ],
    },
    "olmo2": {"config": "Olmo2Config", "fields": LLAMA},
    "gpt_neox": {
        "config": "GPTNeoXConfig",
        "fields": {
            "vocab_size": 37,
            "hidden_size": 51,
            "intermediate_size": 29,
            "num_hidden_layers": 3,
            "num_attention_heads": 3,
            "max_position_embeddings": 64,
            **GPT,
        },
    },
    "pythia, transformers 4": {
        "config": "GPTNeoXConfig",
        "fields": {
            "vocab_size": 37,
            "hidden_size": 51,
            "intermediate_size": 29,
            "num_hidden_layers": 3,
            "num_attention_heads": 3,
            "max_position_embeddings": 64,
            "use_parallel_residual": False,
            **GPT,
        },
        "saved": [
            changed_fields(rope_parameters=None, rotary_pct=0.25, rotary_emb_base=10000),
            with_buffers(3, "gpt_neox.layers.{}.attention.bias", "gpt_neox.layers.{}.attention.rotary_emb.inv_freq"),
        ],
        "float32": from_memory,
    },
    "gptj": {
        "config": "GPTJConfig",
        "fields": {
            "vocab_size": 37,
            "n_embd": 33,
            "n_layer": 3,
            "n_head": 3,
            "n_positions": 23,
            "n_inner": 31,
            "rotary_dim": 6,
            **GPT,
        },
    },
    "mixtral": {"config": "MixtralConfig", "fields": LLAMA | EXPERTS},
    "mixtral, fused experts": {
        "config": "MixtralConfig",
        "fields": LLAMA | EXPERTS | {"sliding_window": 5},
        "saved": [fused],
        "float32": from_memory,
        "out": False,
    },
    "qwen3_moe": {
        "config": "Qwen3MoeConfig",
        "fields": LLAMA
        | {"num_experts": 5, "num_experts_per_tok": 3, "moe_intermediate_size": 19, "mlp_only_layers": [1]},
    },
    "minimind": {
        "config": "Qwen3Config",
        "fields": LLAMA | {"tie_word_embeddings": True},
        "saved": [as_minimind],
        "out_as": "qwen3",
        "float32": from_memory,
    },
    "minimind, experts": {
        "config": "Qwen3MoeConfig",
        "fields": LLAMA
        | {"num_experts": 4, "num_experts_per_tok": 1, "moe_intermediate_size": 19, "norm_topk_prob": True},
        "saved": [as_minimind],
        "out_as": "qwen3_moe",
        "float32": from_memory,
    },
}
