"""A stack of blocks: what decoders, encoders and both halves of an encoder-decoder share."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from oneblock.config.images import Images
from oneblock.config.position import Position
from oneblock.config.stack import Stack as StackConfig
from oneblock.models.embedding import Embedding, SharedEmbedding
from oneblock.nn.block import make_block
from oneblock.nn.cache import Cache
from oneblock.nn.context import Context, Memory
from oneblock.nn.norm import make_norm
from oneblock.nn.position import stack_position
from oneblock.nn.record import Record


class Stack(nn.Module):
    """block_L(… block_1(embed(tokens))), B × T -> B × T × D, and the norm that comes after.

    causal: no token sees a later one. `fused=False` writes attention out.
    """

    def __init__(
        self,
        option: StackConfig,
        width: int,
        embedding: Embedding | SharedEmbedding,
        *,
        causal: bool = True,
        fused: bool = True,
    ) -> None:
        super().__init__()
        self.context, self.causal = option.context, causal
        self.embedding = embedding
        self.position = stack_position(
            option.position,
            context=option.context,
            width=width,
            num_heads=next(iter(option.heads_of_shared_position), 0),
        )
        self.blocks = make_blocks(option, width, position=option.position, fused=fused)
        self.slots = [
            (block.attention.num_groups, block.attention.width_of_head(width))
            for block in map(option.block, range(option.num_layers))
            for _ in range(block.num_attentions)
        ]
        self.norm = make_norm(option.last_norm, width)

    def stream(
        self,
        tokens: Tensor,
        padding: Tensor | None = None,
        cache: Cache | None = None,
        record: Record | None = None,
        memory: Memory | None = None,
        segments: Tensor | None = None,
    ) -> Tensor:
        """The residual stream after the last block, B × T × D."""
        check_tokens(tokens, padding)
        ctx = self._context(tokens, padding, cache, record, memory)
        x_BTD = self.embed(tokens, ctx, segments)
        for block in self.blocks:
            x_BTD = block(x_BTD, ctx)
        if cache is not None:
            cache.advance(tokens.shape[1])
        return x_BTD

    def embed(self, tokens: Tensor, ctx: Context, segments: Tensor | None = None) -> Tensor:
        """What enters the first block: embedding, scaled, with segments and positions, normed."""
        x_BTD = self.embedding.segments(self.embedding.scale(self.embedding(tokens)), segments)
        return self.embedding.drop(self.embedding.norm(self.position.embed(x_BTD, ctx)))

    def cache(self, batch: int = 1, capacity: int | None = None) -> Cache:
        """An empty key/value cache for `batch` rows of up to `capacity` positions (the context, if not given)."""
        weight = self.embedding.weight
        return Cache(self.slots, batch, capacity or self.context, dtype=weight.dtype, device=weight.device)

    def _context(
        self,
        tokens: Tensor,
        padding: Tensor | None,
        cache: Cache | None,
        record: Record | None = None,
        memory: Memory | None = None,
    ) -> Context:
        batch, new = tokens.shape
        padding_BS = padding if cache is None else cache.reserve(batch, new, padding)
        return Context(
            new,
            tokens.device,
            position=self.position,
            padding_BS=padding_BS,
            cache=cache,
            causal=self.causal,
            memory=memory,
            record=record,
        )


def make_blocks(option: StackConfig | Images, width: int, *, position: Position, fused: bool) -> nn.ModuleList:
    """A block for each layer, with places in a cache of its own. `position`: the scheme that their attentions share."""
    blocks, slots, memories = nn.ModuleList(), 0, 0
    for block in map(option.block, range(option.num_layers)):
        blocks.append(make_block(block, width, position=position, first_slot=slots, first_memory=memories, fused=fused))
        slots, memories = slots + block.num_attentions, memories + block.count("cross_attention")
    return blocks


def check_tokens(tokens: Tensor, padding: Tensor | None, name: str = "tokens") -> None:
    """ValueError where tokens or their padding are of the wrong kind or shape; `name` is what they are called."""
    if tokens.dim() != 2 or tokens.is_floating_point():
        raise ValueError(f"{name} must be whole numbers of shape B × T, got {tokens.dtype} {tuple(tokens.shape)}")
    if padding is not None and (padding.shape != tokens.shape or padding.dtype != torch.bool):
        raise ValueError(
            f"padding must be boolean of the {name}' shape {tuple(tokens.shape)}, "
            f"got {padding.dtype} {tuple(padding.shape)}"
        )
