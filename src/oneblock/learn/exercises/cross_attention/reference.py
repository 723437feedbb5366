"""Cross-attention and an encoder-decoder, right: queries from one sequence, keys and values from the other."""

import math

import torch
from torch import Tensor, nn


class CrossAttention(nn.Module):
    def __init__(self, width: int, num_heads: int) -> None:
        super().__init__()
        if width % num_heads:
            raise ValueError(f"width {width} is not a multiple of num_heads {num_heads}")
        self.num_heads = num_heads
        self.query = nn.Linear(width, width, bias=False)
        self.key_value = nn.Linear(width, 2 * width, bias=False)
        self.output = nn.Linear(width, width, bias=False)

    def heads(self, x: Tensor) -> Tensor:
        return x.unflatten(-1, (self.num_heads, -1)).transpose(1, 2)

    def forward(self, x: Tensor, memory: Tensor, memory_mask: Tensor | None = None) -> Tensor:
        k, v = self.key_value(memory).chunk(2, dim=-1)
        q, k, v = self.heads(self.query(x)), self.heads(k), self.heads(v)
        scores = q @ k.transpose(-2, -1) / math.sqrt(q.shape[-1])
        if memory_mask is not None:
            # B×S and B×T×S get the axes that are missing for heads and queries; B×1×1×S has them.
            axes = {2: (1, 1), 3: (1,), 4: ()}[memory_mask.dim()]
            mask = memory_mask.reshape(memory_mask.shape[0], *axes, *memory_mask.shape[1:])
            scores = scores.masked_fill(~mask, torch.finfo(scores.dtype).min)
        mixed = scores.softmax(dim=-1) @ v
        return self.output(mixed.transpose(1, 2).flatten(2))


class Layer(nn.Module):
    """Attention within a sequence, attention to a memory where there is one, feed-forward."""

    def __init__(self, width: int, num_heads: int, crossed: bool) -> None:
        super().__init__()
        self.norm1, self.attention = nn.LayerNorm(width), CrossAttention(width, num_heads)
        if crossed:
            self.norm2, self.cross = nn.LayerNorm(width), CrossAttention(width, num_heads)
        self.norm3 = nn.LayerNorm(width)
        self.feed_forward = nn.Sequential(nn.Linear(width, 4 * width), nn.GELU(), nn.Linear(4 * width, width))

    def forward(
        self, x: Tensor, mask: Tensor | None, memory: Tensor | None = None, memory_mask: Tensor | None = None
    ) -> Tensor:
        normed = self.norm1(x)
        x = x + self.attention(normed, normed, mask)
        if memory is not None:
            x = x + self.cross(self.norm2(x), memory, memory_mask)
        return x + self.feed_forward(self.norm3(x))


class EncoderDecoder(nn.Module):
    def __init__(
        self, source_vocab: int, target_vocab: int, width: int, num_heads: int, num_layers: int, context: int
    ) -> None:
        super().__init__()
        self.source_embedding, self.source_position = nn.Embedding(source_vocab, width), nn.Embedding(context, width)
        self.target_embedding, self.target_position = nn.Embedding(target_vocab, width), nn.Embedding(context, width)
        self.encoder = nn.ModuleList(Layer(width, num_heads, crossed=False) for _ in range(num_layers))
        self.decoder = nn.ModuleList(Layer(width, num_heads, crossed=True) for _ in range(num_layers))
        self.encoder_norm, self.decoder_norm = nn.LayerNorm(width), nn.LayerNorm(width)
        self.head = nn.Linear(width, target_vocab, bias=False)

    def encode(self, source: Tensor, source_mask: Tensor | None = None) -> Tensor:
        x = self.source_embedding(source) + self.source_position(torch.arange(source.shape[1]))
        for layer in self.encoder:
            x = layer(x, source_mask)
        return self.encoder_norm(x)

    def decode(self, target: Tensor, memory: Tensor, memory_mask: Tensor | None = None) -> Tensor:
        batch, length = target.shape
        x = self.target_embedding(target) + self.target_position(torch.arange(length))
        causal = torch.ones(length, length, dtype=torch.bool).tril().expand(batch, length, length)
        for layer in self.decoder:
            x = layer(x, causal, memory, memory_mask)
        return self.head(self.decoder_norm(x))

    def forward(self, source: Tensor, target: Tensor, source_mask: Tensor | None = None) -> Tensor:
        return self.decode(target, self.encode(source, source_mask), source_mask)
