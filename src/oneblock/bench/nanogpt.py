"""nanoGPT's model, taken from a checkout on this machine and used as it is."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from oneblock.bench.contestant import Contestant, PeerTraining, autocast, count_flops, decoding
from oneblock.bench.job import TRAIN, Arm, BenchError, Job

REMEDY = "give the folder of a nanoGPT checkout"

OPTIMIZER = {"weight_decay": 0.1, "learning_rate": 6e-4, "betas": (0.9, 0.95)}
"""Its training script's settings."""

GPT2_VOCABULARY, PADDED_VOCABULARY = 50_257, 50_304
"""Its training script rounds GPT-2's vocabulary up, because that is faster."""


def prepare(job: Job, arm: Arm, device: torch.device) -> Contestant:
    """Its GPT in our shape, without dropout and biases (its script's defaults)."""
    source = _load(job)
    option = job.model
    padded = option.vocab_size == GPT2_VOCABULARY
    torch.manual_seed(job.seed)
    if device.type == "cuda":
        torch.backends.cuda.matmul.allow_tf32 = True
        torch.backends.cudnn.allow_tf32 = True
    model = source.GPT(
        source.GPTConfig(
            block_size=option.context,
            vocab_size=PADDED_VOCABULARY if padded else option.vocab_size,
            n_layer=option.num_layers,
            n_head=option.blocks[0].attention.num_heads,
            n_embd=option.width,
            dropout=0.0,
            bias=False,
        )
    ).to(device)
    flops = count_flops(model, job, [model.transformer.wpe.weight])
    facts = {"version": "checkout", "computes": arm.precision}
    if job.kind == TRAIN:
        optimizer = model.configure_optimizers(**OPTIMIZER, device_type=device.type)
        return PeerTraining(job, arm, model, _loss, optimizer, device).contestant(flops, facts)
    model.eval()
    if arm.precision == "bfloat16":
        model.bfloat16()
    if arm.compile:
        model.forward = torch.compile(model.forward, dynamic=True)

    def decode(prompt: Tensor) -> Tensor:
        with autocast(arm, device):
            made: Tensor = model.generate(prompt, job.new)
            return made

    return decoding(job, decode, device, flops, facts)


def _loss(model: nn.Module, inputs: Tensor, targets: Tensor) -> Tensor:
    loss: Tensor = model(inputs, targets)[1]
    return loss


def _load(job: Job) -> Any:
    assert job.path is not None
    path = Path(job.path) / "model.py"
    spec = importlib.util.spec_from_file_location("nanogpt_model", path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    # Its dataclass looks its own module up by name.
    sys.modules[spec.name] = module
    try:
        spec.loader.exec_module(module)
    except Exception as error:
        raise BenchError(f"{path} cannot be imported: {error!r}; {REMEDY}") from error
    missing = [name for name in ("GPT", "GPTConfig") if not hasattr(module, name)]
    if missing:
        raise BenchError(f"{path} has no {' and no '.join(missing)}; {REMEDY}")
    return module
