"""The decoder-only model: embedding, blocks, final norm, head."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from oneblock.config.decoder import Decoder as DecoderConfig
from oneblock.nn.block import make_block
from oneblock.nn.branch import Times
from oneblock.nn.cache import Cache
from oneblock.nn.context import Context
from oneblock.nn.dropout import make_dropout
from oneblock.nn.init import initialise
from oneblock.nn.linear import Linear, linear
from oneblock.nn.norm import make_norm
from oneblock.nn.position import stack_position


class Embedding(nn.Embedding):
    """table[token], then what the configuration puts on it: a scale, a norm, dropout."""

    def __init__(self, option: DecoderConfig) -> None:
        super().__init__(option.vocab_size, option.width)
        self.scale = Times(option.width**0.5) if option.embedding_scale else nn.Identity()
        self.norm = make_norm(option.embedding_norm, option.width)
        self.drop = make_dropout(option.embedding_dropout)


class TiedHead(nn.Module):
    """logits = x · tableᵀ + bias: the embedding read backwards (Press and Wolf 2017)."""

    def __init__(self, embedding: Embedding, bias: bool) -> None:
        super().__init__()
        self._embedding = [embedding]  # in a list, so that the table is registered once
        self.bias = nn.Parameter(torch.zeros(embedding.num_embeddings)) if bias else None

    def forward(self, x_BTD: Tensor) -> Tensor:
        return linear(x_BTD, self._embedding[0].weight, self.bias)


class SoftCap(nn.Module):
    """c · tanh(logits / c) (Gemma 2)."""

    def __init__(self, cap: float) -> None:
        super().__init__()
        self.cap = cap

    def forward(self, logits: Tensor) -> Tensor:
        return self.cap * torch.tanh(logits / self.cap)


class Decoder(nn.Module):
    """logits = head(norm(block_L(… block_1(embed(tokens))))), B × T -> B × T × V.

    `config` is kept for those who ask what this is; no forward reads it. `fused=False` writes attention out.
    """

    def __init__(self, config: DecoderConfig, *, fused: bool = True) -> None:
        super().__init__()
        self.config = config
        self.embedding = Embedding(config)
        self.position = stack_position(
            config.position,
            context=config.context,
            width=config.width,
            num_heads=next(iter(config.heads_of_shared_position), 0),
        )
        self.blocks = nn.ModuleList()
        self.slots: list[tuple[int, int]] = []
        for layer in range(config.num_layers):
            option = config.block(layer)
            block = make_block(option, config.width, position=config.position, first_slot=len(self.slots), fused=fused)
            self.blocks.append(block)
            attention = option.attention
            slot = (attention.num_groups, attention.width_of_head(config.width))
            self.slots += [slot] * option.num_attentions
        self.norm = make_norm(config.last_norm, config.width)
        if config.tied:
            self.head: nn.Module = TiedHead(self.embedding, config.head_bias)
        else:
            self.head = Linear(config.width, config.vocab_size, bias=config.head_bias)
        self.cap = SoftCap(config.logit_soft_cap) if config.logit_soft_cap else nn.Identity()
        initialise(self, config.init, tied=config.tied)

    def forward(self, tokens: Tensor, padding: Tensor | None = None, cache: Cache | None = None) -> Tensor:
        """Next-token logits B × T × V for tokens B × T.

        padding: boolean B × T, True = a pad; what stands at pads changes nothing elsewhere, and positions count
        from each row's first real token. cache: `model.cache(…)`; tokens are then what follows what it holds.
        """
        return self.cap(self.head(self.norm(self.stream(tokens, padding, cache))))

    def stream(self, tokens: Tensor, padding: Tensor | None = None, cache: Cache | None = None) -> Tensor:
        """The residual stream after the last block, B × T × D."""
        self._check(tokens, padding)
        ctx = self._context(tokens, padding, cache)
        x_BTD = self.embed(tokens, ctx)
        for block in self.blocks:
            x_BTD = block(x_BTD, ctx)
        if cache is not None:
            cache.advance(tokens.shape[1])
        return x_BTD

    def embed(self, tokens: Tensor, ctx: Context) -> Tensor:
        """What enters the first block: embedding, scaled, with positions, normed."""
        x_BTD = self.embedding.scale(self.embedding(tokens))
        return self.embedding.drop(self.embedding.norm(self.position.embed(x_BTD, ctx)))

    def cache(self, batch: int = 1, capacity: int | None = None) -> Cache:
        """An empty key/value cache for `batch` rows of up to `capacity` positions (the context, if not given)."""
        weight = self.embedding.weight
        return Cache(self.slots, batch, capacity or self.config.context, dtype=weight.dtype, device=weight.device)

    def _check(self, tokens: Tensor, padding: Tensor | None) -> None:
        if tokens.dim() != 2 or tokens.is_floating_point():
            raise ValueError(f"tokens must be whole numbers of shape B × T, got {tokens.dtype} {tuple(tokens.shape)}")
        if padding is not None and (padding.shape != tokens.shape or padding.dtype != torch.bool):
            raise ValueError(
                f"padding must be boolean of the tokens' shape {tuple(tokens.shape)}, "
                f"got {padding.dtype} {tuple(padding.shape)}"
            )

    def _context(self, tokens: Tensor, padding: Tensor | None, cache: Cache | None) -> Context:
        batch, new = tokens.shape
        padding_BS = padding if cache is None else cache.reserve(batch, new, padding)
        return Context(new, tokens.device, position=self.position, padding_BS=padding_BS, cache=cache)
