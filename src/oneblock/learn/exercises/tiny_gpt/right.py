"""What is right: numbers for a small one, and what arises on the way to the logits."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor

from oneblock.learn.asker import Asker

VOCAB, HEADS, WIDTH, LAYERS, CONTEXT = 13, 3, 15, 2, 7
Weights = dict[str, Tensor]


def some_weights(a: Asker, width: int = WIDTH, layers: int = LAYERS, context: int = CONTEXT) -> Weights:
    """For a small one. The head's are the token embedding's, so that a tied one is as right as one that is not."""
    hidden = 4 * width
    shapes: dict[str, tuple[int, ...]] = {"token_embedding.weight": (VOCAB, width)}
    shapes["position_embedding.weight"] = (context, width)
    for at in range(layers):
        own = {"norm1.weight": (width,), "norm1.bias": (width,), "attention.qkv.weight": (3 * width, width),
               "attention.output.weight": (width, width), "norm2.weight": (width,), "norm2.bias": (width,),
               "feed_forward.up.weight": (hidden, width), "feed_forward.down.weight": (width, hidden)}  # fmt: skip
        shapes |= {f"blocks.{at}.{name}": shape for name, shape in own.items()}
    shapes |= {"norm.weight": (width,), "norm.bias": (width,)}
    # Rows of numbers whose products are of size 1; embeddings and gains are of size 1 themselves.
    weights = {
        n: a.randn(*s) / (math.sqrt(s[1]) if len(s) > 1 and "embedding" not in n else 1) for n, s in shapes.items()
    }
    return weights | {"head.weight": weights["token_embedding.weight"]}


def streams(w: Weights, x: Tensor, form: str, heads: int = HEADS) -> list[Tensor]:
    """The stream after each block; form: GELU's."""
    later = torch.ones(x.shape[1], x.shape[1], dtype=torch.bool).triu(1)
    found: list[Tensor] = []
    while f"blocks.{len(found)}.norm1.weight" in w:
        at = len(found)
        b = f"blocks.{at}"
        q, k, v = (
            p.unflatten(-1, (heads, -1)).transpose(1, 2)
            for p in (norm(w, x, f"{b}.norm1") @ w[f"{b}.attention.qkv.weight"].T).chunk(3, -1)
        )
        scores = (q @ k.transpose(-2, -1) / math.sqrt(q.shape[-1])).masked_fill(later, -math.inf)
        x = x + (scores.softmax(-1) @ v).transpose(1, 2).flatten(2) @ w[f"{b}.attention.output.weight"].T
        inner = norm(w, x, f"{b}.norm2") @ w[f"{b}.feed_forward.up.weight"].T
        x = x + F.gelu(inner, approximate=form) @ w[f"{b}.feed_forward.down.weight"].T
        found.append(x)
    return found


def norm(w: Weights, x: Tensor, name: str) -> Tensor:
    """LayerNorm under these weights."""
    return F.layer_norm(x, x.shape[-1:], w[f"{name}.weight"], w[f"{name}.bias"], 1e-5)


def steps(w: Weights, tokens: Tensor, form: str, heads: int = HEADS) -> dict[str, Tensor]:
    """What arises on the way; the logits last."""
    x = w["token_embedding.weight"][tokens] + w["position_embedding.weight"][: tokens.shape[1]]
    found = {"the embeddings, added": x}
    after = streams(w, x, form, heads)
    found |= {f"the stream after block {at}": stream for at, stream in enumerate(after)}
    found["the last norm"] = norm(w, after[-1], "norm")
    return found | {"the logits": found["the last norm"] @ w["head.weight"].T}
