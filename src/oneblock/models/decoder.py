"""The decoder-only model: embedding, blocks, final norm, head."""

from __future__ import annotations

from torch import Tensor

from oneblock.config.decoder import Decoder as DecoderConfig
from oneblock.models.embedding import Embedding
from oneblock.models.head import soft_cap, token_head
from oneblock.models.stack import Stack
from oneblock.nn.cache import Cache
from oneblock.nn.init import initialise
from oneblock.nn.record import Record


class Decoder(Stack):
    """logits = head(norm(block_L(… block_1(embed(tokens))))), B × T -> B × T × V.

    `config` is kept for those who ask what this is; no forward reads it. `fused=False` writes attention out.
    """

    def __init__(self, config: DecoderConfig, *, fused: bool = True) -> None:
        embedding = Embedding(config, config.vocab_size, config.width, scaled=config.embedding_scale)
        super().__init__(config, config.width, embedding, fused=fused)
        self.config = config
        self.head = token_head(embedding, tied=config.tied, bias=config.head_bias)
        self.cap = soft_cap(config.logit_soft_cap)
        initialise(self, config.init, tied=config.tied)

    def forward(
        self,
        tokens: Tensor,
        padding: Tensor | None = None,
        cache: Cache | None = None,
        record: Record | None = None,
    ) -> Tensor:
        """Next-token logits B × T × V for tokens B × T.

        padding: boolean B × T, True = a pad; what stands at pads changes nothing elsewhere, and positions count
        from each row's first real token. cache: `model.cache(…)`; tokens are then what follows what it holds.
        record: what layers tell of this pass is put there (auxiliary losses, experts' loads).
        """
        return self.cap(self.head(self.norm(self.stream(tokens, padding, cache, record))))
