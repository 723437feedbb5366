"""Small models in GGUF files, written by the `gguf` package as llama.cpp's converter writes them."""

import json

import numpy as np
import pytest
from small_tokenizers import CHAT, byte_level


def neighbours(rows, heads):
    """Each head's rows as llama.cpp wants them: row i and row i + K/2 side by side."""
    width = rows.shape[0] // heads
    order = [
        head * width + place + half for head in range(heads) for place in range(width // 2) for half in (0, width // 2)
    ]
    return rows[order]


def tokenizer_fields(writer, pre="gpt-2", **more):
    """The vocabulary of a small byte-level tokenizer; its special tokens are its first three."""
    model = json.loads(byte_level().to_str())["model"]
    tokens = sorted(model["vocab"], key=model["vocab"].get)
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre(pre)
    writer.add_token_list(tokens)
    writer.add_token_types([3] * 3 + [1] * (len(tokens) - 3))
    writer.add_token_merges([" ".join(merge) for merge in model["merges"]])
    writer.add_bos_token_id(1)
    writer.add_eos_token_id(2)
    writer.add_chat_template(CHAT)
    for name, value in more.items():
        getattr(writer, name)(value)


def write(path, config, state, *, quantised=None, tokenizer=True, fields=None, extra=None, architecture="llama"):
    """A decoder of ours of Llama's shape as a GGUF file; `fields` add to the description, `extra` to the tensors."""
    gguf = pytest.importorskip("gguf", reason="the gguf package is not installed")
    writer = gguf.GGUFWriter(path, architecture)
    attention = config.blocks[0].attention
    heads, groups, head = attention.num_heads, attention.num_groups, attention.width_of_head(config.width)
    writer.add_context_length(config.context)
    writer.add_block_count(config.num_layers)
    writer.add_embedding_length(config.width)
    writer.add_feed_forward_length(config.blocks[0].feed_forward.hidden_width(config.width))
    writer.add_head_count(heads)
    writer.add_head_count_kv(groups)
    writer.add_key_length(head)
    writer.add_value_length(head)
    writer.add_rope_dimension_count(head)
    writer.add_rope_freq_base(config.position.theta)
    writer.add_layer_norm_rms_eps(config.blocks[0].norm.eps)
    for name, value in (fields or {}).items():
        {str: writer.add_string, float: writer.add_float32, int: writer.add_uint32}[type(value)](name, value)
    if tokenizer:
        tokenizer_fields(writer)

    def add(name, tensor):
        numbers = tensor.detach().float().numpy()
        if quantised is None or tensor.dim() == 1:
            writer.add_tensor(name, np.ascontiguousarray(numbers))
        else:
            kind = gguf.GGMLQuantizationType[quantised]
            writer.add_tensor(name, gguf.quantize(numbers, kind), raw_dtype=kind)

    add("token_embd.weight", state["embedding.weight"])
    add("output_norm.weight", state["norm.weight"])
    if "head.weight" in state:
        add("output.weight", state["head.weight"])
    for layer in range(config.num_layers):
        ours, theirs = f"blocks.{layer}.", f"blk.{layer}."
        q, k, v = state[ours + "attention.qkv.weight"].split([heads * head, groups * head, groups * head])
        add(theirs + "attn_q.weight", neighbours(q, heads))
        add(theirs + "attn_k.weight", neighbours(k, groups))
        add(theirs + "attn_v.weight", v)
        add(theirs + "attn_output.weight", state[ours + "attention.output.weight"])
        add(theirs + "attn_norm.weight", state[ours + "attention.norm_in.weight"])
        add(theirs + "ffn_norm.weight", state[ours + "feed_forward.norm_in.weight"])
        for part in ("gate", "up", "down"):
            add(f"{theirs}ffn_{part}.weight", state[f"{ours}feed_forward.{part}.weight"])
    for name, tensor in (extra or {}).items():
        add(name, tensor)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path
