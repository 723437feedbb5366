"""Encoder-decoder families: the sizes they are compared in."""

import json

import torch

T5 = {
    "vocab_size": 29,
    "d_model": 18,
    "d_kv": 5,
    "d_ff": 31,
    "num_layers": 3,
    "num_decoder_layers": 2,
    "num_heads": 3,
    "relative_attention_num_buckets": 8,
    "relative_attention_max_distance": 12,
    "pad_token_id": 0,
    "decoder_start_token_id": 0,
}
SWITCH = T5 | {
    "num_layers": 4,
    "num_decoder_layers": 3,
    "num_sparse_encoder_layers": 2,
    "num_sparse_decoder_layers": 3,
    "num_experts": 3,
    "router_jitter_noise": 0.0,
}
BART = {
    "vocab_size": 29,
    "d_model": 18,
    "encoder_layers": 3,
    "decoder_layers": 2,
    "encoder_attention_heads": 3,
    "decoder_attention_heads": 2,
    "encoder_ffn_dim": 31,
    "decoder_ffn_dim": 23,
    "max_position_embeddings": 13,
    "pad_token_id": 1,
}
MARIAN = BART | {
    "activation_function": "swish",
    "scale_embedding": True,
    "decoder_start_token_id": 1,
    "eos_token_id": 2,
}


def own_head(model):
    """Transformers 5 ties every T5 that is made from a configuration."""
    torch.manual_seed(5)
    model.lm_head.weight = torch.nn.Parameter(torch.randn_like(model.shared.weight))


def bias_of_logits(model):
    torch.manual_seed(6)
    model.final_logits_bias.copy_(torch.randn_like(model.final_logits_bias))


def no_rows_that_nobody_reads(model):
    """Its tables of positions have two rows in front that no place reads; they come back as zeros."""
    for stack in (model.model.encoder, model.model.decoder):
        stack.embed_positions.weight.data[:2] = 0


def waves(model):
    """Its table of sines is made in float32, and drawn over like a parameter: made again, in float64."""
    for stack in (model.model.encoder, model.model.decoder):
        places, width = stack.embed_positions.weight.shape
        phase = torch.arange(places).double()[:, None] / 10000 ** (torch.arange(0, width, 2).double() / width)
        stack.embed_positions.weight.copy_(torch.cat([phase.sin(), phase.cos()], 1))


def as_transformers_4(folder):
    """Up to transformers 4 one field told of both: no tied head, nothing scaled."""
    path = folder / "config.json"
    fields = json.loads(path.read_text())
    del fields["scale_decoder_outputs"], fields["is_gated_act"], fields["dense_act_fn"]
    path.write_text(json.dumps(fields | {"tie_word_embeddings": False}))


def pair(config, fields, **more):
    return {"config": config, "auto": "AutoModelForSeq2SeqLM", "kind": "encoder_decoder", "fields": fields} | more


BOTH = ("left", "right")

# Relative positions make nothing of pads in front; the others' classes count them, and take no positions.
CASES = {
    "t5": pair("T5Config", T5, padded=BOTH),
    "t5 v1.1": pair(
        "T5Config", T5 | {"feed_forward_proj": "gated-gelu", "tie_word_embeddings": False}, prepare=[own_head]
    ),
    "t5 v1.1 of transformers 4": pair(
        "T5Config",
        T5 | {"feed_forward_proj": "gated-gelu", "tie_word_embeddings": False},
        prepare=[own_head],
        saved=[as_transformers_4],
    ),
    "t5 gated, tied, unscaled": pair(
        "T5Config", T5 | {"feed_forward_proj": "gated-silu", "scale_decoder_outputs": False}
    ),
    "switch": pair("SwitchTransformersConfig", SWITCH, padded=BOTH),
    # With two places in a row many tokens are dropped; a cache sees one token at a time, which always finds one.
    "switch, two places": pair("SwitchTransformersConfig", SWITCH | {"expert_capacity": 2}, cached=False),
    "bart": pair("BartConfig", BART, prepare=[bias_of_logits, no_rows_that_nobody_reads]),
    "bart, scaled": pair(
        "BartConfig",
        BART | {"scale_embedding": True, "activation_function": "relu"},
        prepare=[no_rows_that_nobody_reads],
    ),
    "marian": pair("MarianConfig", MARIAN, prepare=[bias_of_logits, waves]),
    "marian, two tables": pair(
        "MarianConfig",
        MARIAN | {"share_encoder_decoder_embeddings": False, "decoder_vocab_size": 31},
        prepare=[bias_of_logits, waves],
    ),
}
