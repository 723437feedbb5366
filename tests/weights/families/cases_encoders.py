"""Encoder-only families: the sizes they are compared in."""

import torch

BERT = {
    "vocab_size": 29,
    "hidden_size": 21,
    "num_hidden_layers": 3,
    "num_attention_heads": 3,
    "intermediate_size": 31,
    "max_position_embeddings": 13,
    "pad_token_id": 0,
}
MODERNBERT = {
    "vocab_size": 29,
    "hidden_size": 18,
    "num_hidden_layers": 5,
    "num_attention_heads": 3,
    "intermediate_size": 31,
    "max_position_embeddings": 13,
    "local_attention": 4,
    **{f"{name}_token_id": number for number, name in enumerate(("pad", "bos", "eos"))},
    "cls_token_id": 1,
    "sep_token_id": 2,
}
T5 = {
    "vocab_size": 29,
    "d_model": 18,
    "d_kv": 5,
    "d_ff": 31,
    "num_layers": 3,
    "num_heads": 3,
    "relative_attention_num_buckets": 8,
    "relative_attention_max_distance": 12,
    "feed_forward_proj": "gated-gelu",
}
BIASES = dict.fromkeys(("norm_bias", "attention_bias", "mlp_bias", "classifier_bias"), True)


def segments(ids):
    return (torch.arange(ids.shape[1]) >= 5).long().expand(ids.shape)


def their_pair(model, ids, padding=None):
    mask = {} if padding is None else {"attention_mask": (~padding).long()}
    out = model(input_ids=ids, token_type_ids=segments(ids), **mask, output_hidden_states=True)
    return out.logits, list(out.hidden_states)


def their_two_tasks(model, ids, padding=None):
    mask = {} if padding is None else {"attention_mask": (~padding).long()}
    return model(input_ids=ids, **mask).prediction_logits, []


def ours(model, ids, padding=None):
    return model(ids, padding), []


def our_pair(model, ids, padding=None):
    return model(ids, padding, segments=segments(ids)), []


def encoder(config, fields, auto="AutoModelForMaskedLM", **more):
    return {"config": config, "auto": auto, "kind": "encoder", "fields": fields} | more


CASES = {
    "bert": encoder("BertConfig", BERT),
    "bert of two texts": encoder("BertConfig", BERT, call=(their_pair, our_pair), hidden=False, padded=("right",)),
    "bert for pre-training": encoder(
        "BertConfig",
        BERT | {"hidden_act": "gelu_new"},
        "AutoModelForPreTraining",
        call=(their_two_tasks, ours),
        padded=("right",),
        hidden=False,
    ),
    "bert without a head": encoder("BertConfig", BERT | {"hidden_act": "relu", "type_vocab_size": 3}, "AutoModel"),
    "modernbert": encoder("ModernBertConfig", MODERNBERT),
    "modernbert with biases": encoder("ModernBertConfig", MODERNBERT | BIASES | {"decoder_bias": False}),
    "modernbert without a head": encoder(
        "ModernBertConfig",
        MODERNBERT
        | {
            "layer_types": ["sliding_attention", "sliding_attention", "full_attention", "sliding_attention"],
            "num_hidden_layers": 4,
        },
        "AutoModel",
    ),
    "t5's encoder": encoder("T5Config", T5, "AutoModelForTextEncoding"),
}
