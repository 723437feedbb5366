"""What a learner's Llama block must do: small models with random weights first, then a real one."""

from __future__ import annotations

import copy
from typing import Any

import torch
from torch import Tensor, nn

from oneblock.config import Config, override, presets
from oneblock.config.config import Model
from oneblock.data.errors import DataError
from oneblock.data.known_models import locate_model
from oneblock.learn.asker import Asker, Failed, Remote, describe
from oneblock.learn.exercise import Check, Finding
from oneblock.learn.own_block import weights_of
from oneblock.models.build import build
from oneblock.nn.context import Context
from oneblock.runs.load import load, load_tokenizer

REAL, SENTENCE = "smollm2-135m", "The capital of France is"
CLOSE = 1e-4
"""The largest difference of two logits."""
SMALL = (
    ("width=24", "block.attention.num_heads=6", "block.attention.num_kv_heads=2", "position.style=half"),
    ("width=20", "block.attention.num_heads=5", "block.attention.num_kv_heads=1", "position.style=interleaved"),
    ("width=12", "block.attention.num_heads=3", "block.attention.num_kv_heads=3", "position.theta=100"),
)
"""Groups of three, one group, no groups; both styles; another base. eps is so large that it is seen."""
COMMON = ("vocab_size=13", "num_layers=2", "context=32", "block.feed_forward.hidden=28", "block.norm.eps=0.1")


def small_config(*settings: str) -> Config:
    """A Llama for a few numbers."""
    return override(presets.preset("llama-nano"), *COMMON, *settings)


def shaped(a: Asker, model: Any) -> Remote:
    """The learner's block in the sizes of a model's."""
    option, block = model.config, model.config.block(0)
    attention, hidden = block.attention, block.feed_forward.hidden_width(option.width)
    sizes = option.width, attention.num_heads, attention.num_groups, hidden
    return a.build("LlamaBlock", *sizes, option.position.theta, block.norm.eps, option.position.style)


def carried(a: Asker, model: Any, tokens: Tensor, what: str) -> Finding | None:
    """A finding unless the logits are the model's, where the learner's block carries the stream through its layers."""
    theirs = shaped(a, model)
    ctx = Context(tokens.shape[1], tokens.device, position=model.position, causal=True)
    # All of it in float64, and the blocks one by one: a tied head has the embedding's weights.
    model.requires_grad_(False)
    for part in (model.embedding, model.norm, model.head):
        part.double()
    mine: Any = model.embed(tokens, ctx)
    right, parted = mine, ""
    for at, block in enumerate(model.blocks):
        double = copy.deepcopy(block).double()
        mine, right = _stepped(a, theirs, double, mine, f"{what}, block {at}"), double(right, ctx)
        found = None if parted else a.same(mine, right, f"the stream after block {at}", tolerance=1e-6)
        parted = found.message if found else parted
    one, two = (model.cap(model.head(model.norm(stream))) for stream in (mine, right))
    apart = float((one - two).abs().max())
    # Written so that NaN fails.
    if apart < CLOSE:
        return None
    return a.found(f"{what}: the logits are {apart:.2g} apart, and {CLOSE:g} is allowed. {parted}")


def _stepped(a: Asker, theirs: Remote, block: nn.Module, x: Tensor, what: str) -> Tensor:
    # Not as a question that is kept: the weights of thirty blocks would be.
    order = {"do": "load", "seed": a.seed, "target": theirs.handle, "weights": weights_of(block)}
    answer = a.desk(order)
    found = answer.get("value") or {"missing": [str(answer.get("error", {}).get("message"))], "shapes": {}, "left": []}
    said = [f"{name} is {yours} in yours and {ours} in the model" for name, (ours, yours) in found["shapes"].items()]
    said += [f"the model has {name}, yours has no such parameter" for name in found["missing"]]
    said += [f"yours has {name}, the model has no such parameter" for name in found["left"]]
    if said:
        raise Failed(a.found(f"{what}: {'; '.join(said[:4])}; other names and layouts are fine if mapping() says so"))
    got = theirs(x)
    if not isinstance(got, Tensor) or got.shape != x.shape or got.dtype != x.dtype:
        raise Failed(a.found(f"{what} makes {describe(got)} of {describe(x)}; shape and dtype stay", about=got))
    return got


def randomised(config: Model | Config, generator: torch.Generator) -> nn.Module:
    """A model whose weights are all of a size that is seen."""
    model = build(config, seed=0).double().eval()
    for parameter in model.parameters():
        size = parameter.shape[-1] ** 0.5 if parameter.dim() > 1 else 1.0
        parameter.data = torch.randn(parameter.shape, generator=generator, dtype=torch.float64) / size
    return model


def small(a: Asker) -> Finding | None:
    for settings in SMALL:
        model = randomised(small_config(*settings), a.generator)
        if found := carried(a, model, a.randint(0, 13, 2, 11), f"a small model ({', '.join(settings)})"):
            return found
    return None


def causal(a: Asker) -> Finding | None:
    model: Any = randomised(small_config(*SMALL[0]), a.generator)
    module, x = shaped(a, model), a.randn(2, 7, 24)
    later = torch.cat((x[:, :4], a.randn(2, 3, 24)), dim=1)
    one = _stepped(a, module, model.blocks[0], x, "a block of width 24 with 6 heads in 2 groups")
    two, alone = module(later), module(x[:1, :1])
    if a.same(two[:, :4], one[:, :4], "it"):
        return a.found("tokens from place 4 on were changed, and what is before them moved: it sees later tokens")
    return a.same(alone, one[:1, :1], "the first token by itself")


def real(a: Asker) -> Finding | None:
    try:
        path = locate_model(REAL)
        model, tokenizer = load(path), load_tokenizer(path)
    except DataError as error:
        return a.found(f"Up to here your block is right. SmolLM2 itself cannot be had here: {error}")
    tokens = torch.tensor([[int(token) for token in tokenizer.encode(SENTENCE)]])
    return carried(a, model, tokens, "SmolLM2")


CHECKS = (
    Check(
        id="causal",
        run=causal,
        hints=(
            "It gives the shape that comes in, and no token sees a later one.",
            "Look at the mask.",
            "causal_mask(T, T), True = may attend",
        ),
    ),
    Check(
        id="small",
        run=small,
        needs=("causal",),
        hints=(
            "With given weights it computes what a Llama's block computes.",
            "Look in this order: the norm and its eps, the rows of qkv, what rope turns, which group a head reads, the "
            "gate.",
            "q, k = rope(q, …), rope(k, …) after the split into heads; x + attention(norm1(x)); x + swiglu(norm2(x))",
        ),
    ),
    Check(
        id="real",
        run=real,
        needs=("small",),
        hints=(
            "Thirty blocks of real weights, one after another, give SmolLM2's own logits.",
            "Look for what is not in float64: constants, masks, tables made once.",
            "dtype=x.dtype where you make a tensor",
        ),
    ),
)
