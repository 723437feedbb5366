"""x-transformers' decoder in our shape."""

from __future__ import annotations

import importlib
from typing import Any

import torch
from torch import Tensor, nn

from oneblock.bench.contestant import Contestant, PeerTraining, count_flops, decoding
from oneblock.bench.job import TRAIN, Arm, Job
from oneblock.bench.rivals import X_TRANSFORMERS, version
from oneblock.config.feedforward import Gated
from oneblock.config.norm import RMSNorm
from oneblock.config.position import Learned, Rope


def prepare(job: Job, arm: Arm, device: torch.device) -> Contestant:
    """`TransformerWrapper(Decoder(…))` in its `AutoregressiveWrapper`."""
    package: Any = importlib.import_module("x_transformers")
    torch.manual_seed(job.seed)
    model = _build(job, arm, package).to(device)
    wrapper = package.AutoregressiveWrapper(model)
    tables = [] if job.model.tied else [model.token_emb.emb.weight]
    if isinstance(job.model.position, Learned):
        tables.append(model.pos_emb.emb.weight)
    flops = count_flops(model, job, tables)
    facts = {"version": version(X_TRANSFORMERS), "computes": arm.precision}
    if job.kind == TRAIN:
        optimizer = torch.optim.AdamW(wrapper.parameters(), lr=3e-4, fused=arm.options.get("fused", False))
        return PeerTraining(job, arm, wrapper, _loss, optimizer, device).contestant(flops, facts)
    wrapper.eval()
    if arm.precision == "bfloat16":
        wrapper.bfloat16()

    def decode(prompt: Tensor) -> Tensor:
        made: Tensor = wrapper.generate(prompt, job.new, temperature=0.0)
        return torch.cat([prompt, made], dim=1)

    return decoding(job, decode, device, flops, facts)


def _build(job: Job, arm: Arm, package: Any) -> Any:
    option = job.model
    block = option.blocks[0]
    attention, feed_forward = block.attention, block.feed_forward
    gated = isinstance(feed_forward, Gated)
    layers: dict[str, Any] = {
        "dim": option.width,
        "depth": option.num_layers,
        "heads": attention.num_heads,
        "attn_dim_head": attention.width_of_head(option.width),
        "attn_kv_heads": attention.num_groups,
        "ff_mult": feed_forward.hidden_width(option.width) / option.width,
        "ff_no_bias": True,
        "rotary_pos_emb": isinstance(option.position, Rope),
        "use_rmsnorm": isinstance(block.norm, RMSNorm),
        "attn_flash": arm.options.get("flash", False),
    }
    if gated:
        layers |= {"ff_glu": True, "ff_swish": True}
    if attention.num_groups == attention.num_heads:
        del layers["attn_kv_heads"]
    return package.TransformerWrapper(
        num_tokens=option.vocab_size,
        max_seq_len=option.context,
        attn_layers=package.Decoder(**layers),
        tie_embedding=option.tied,
        use_abs_pos_emb=isinstance(option.position, Learned),
    )


def _loss(model: nn.Module, inputs: Tensor, targets: Tensor) -> Tensor:
    # Its wrapper shifts by itself: one more token in, as many trained on.
    loss: Tensor = model(torch.cat([inputs, targets[:, -1:]], dim=1))
    return loss
