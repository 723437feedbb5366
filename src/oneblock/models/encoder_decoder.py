"""The encoder-decoder: one stack reads the source, another writes the target and looks at what the first has made."""

from __future__ import annotations

from torch import Tensor, nn

from oneblock.config.encoder_decoder import EncoderDecoder as EncoderDecoderConfig
from oneblock.models.embedding import Embedding, SharedEmbedding
from oneblock.models.head import soft_cap, token_head
from oneblock.models.stack import Stack, check_tokens
from oneblock.nn.branch import Times
from oneblock.nn.cache import Cache, ContextOverflow
from oneblock.nn.context import Memory
from oneblock.nn.init import initialise
from oneblock.nn.record import Record


class EncoderDecoder(nn.Module):
    """logits = head(decoder(target, memory)), memory = encoder(source) (Vaswani et al. 2017, section 3.1).

    B × S and B × T -> B × T × V. The memory has gone through the encoder's last norm and is not normed again.
    `config` is kept for those who ask what this is; no forward reads it. `fused=False` writes attention out.
    """

    def __init__(self, config: EncoderDecoderConfig, *, fused: bool = True) -> None:
        super().__init__()
        self.config = config
        width, scaled = config.width, config.embedding_scale
        source = Embedding(config.encoder, config.source_vocab, width, scaled=scaled)
        self.encoder = Stack(config.encoder, width, source, causal=False, fused=fused)
        if config.shared_embedding:
            table, target = source, SharedEmbedding(config.decoder, source, scaled=scaled)
            self.decoder = Stack(config.decoder, width, target, fused=fused)
        else:
            table = Embedding(config.decoder, config.target_vocab, width, scaled=scaled)
            self.decoder = Stack(config.decoder, width, table, fused=fused)
        self.head_scale = Times(width**-0.5) if config.head_scale else nn.Identity()
        self.head = token_head(table, tied=config.tied, bias=config.head_bias)
        self.cap = soft_cap(config.logit_soft_cap)
        # Each for itself: how small the last matrices start depends on how many additions one stream has.
        initialise(self.encoder, config.init, tied=config.tied and config.shared_embedding)
        initialise(self.decoder, config.init, tied=config.tied)
        initialise(self.head, config.init, tied=config.tied)

    def forward(
        self, source: Tensor, target: Tensor, padding: Tensor | None = None, record: Record | None = None
    ) -> Tensor:
        """Logits B × T × V for what follows each target token, given source B × S and target B × T.

        The target begins with a start token and is read as if it were right (teacher forcing). padding: the
        source's, boolean B × S, True = a pad; what stands there changes nothing. Targets of different lengths are
        padded on the right, where nothing before sees it. ContextOverflow for a text longer than its context.
        """
        return self.decode(target, self.encode(source, padding, record), padding, record=record)

    def encode(self, source: Tensor, padding: Tensor | None = None, record: Record | None = None) -> Tensor:
        """The memory B × S × D of sources B × S; 0 at pads."""
        check_tokens(source, padding, "sources")
        _check_length("source", source.shape[1], self.encoder.context)
        memory_BSD = self.encoder.norm(self.encoder.stream(source, padding, record=record))
        return memory_BSD if padding is None else memory_BSD.masked_fill(padding.unsqueeze(-1), 0)

    def decode(
        self,
        target: Tensor,
        memory: Tensor,
        padding: Tensor | None = None,
        cache: Cache | None = None,
        record: Record | None = None,
    ) -> Tensor:
        """Logits B × T × V for targets B × T, given a memory B × S × D and its padding B × S.

        cache: `model.cache(…)`; the target is then what follows what it holds, and the memory the same each time.
        """
        check_tokens(target, None, "targets")
        _check_memory(target, memory, padding)
        _check_length("target", target.shape[1] + (cache.length if cache else 0), self.decoder.context)
        x_BTD = self.decoder.stream(target, None, cache, record, Memory(memory, padding))
        return self.cap(self.head(self.head_scale(self.decoder.norm(x_BTD))))

    def cache(self, batch: int = 1, capacity: int | None = None) -> Cache:
        """An empty cache for `batch` targets of up to `capacity` tokens (the context) and one memory."""
        return self.decoder.cache(batch, capacity)


def _check_length(name: str, length: int, context: int) -> None:
    if length > context:
        raise ContextOverflow(
            f"the {name} has {length} tokens and {'encoder' if name == 'source' else 'decoder'}.context={context}; "
            "give a shorter one, or build the model with a longer context"
        )


def _check_memory(target: Tensor, memory: Tensor, padding: Tensor | None) -> None:
    if memory.dim() != 3 or memory.shape[0] != target.shape[0]:
        raise ValueError(
            f"the memory must be of shape B × S × D for {target.shape[0]} targets, got {tuple(memory.shape)}"
        )
    if padding is not None and padding.shape != memory.shape[:2]:
        raise ValueError(
            f"padding is the source's and must have its shape {tuple(memory.shape[:2])}, got {tuple(padding.shape)}"
        )
