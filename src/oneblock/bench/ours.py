"""Our own arms: training as `oneblock train` does a step, decoding as `oneblock.generate` does it."""

from __future__ import annotations

import time
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call

from oneblock import __version__
from oneblock.bench.contestant import Contestant, decoding, tokens_for, worst_gradient
from oneblock.bench.job import TRAIN, Arm, BenchError, Job
from oneblock.decoding.generate import stream
from oneblock.decoding.step import Fixed, Plain
from oneblock.inspect.statistics import cache_bytes_per_token, flops_per_token
from oneblock.machine.allocator import keep_memory
from oneblock.machine.device import synchronize
from oneblock.machine.precision import pick_precision
from oneblock.models.build import build
from oneblock.nn.int8 import Int8Linear, to_int8
from oneblock.nn.linear import TiedLinear
from oneblock.nn.position import Learned
from oneblock.nn.record import Record
from oneblock.train.clip import clip_gradients
from oneblock.train.loss import cross_entropy
from oneblock.train.optimizer import make_optimizer
from oneblock.train.step import GRADIENT_TOLERANCE, ROUTED_TOLERANCE, Gradients

LOGIT_TOLERANCE = {"float32": 1e-3, "bfloat16": 0.05, "int8": 0.1}
"""Largest relative error of decoding's logits against the whole text's in float32, written out."""

CHECKED_TOKENS = 32


def prepare(job: Job, arm: Arm, device: torch.device) -> Contestant:
    """The arm, built, compiled and proved right."""
    return _training(job, arm, device) if job.kind == TRAIN else _decoding(job, arm, device)


def _training(job: Job, arm: Arm, device: torch.device) -> Contestant:
    kept = arm.options.get("keep_memory", True) and keep_memory()
    recipe = job.config.recipe
    precision = pick_precision(recipe.precision, device)
    model = build(job.config, seed=job.seed).to(device)
    tokens = tokens_for(job, job.model.context + 1, device)
    inputs, targets = tokens[:, :-1].contiguous(), tokens[:, 1:].contiguous()
    gradients = Gradients(model, precision=precision, input_noise=recipe.input_noise, seed=job.seed)
    if arm.compile:
        said: list[str] = []
        if not gradients.compile(inputs, targets, tell=lambda event, words: said.append(words)):
            raise BenchError(said[-1])
    reference = _written_out(job, model, device)
    error = worst_gradient(model, gradients.loss, reference, inputs, targets)
    tolerance = ROUTED_TOLERANCE if gradients.mixed else GRADIENT_TOLERANCE
    if not error < tolerance:
        raise BenchError(f"its gradients are off by {error:.2g} (tolerance {tolerance}); its speed means nothing")
    optimizer = make_optimizer(model, recipe.optimizer)
    count = 0

    def step() -> None:
        nonlocal count
        optimizer.zero_grad()
        float(gradients(inputs, targets, step=count))
        float(clip_gradients(optimizer.parameters(), recipe.clip or float("inf")))
        optimizer.step()
        count += 1

    facts = {
        "version": __version__,
        "computes": str(precision).removeprefix("torch."),
        "gradient_error": error,
        "compile_seconds": gradients.compile_seconds,
        "memory_kept": bool(kept),
        "optimizer": type(recipe.optimizer).__name__,
    }
    return Contestant(
        step=step,
        tokens=inputs.numel(),
        flops_per_token=flops_per_token(job.config),
        facts=facts,
        rest=optimizer.zero_grad,
    )


def _written_out(job: Job, model: nn.Module, device: torch.device) -> Any:
    """The float32 loss with attention written out, computed with `model`'s own parameters."""
    readable = build(job.config, seed=job.seed, fused=False).to(device)

    def loss(inputs: Tensor, targets: Tensor) -> Tensor:
        record = Record()
        logits = functional_call(readable, dict(model.named_parameters()), (inputs,), {"record": record})
        return cross_entropy(logits, targets) + record.loss()

    return loss


def _decoding(job: Job, arm: Arm, device: torch.device) -> Contestant:
    dtype = torch.float32 if arm.precision == "float32" else torch.bfloat16
    model = build(job.config, seed=job.seed).to(device).to(dtype).eval()
    if arm.precision == "int8":
        to_int8(model)
    tolerance = LOGIT_TOLERANCE[arm.precision]

    later: list[float] = []

    def decode(prompt: Tensor) -> Tensor:
        """As `generate`, with a look at the clock when the prompt is read."""
        columns = stream(model, prompt, job.new, temperature=0.0, compile=arm.compile, watch=False)
        made = [prompt, next(columns).unsqueeze(1)]
        synchronize(device)
        began = time.perf_counter()
        made += [ids_B.unsqueeze(1) for ids_B in columns]
        synchronize(device)
        later.append(time.perf_counter() - began)
        return torch.cat(made, dim=1)

    error = _logit_error(job, (Fixed if arm.compile else Plain)(model, job.batch, job.prompt + job.new, None), device)
    if not error < tolerance:
        raise BenchError(f"its logits are off by {error:.2g} (tolerance {tolerance}); its speed means nothing")
    facts = {
        "version": __version__,
        "computes": arm.precision,
        "logit_error": error,
        "bytes_per_step": bytes_per_step(job, model),
    }
    return decoding(job, decode, device, flops_per_token(job.config), facts, later)


def _logit_error(job: Job, stepper: Plain, device: torch.device) -> float:
    """max ‖logits − reference‖ / ‖reference‖ over steps fed random tokens; a fresh model's own text is one token.

    The stepper is the one `generate` uses, of the same capacity.
    """
    judge = build(job.config, seed=job.seed, fused=False).to(device).eval()
    text_BT = tokens_for(job, job.prompt + min(job.new, CHECKED_TOKENS), device)
    with torch.inference_mode():
        reference_BTV = judge(text_BT)[:, job.prompt - 1 :]
        made = [stepper.start(text_BT[:, : job.prompt], None).clone()]
        made += [stepper.next(ids_B).clone() for ids_B in text_BT[:, job.prompt :].unbind(1)]
    made_BTV = torch.stack(made, dim=1).float()
    return float(((made_BTV - reference_BTV).norm(dim=2) / reference_BTV.norm(dim=2)).max())


def bytes_per_step(job: Job, model: Any) -> float:
    """What one token for each row must read: all weights but tables only looked up, and the mean cache."""
    tables = {id(m.weight) for m in model.modules() if isinstance(m, Learned)}
    if not isinstance(model.head, TiedLinear):
        tables.add(id(model.embedding.weight))
    held = [tensor for m in model.modules() if isinstance(m, Int8Linear) for tensor in m.buffers()]
    read = [*held, *(p for p in model.parameters() if id(p) not in tables)]
    weights = sum(tensor.numel() * tensor.element_size() for tensor in read)
    size = model.embedding.weight.element_size()
    seen = job.prompt + (job.new - 1) / 2
    return float(weights + job.batch * seen * cache_bytes_per_token(job.config, size))
