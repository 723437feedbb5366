"""Cross-attention and the encoder-decoder with switches: without any they are right; each variant sets some."""

import functools
import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn


def separate(tensor: Tensor) -> dict[str, Tensor]:
    """key_value as two layers of a learner's own."""
    return dict(zip(("to_key.weight", "to_value.weight"), tensor.chunk(2), strict=True))


class CrossAttention(nn.Module):
    def __init__(
        self,
        width: int,
        num_heads: int,
        *,
        keys_of: str = "memory",
        values_of: str = "memory",
        queries_of: str = "x",
        rows: str = "k, v",
        scale: str = "root",
        axis: int = -1,
        split: str = "heads",
        merge: str = "turned",
        masks: str = "all",
        masked: str = "before",
        fill: str = "lowest",
        polarity: str = "may",
        hides: str = "",
        projection: str = "yes",
        bias: bool = False,
        residual: bool = False,
        floored: bool = False,
        layers: str = "joined",
        product: str = "matmul",
        shift: bool = True,
        memory_in_place: bool = False,
        cut: bool = False,
        dropout: bool = False,
    ) -> None:
        super().__init__()
        if width % num_heads and not floored:
            raise ValueError(f"{num_heads} heads for a width of {width}")
        self.num_heads, self.head = num_heads, width // num_heads
        inner = self.head * num_heads
        self.query = nn.Linear(width, inner, bias=False)
        if layers == "separate":
            self.to_key, self.to_value = nn.Linear(width, inner, bias=False), nn.Linear(width, inner, bias=False)
        else:
            self.key_value = nn.Linear(width, 2 * inner, bias=False)
        self.output = nn.Linear(inner, width, bias=bias)
        self.keys_of, self.values_of, self.queries_of, self.rows = keys_of, values_of, queries_of, rows
        self.scale, self.axis, self.split, self.merge, self.masks = scale, axis, split, merge, masks
        self.masked, self.fill, self.polarity, self.hides, self.projection = masked, fill, polarity, hides, projection
        self.residual, self.layers, self.product, self.shift, self.cut = residual, layers, product, shift, cut
        self.memory_in_place, self.dropped = memory_in_place, dropout

    def heads(self, x: Tensor) -> Tensor:
        batch, length, _ = x.shape
        if self.split == "viewed":
            return x.reshape(batch, self.num_heads, length, self.head)
        if self.split == "strided":
            return x.reshape(batch, length, self.head, self.num_heads).permute(0, 3, 1, 2)
        if self.split == "one":
            return x[:, None]
        return x.reshape(batch, length, self.num_heads, self.head).transpose(1, 2)

    def key_value_of(self, x: Tensor, memory: Tensor) -> tuple[Tensor, Tensor]:
        if self.layers == "separate":
            return self.heads(self.to_key(memory)), self.heads(self.to_value(memory))
        kv = {"x": x, "memory": memory}
        k = self.key_value(kv[self.keys_of]).chunk(2, -1)[0]
        v = self.key_value(kv[self.values_of]).chunk(2, -1)[1]
        if self.rows == "v, k":
            v, k = self.key_value(memory).chunk(2, -1)
        elif self.rows == "strided":
            k, v = self.key_value(memory).unflatten(-1, (-1, 2)).unbind(-1)
        elif self.rows == "by head":
            both = self.key_value(memory).unflatten(-1, (self.num_heads, 2, self.head))
            k, v = both[..., 0, :].flatten(2), both[..., 1, :].flatten(2)
        return self.heads(k), self.heads(v)

    def shaped(self, mask: Tensor) -> Tensor:
        if mask.dim() == 2 and self.masks == "T×S":
            return mask
        if mask.dim() == 3 and self.masks == "H×T×S":
            return mask
        if mask.dim() == 4 and self.masks == "no four":
            return mask[:, None]
        if mask.dim() == 3 and self.masks == "first query":
            return mask[:, None, :1]
        if mask.dim() == 2 and self.masks == "first sentence":
            return mask[:1, None, None]
        if mask.dim() == 2 and self.masks == "queries":
            return mask[:, None, :, None]
        return mask.reshape(len(mask), *{2: (1, 1), 3: (1,), 4: ()}[mask.dim()], *mask.shape[1:])

    def forward(self, x: Tensor, memory: Tensor, memory_mask: Tensor | None = None) -> Tensor:
        if self.memory_in_place:
            memory.sub_(memory.mean(-1, keepdim=True)).add_(memory.mean(-1, keepdim=True))
        if self.cut:
            memory = memory.detach()
        q = self.heads(self.query({"x": x, "memory": memory}[self.queries_of]))
        k, v = self.key_value_of(x, memory)
        width = q.shape[-1]
        by = {"root": width**0.5, "none": 1.0, "whole": x.shape[-1] ** 0.5, "width": width, "times": width**-0.5}
        by |= {"keys": k.shape[-2] ** 0.5, "twice": width, "both": 1.0}
        if self.scale == "both":
            q, k = q * width**-0.25, k * width**-0.25
        scores = torch.einsum("bhtk,bhsk->bhts", q, k) if self.product == "einsum" else q @ k.transpose(-2, -1)
        scores = scores / by[self.scale]
        low = {"lowest": torch.finfo(scores.dtype).min, "infinite": -math.inf, "zero": 0.0, "ten": -10.0, "big": -1e9}
        if "causal" in self.hides:
            keep = torch.ones(scores.shape[-2:], dtype=torch.bool).tril()
            if self.hides == "causal right":
                keep = torch.ones(scores.shape[-2:], dtype=torch.bool).tril(k.shape[-2] - q.shape[-2])
                keep[~keep.any(-1)] = True
            scores = scores.masked_fill(~keep, low["lowest"])
        may = None if memory_mask is None or self.masked == "ignored" else self.shaped(memory_mask)
        if may is not None:
            may = ~may if self.polarity == "hides" else may
            if self.masked == "before" and self.fill == "added":
                scores = scores + torch.zeros(may.shape, dtype=scores.dtype).masked_fill(~may, -1e9)
            elif self.masked == "before":
                scores = scores.masked_fill(~may, low.get(self.fill, -1e4))
        if self.shift:
            weights = scores.softmax(dim=self.axis)
        else:
            weights = scores.exp() / scores.exp().sum(self.axis, keepdim=True)
        if may is not None and self.masked == "after":
            weights = weights * may
        if may is not None and self.masked == "keys":
            k, v = k * may.reshape(len(may), 1, -1, 1), v * may.reshape(len(may), 1, -1, 1)
            weights = (q @ k.transpose(-2, -1) / by[self.scale]).softmax(-1)
        if self.dropped:
            weights = nn.functional.dropout(weights, 0.1)
        mixed = weights @ v
        batch, _, length, _ = mixed.shape
        if self.merge == "turned":
            mixed = mixed.transpose(1, 2).reshape(batch, length, -1)
        elif self.merge == "viewed":
            mixed = mixed.reshape(batch, length, -1)
        elif self.merge == "strided":
            mixed = mixed.permute(0, 2, 3, 1).reshape(batch, length, -1)
        y = self.output(mixed) if self.projection == "yes" else mixed
        return y + x if self.residual else y


class Layer(nn.Module):
    def __init__(self, width: int, num_heads: int, attend: Callable[..., Any], how: dict[str, Any]) -> None:
        super().__init__()
        self.how = how
        self.attention = attend(width, num_heads)
        self.norm1, self.norm3 = nn.LayerNorm(width), nn.LayerNorm(width)
        if how["crossed"]:
            self.norm2, self.cross = nn.LayerNorm(width), attend(width, num_heads)
        self.feed_forward = nn.Sequential(nn.Linear(width, 4 * width), nn.GELU(), nn.Linear(4 * width, width))

    def forward(self, x: Tensor, mask: Any, memory: Any = None, memory_mask: Any = None) -> Tensor:
        post, alone = self.how["norm"] == "post", self.how.get("alone", False)
        inner = x if post else self.norm1(x)
        if not alone:
            x = x + self.attention(inner, inner, mask)
        x = self.norm1(x) if post else x
        if self.how["crossed"]:
            given = {"all": memory, "own": x, "mean": memory.mean(1, keepdim=True)}[self.how["takes"]]
            x = x + self.cross(x if post else self.norm2(x), given, memory_mask)
            x = self.norm2(x) if post else x
        y = x + self.feed_forward(x if post else self.norm3(x))
        return self.norm3(y) if post else y


class EncoderDecoder(nn.Module):
    def __init__(
        self,
        source_vocab: int,
        target_vocab: int,
        width: int,
        num_heads: int,
        num_layers: int,
        context: int,
        *,
        attend: Callable[..., Any] = CrossAttention,
        norm: str = "pre",
        reads: str = "both ways",
        writes: str = "causal",
        takes: str = "all",
        encoder_mask: bool = True,
        decoder_mask: bool = True,
        source_places: str = "learned",
        target_places: str = "learned",
        stacked: str = "own",
        alone: bool = False,
        gives: str = "logits",
        moved: bool = False,
        vocab: str = "own",
        short: bool = False,
        head: str = "own",
        quiet: bool = False,
        target_length: bool = False,
        rests: bool = False,
    ) -> None:
        super().__init__()
        if vocab == "swapped":
            source_vocab, target_vocab = target_vocab, source_vocab
        self.source_embedding = nn.Embedding(source_vocab, width)
        self.target_embedding = nn.Embedding(target_vocab, width)
        rows = context - 1 if short else context
        self.source_places, self.target_places = source_places, target_places
        if source_places == "learned":
            self.source_position = nn.Embedding(rows, width)
        if target_places == "learned":
            self.target_position = nn.Embedding(rows, width)
        waves = torch.arange(rows)[:, None] / 100 ** (torch.arange(width) / width)
        self.waves: Tensor
        self.register_buffer("waves", torch.cat((waves.sin(), waves.cos()), -1)[:, :width], persistent=False)
        encoder_how = {"norm": norm, "crossed": False}
        decoder_how = {"norm": norm, "crossed": True, "takes": takes, "alone": alone}
        encoder = [Layer(width, num_heads, attend, encoder_how) for _ in range(num_layers)]
        decoder = [Layer(width, num_heads, attend, decoder_how) for _ in range(num_layers)]
        if stacked in ("same", "same encoder"):
            encoder = encoder[:1] * num_layers
        if stacked in ("same", "same decoder"):
            decoder = decoder[:1] * num_layers
        self.encoder: Any = encoder if stacked == "list" else nn.ModuleList(encoder)
        self.decoder: Any = decoder if stacked == "list" else nn.ModuleList(decoder)
        self.encoder_norm, self.decoder_norm = nn.LayerNorm(width), nn.LayerNorm(width)
        self.head = nn.Linear(width, target_vocab, bias=False)
        if head == "tied":
            self.head.weight = self.target_embedding.weight
        if quiet:
            for module in self.modules():
                if isinstance(module, CrossAttention):
                    nn.init.zeros_(module.output.weight)
        self.reads, self.writes, self.gives, self.moved = reads, writes, gives, moved
        self.encoder_mask, self.decoder_mask, self.target_length = encoder_mask, decoder_mask, target_length
        self.rests = rests

    def placed(self, x: Tensor, side: str) -> Tensor:
        kind = self.source_places if side == "source" else self.target_places
        if kind == "learned":
            return x + getattr(self, f"{side}_position")(torch.arange(x.shape[1]))
        return x if kind == "none" else x + self.waves[: x.shape[1]]

    def encode(self, source: Tensor, source_mask: Tensor | None = None) -> Tensor:
        x = self.placed(self.source_embedding(source), "source")
        mask = source_mask if self.encoder_mask else None
        batch, length = source.shape
        if self.reads == "causal":
            mask = torch.ones(length, length, dtype=torch.bool).tril().expand(batch, length, length)
            mask = mask if source_mask is None else mask & source_mask[:, None]
        for layer in self.encoder:
            x = layer(x, mask) if self.reads != "alone" else x + layer.feed_forward(layer.norm3(x))
        x = self.encoder_norm(x)
        return x * source_mask[..., None] if self.rests and source_mask is not None else x

    def decode(self, target: Tensor, memory: Tensor, memory_mask: Tensor | None = None) -> Tensor:
        batch, length = target.shape
        shown = nn.functional.pad(target, (1, 0))[:, :-1] if self.moved else target
        x = self.placed(self.target_embedding(shown), "target")
        offset = {"causal": 0, "ahead": 1, "whole": length, "past": -1}[self.writes]
        mask = torch.ones(length, length, dtype=torch.bool).tril(offset)
        mask[0, 0] = True
        memory_mask = memory_mask if self.decoder_mask else None
        if self.target_length:
            memory, memory_mask = memory[:, :length], None if memory_mask is None else memory_mask[:, :length]
        for layer in self.decoder:
            x = layer(x, mask.expand(batch, length, length), memory, memory_mask)
        logits = self.head(self.decoder_norm(x))
        given = {"logits": logits, "shares": logits.softmax(-1), "last": logits[:, -1:], "ids": logits.argmax(-1)}
        return given[self.gives]

    def forward(self, source: Tensor, target: Tensor, source_mask: Tensor | None = None) -> Tensor:
        return self.decode(target, self.encode(source, source_mask), source_mask)


OF_THE_WHOLE = (
    "norm", "reads", "writes", "takes", "encoder_mask", "decoder_mask", "source_places", "target_places", "stacked",
    "alone", "gives", "moved", "vocab", "short", "head", "quiet", "target_length", "rests",
)  # fmt: skip


def make(**switches: Any) -> dict[str, Any]:
    """The names a learner would write."""
    whole = {name: value for name, value in switches.items() if name in OF_THE_WHOLE}
    rest = {name: value for name, value in switches.items() if name not in OF_THE_WHOLE}

    names: dict[str, Any] = {
        "CrossAttention": functools.partial(CrossAttention, **rest),
        "EncoderDecoder": functools.partial(EncoderDecoder, **whole),
    }
    if switches.get("layers") == "separate":
        names["mapping"] = lambda: {"key_value.weight": separate}
    return names
