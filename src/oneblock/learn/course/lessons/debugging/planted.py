"""Small models with and without a planted fault, for the lesson `debugging`."""

from __future__ import annotations

import math
from functools import cache
from typing import Any

VOCABULARY = 11
LENGTH, PLANTED, NEXT = 60, 30, 3
FAULTS = ("healthy", "bad batch", "rate × 40", "labels not shifted")


@cache
def stream(fault: bool = False) -> list[float]:
    """Root mean square of the stream before the first block and after each of eight."""
    import torch

    from oneblock.inspect.capture import capture

    model = decoder(8)
    if fault:
        with torch.no_grad():
            model.blocks[4].feed_forward.down.weight.mul_(20)
    seen = capture(model, some_tokens())
    names = ["embedding", *(f"blocks.{layer}" for layer in range(8))]
    return [float(seen[name].square().mean().sqrt()) for name in names]


@cache
def log(fault: str = "healthy") -> list[tuple[float, float]]:
    """Loss and gradient norm of 60 steps of a table of next-token scores; after each token three may come, alike."""
    import torch

    from oneblock.train.clip import global_norm as norm_of
    from oneblock.train.loss import cross_entropy

    generator = torch.Generator().manual_seed(3)
    table = torch.zeros(VOCABULARY, VOCABULARY, requires_grad=True)
    optimizer = torch.optim.AdamW([table], lr=0.1, betas=(0.9, 0.99), weight_decay=0.0)
    rows = []
    for step in range(LENGTH):
        if fault == "rate × 40" and step == PLANTED:
            optimizer.param_groups[0]["lr"] = 4.0
        inputs = torch.randint(0, VOCABULARY, (1, 64), generator=generator)
        targets = (2 * inputs + torch.randint(0, NEXT, inputs.shape, generator=generator)) % VOCABULARY
        if fault == "bad batch" and step == PLANTED:
            targets = torch.randint(0, VOCABULARY, inputs.shape, generator=generator)
        if fault == "labels not shifted":
            targets = inputs
        optimizer.zero_grad()
        loss = cross_entropy(table[inputs], targets)
        loss.backward()
        rows.append((float(loss.detach()), float(norm_of([table]))))
        optimizer.step()
    return rows


@cache
def at_depth(layers: int, placement: str = "pre", output: str = "scaled") -> dict[str, float]:
    """What the five checks ask, of fresh weights: a decoder of width 32, random tokens and random labels."""
    import torch

    from oneblock.inspect.capture import capture
    from oneblock.train.loss import cross_entropy

    model = decoder(layers, placement, output)
    tokens = some_tokens()
    seen = capture(model, tokens)
    rms = [float(seen[f"blocks.{layer}"].square().mean().sqrt()) for layer in range(layers)]
    scores = [seen[f"blocks.{layer}.attention.scores"] for layer in range(layers)]
    cross_entropy(model(tokens), tokens.roll(3, 1)).backward()
    gradients = [
        float(torch.stack([p.grad.square().sum() for p in block.parameters() if p.grad is not None]).sum().sqrt())
        for block in model.blocks
    ]
    down = model.blocks[0].feed_forward.down.weight.detach()
    return {
        "growth": rms[-1] / rms[0],
        "logit": max(float(score[score.isfinite()].abs().max()) for score in scores),
        "start": float(down.std()) * math.sqrt(down.shape[1]),
        "first": gradients[0],
        "last": gradients[-1],
        "uneven": max(gradients) / min(gradients),
    }


def leaks() -> list[float]:
    """Token 5 of 8 is changed: by how much does each logit move?"""
    model, tokens = decoder(2), some_tokens()[:1, :8]
    changed = tokens.clone()
    changed[0, 5] = (changed[0, 5] + 1) % VOCABULARY
    moved = (model(changed) - model(tokens)).abs().amax(-1)
    return moved[0].tolist()


def cached() -> list[float]:
    """Token by token with a cache, against one pass without."""
    model, tokens = decoder(2), some_tokens()[:1]
    whole, memory = model(tokens), model.cache()
    found = []
    for place in range(tokens.shape[1]):
        one = model(tokens[:, place : place + 1], cache=memory)
        found.append(float((one - whole[:, [place]]).abs().max().detach()))
    return found


def blocked(before: bool = True) -> dict[str, float]:
    """A mask before the softmax, or after it: the first row's sum, and the largest gradient of a blocked score."""
    import torch

    scores = torch.tensor([[2.0, 1.0, 0.0], [0.0, 1.0, 2.0], [1.0, 0.0, 1.0]], requires_grad=True)
    allowed = torch.ones(3, 3, dtype=torch.bool).tril()
    if before:
        weights = scores.masked_fill(~allowed, -torch.inf).softmax(-1)
    else:
        weights = scores.softmax(-1) * allowed
    (weights @ torch.tensor([1.0, 2.0, 4.0])).sum().backward()
    assert scores.grad is not None
    return {"sum": float(weights[0].sum().detach()), "gradient": float(scores.grad[~allowed].abs().max())}


def decoder(layers: int, placement: str = "pre", output: str = "scaled") -> Any:
    import torch

    from oneblock import override, presets
    from oneblock.models.build import build

    config = override(
        presets.nano(),
        "width=32",
        f"num_layers={layers}",
        f"vocab_size={VOCABULARY}",
        "context=16",
        "block.dropout=0",
        "embedding_dropout=0",
        f"block.placement={placement}",
        "block.feed_forward.activation=gelu",
        "init=fan_in",
        f"init.output={output}",
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return build(config).eval()


def some_tokens() -> Any:
    import torch

    return torch.randint(0, VOCABULARY, (2, 12), generator=torch.Generator().manual_seed(1))
