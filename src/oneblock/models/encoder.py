"""The encoder-only model: the same stack without a causal mask, a head or none, and one vector for a text."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from oneblock.config.encoder import Encoder as EncoderConfig
from oneblock.config.encoder import FirstPool, MeanPool, Pool
from oneblock.models.embedding import Embedding
from oneblock.models.head import encoder_head
from oneblock.models.stack import Stack
from oneblock.nn.init import initialise
from oneblock.nn.record import Record


class Encoder(Stack):
    """head(norm(block_L(… block_1(embed(tokens))))), B × T -> B × T × V, or B × T × D where there is no head.

    Every token sees every other (Devlin et al. 2019). `config` is kept for those who ask what this is; no forward
    reads it. `fused=False` writes attention out.
    """

    def __init__(self, config: EncoderConfig, *, fused: bool = True) -> None:
        embedding = Embedding(
            config, config.vocab_size, config.width, scaled=config.embedding_scale, num_segments=config.num_segments
        )
        super().__init__(config, config.width, embedding, causal=False, fused=fused)
        self.config = config
        self.head = encoder_head(config.head, embedding)
        self.pool = make_pool(config.pool)
        initialise(self, config.init, tied=config.tied)

    def forward(
        self,
        tokens: Tensor,
        padding: Tensor | None = None,
        record: Record | None = None,
        segments: Tensor | None = None,
    ) -> Tensor:
        """Logits B × T × V for tokens B × T, or vectors B × T × D where there is no head.

        padding: boolean B × T, True = a pad; what stands at pads changes nothing elsewhere, and positions count
        from each row's first real token. record: what layers tell of this pass is put there. segments: the kind of
        each token, B × T, where the model has kinds; not given, all are of the first (BERT's token_type_ids).
        """
        return self.head(self.norm(self.stream(tokens, padding, record=record, segments=segments)))

    def vectors(self, tokens: Tensor, padding: Tensor | None = None, segments: Tensor | None = None) -> Tensor:
        """One vector for each text, B × D: the stream after the last norm, pooled over the real tokens.

        NaN nowhere: a row of pads alone gives the zero vector.
        """
        x_BTD = self.norm(self.stream(tokens, padding, segments=segments))
        real_BT = torch.ones_like(tokens, dtype=torch.bool) if padding is None else ~padding
        return self.pool(x_BTD, real_BT)


class Mean(nn.Module):
    """Σ real · x / Σ real (Reimers and Gurevych 2019). People get wrong: dividing by T, pads included."""

    def forward(self, x_BTD: Tensor, real_BT: Tensor) -> Tensor:
        kept_BTD = x_BTD.masked_fill(~real_BT.unsqueeze(-1), 0)
        return kept_BTD.sum(dim=1) / real_BT.sum(dim=1, keepdim=True).clamp(min=1)


class First(nn.Module):
    """The vector of the first real token."""

    def forward(self, x_BTD: Tensor, real_BT: Tensor) -> Tensor:
        first_BT1 = (real_BT & (real_BT.cumsum(dim=1) == 1)).unsqueeze(-1)
        return x_BTD.masked_fill(~first_BT1, 0).sum(dim=1)


class Normalised(nn.Module):
    """x / ‖x‖, so that a dot product is the cosine."""

    def __init__(self, pool: nn.Module) -> None:
        super().__init__()
        self.pool = pool

    def forward(self, x_BTD: Tensor, real_BT: Tensor) -> Tensor:
        return F.normalize(self.pool(x_BTD, real_BT), dim=-1)


POOLS: dict[type, type[nn.Module]] = {MeanPool: Mean, FirstPool: First}


def make_pool(option: Pool) -> nn.Module:
    """The pool an option asks for."""
    pool = POOLS[type(option)]()
    return Normalised(pool) if option.normalise else pool
