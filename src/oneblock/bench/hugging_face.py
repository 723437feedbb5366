"""Hugging Face's models in our shape: GPT-2 where positions are learned, else Llama."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from oneblock.bench.contestant import Contestant, PeerTraining, count_flops, decoding
from oneblock.bench.job import TRAIN, Arm, Job
from oneblock.config.feedforward import Dense
from oneblock.config.position import Learned


def prepare(job: Job, arm: Arm, device: torch.device) -> Contestant:
    """`GPT2LMHeadModel` or `LlamaForCausalLM` with random weights."""
    import transformers

    torch.manual_seed(job.seed)
    model, looked_up = _build(job, transformers)
    model.to(device)
    flops = count_flops(model, job, looked_up)
    facts = {"version": transformers.__version__, "computes": arm.precision, "model": type(model).__name__}
    if job.kind == TRAIN:
        model.train()
        if "use_cache" in arm.options:
            model.config.use_cache = arm.options["use_cache"]
        # What its Trainer uses.
        optimizer = torch.optim.AdamW(model.parameters(), lr=5e-5, fused=True)
        return PeerTraining(job, arm, model, _loss, optimizer, device).contestant(flops, facts)
    model.eval()
    if arm.precision == "bfloat16":
        model.bfloat16()
    settings: dict[str, Any] = {"do_sample": False, "max_new_tokens": job.new, "pad_token_id": 0}
    if arm.options.get("static"):
        settings["cache_implementation"] = "static"
    if arm.compile:
        # It compiles by itself on GPUs only, and hides the option to do so elsewhere.
        settings["compile_config"] = transformers.CompileConfig(mode="default", fullgraph=False)
        settings["compile_config"]._compile_all_devices = True

    def decode(prompt: Tensor) -> Tensor:
        with torch.inference_mode():
            made: Tensor = model.generate(prompt, attention_mask=torch.ones_like(prompt), **settings)
            return made

    return decoding(job, decode, device, flops, facts)


def _build(job: Job, transformers: Any) -> tuple[Any, list[nn.Parameter]]:
    """The model, and its tables that are only looked up."""
    option = job.model
    block = option.blocks[0]
    hidden = block.feed_forward.hidden_width(option.width)
    # No end-of-text: every text is to have its full length.
    ends = {"bos_token_id": None, "eos_token_id": None}
    if isinstance(option.position, Learned):
        config = transformers.GPT2Config(
            vocab_size=option.vocab_size,
            n_positions=option.context,
            n_embd=option.width,
            n_layer=option.num_layers,
            n_head=block.attention.num_heads,
            n_inner=hidden,
            resid_pdrop=0.0,
            embd_pdrop=0.0,
            attn_pdrop=0.0,
            **ends,
        )
        model = transformers.GPT2LMHeadModel(config)
        return model, [model.transformer.wpe.weight]
    config = transformers.LlamaConfig(
        vocab_size=option.vocab_size,
        max_position_embeddings=option.context,
        hidden_size=option.width,
        num_hidden_layers=option.num_layers,
        num_attention_heads=block.attention.num_heads,
        num_key_value_heads=block.attention.num_groups,
        head_dim=block.attention.width_of_head(option.width),
        # Three matrices instead of two: two thirds of the width cost the same.
        intermediate_size=round(2 * hidden / 3) if isinstance(block.feed_forward, Dense) else hidden,
        tie_word_embeddings=option.tied,
        **ends,
    )
    model = transformers.LlamaForCausalLM(config)
    return model, [] if option.tied else [model.model.embed_tokens.weight]


def _loss(model: nn.Module, inputs: Tensor, targets: Tensor) -> Tensor:
    # Its own loss shifts the labels itself, so that the inputs are the labels.
    loss: Tensor = model(input_ids=inputs, labels=inputs).loss
    return loss
