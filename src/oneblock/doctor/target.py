"""`Target`: a model with the way to call it, so that every check asks all models in the same words."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn

from oneblock.doctor.calling import Calling, all_tensors, cache_of, logits_of, loss_of, row_of, seeded
from oneblock.models.decoder import Decoder
from oneblock.models.dit import DiT
from oneblock.models.encoder_decoder import EncoderDecoder

SOURCE_LENGTH = 7


@dataclass(frozen=True, kw_only=True)
class Target:
    """A model and its calling.

    thing: a module, or an adapter with `logits(ids, …)`. kind: causal, encoder, seq2seq, images, or unknown.
    takes: tokens (below vocab_size), vectors (of `width`) or images (of `shape`). max_len: the longest input tried
    that works. Of a sequence-to-sequence model the input is the target; its source is one fixed text.
    """

    name: str
    thing: Any
    calling: Calling
    kind: str = "unknown"
    takes: str = "tokens"
    vocab_size: int = 0
    source_vocab: int = 0
    width: int = 0
    shape: tuple[int, ...] = ()
    max_len: int = 0
    says_tokens: bool = False
    text: Tensor | None = None

    @property
    def module(self) -> nn.Module:
        """The module that is examined; of an adapter what it has under `module` or `model`, or an empty one."""
        if isinstance(self.thing, nn.Module):
            return self.thing
        held = next((getattr(self.thing, name, None) for name in ("module", "model")), None)
        return held if isinstance(held, nn.Module) else nn.Module()

    @property
    def adapter(self) -> bool:
        """Whether it is an object with `logits(ids, …)` and no module."""
        return not isinstance(self.thing, nn.Module)

    def on(self, thing: Any) -> Target:
        """The same calling on a copy."""
        return replace(self, thing=thing)

    @property
    def dtype(self) -> torch.dtype:
        """Of its first floating parameter."""
        floating = (p.dtype for p in self.module.parameters() if p.is_floating_point())
        return next(floating, torch.float32)

    def sample(self, batch: int, length: int, seed: int) -> Tensor:
        """Random input: tokens B × T, vectors B × T × D, images B × C × H × W (length is not asked)."""
        if self.takes == "images":
            return torch.randn(batch, *self.shape, generator=seeded(seed), dtype=torch.float64).to(self.dtype)
        if self.takes == "vectors":
            size = (batch, length, self.width)
            return torch.randn(*size, generator=seeded(seed), dtype=torch.float64).to(self.dtype)
        return self._no_pads(torch.randint(0, self.vocab_size, (batch, length), generator=seeded(seed)))

    def different(self, x: Tensor, seed: int) -> Tensor:
        """Input with something else at every place."""
        if self.takes != "tokens":
            return x + torch.randn(x.shape, generator=seeded(seed), dtype=torch.float64).to(x.dtype)
        step = torch.randint(1, max(2, self.vocab_size), x.shape, generator=seeded(seed))
        moved = self._no_pads((x + step) % self.vocab_size)
        return torch.where(moved == x, self._no_pads((moved + 1) % self.vocab_size), moved)

    def _no_pads(self, ids: Tensor) -> Tensor:
        """Some count positions over what is not the pad's token, so that it is no token like others."""
        if self.vocab_size < 4:
            return ids
        tables = [m for m in self.module.modules() if isinstance(m, nn.Embedding)]
        said = {m.padding_idx for m in tables if m.num_embeddings == self.vocab_size}
        said.add(getattr(getattr(self.thing, "config", None), "pad_token_id", None))
        for pad in sorted(pad for pad in said if isinstance(pad, int) and 0 <= pad < self.vocab_size):
            ids = torch.where(ids == pad, (ids + 1) % self.vocab_size, ids)
        return ids

    def ask(self, x: Tensor, pads: Tensor | None = None, **more: Any) -> Any:
        """Everything the model gives for one call."""
        x = x.to(self.dtype) if x.is_floating_point() else x
        if self.adapter:
            return self.thing.logits(x, **({"mask": ~pads} if pads is not None else {}), **more)
        if isinstance(self.thing, DiT):
            return self.thing(x, torch.full((x.shape[0],), 0.5 if self.dtype.is_floating_point else 1).to(x.dtype))
        calling, given = self.calling, dict(more)
        places: list[Tensor] = []
        if calling.source:
            source = self.source()
            given[calling.source] = source if source.shape[0] == x.shape[0] else row_of(source, x.shape[0])
        if calling.ids:
            given[calling.ids] = x
        else:
            places.append(x)
        if pads is not None and calling.mask:
            real = ~pads
            given[calling.mask] = real.long() if calling.mask_says_real else pads
        if calling.use_cache:
            # A cache that is kept without being asked for would be met again by whoever calls a block once more.
            given.setdefault("use_cache", False)
        if calling.dummy_targets and calling.labels not in given:
            given[calling.labels] = x
        return self.thing(*places, **given)

    def __call__(self, x: Tensor, pads: Tensor | None = None) -> Tensor:
        """Logits B × T × V (or what stands in their place). pads: boolean B × T, True = a pad."""
        return logits_of(self.ask(x, pads))

    def loss(self, x: Tensor, labels: Tensor) -> Tensor | None:
        """The model's own loss, or None."""
        if self.adapter:
            return self.thing.loss(x, labels) if self.calling.labels else None
        return loss_of(self.ask(x, **{self.calling.labels: labels})) if self.calling.labels else None

    def answers(self, x: Tensor) -> list[Tensor]:
        """All that it answers: for gradients, where no head may be missed."""
        return all_tensors(self.ask(x))

    @property
    def masks(self) -> bool:
        """Whether it takes padding of its input."""
        return self.takes == "tokens" and not self.calling.source and bool(self.calling.mask)

    @property
    def source_mask(self) -> bool:
        """Whether it takes padding of its source."""
        return bool(self.calling.source and self.calling.mask)

    @property
    def caches(self) -> bool:
        """Whether it decodes with a cache."""
        return isinstance(self.thing, Decoder | EncoderDecoder) or bool(self.calling.cache)

    def cached(self, chunks: Sequence[Tensor], pads: Tensor | None = None) -> Tensor:
        """Logits of chunks fed one after another through one cache, joined. pads: of the first chunk."""
        batch, total = chunks[0].shape[0], sum(chunk.shape[1] for chunk in chunks)
        if isinstance(self.thing, Decoder):
            room = self.thing.cache(batch, total)
            return torch.cat([self.thing(c, pads if i == 0 else None, room) for i, c in enumerate(chunks)], dim=1)
        if isinstance(self.thing, EncoderDecoder):
            room, memory = self.thing.cache(batch, total), self.thing.encode(row_of(self.source(), batch))
            return torch.cat([self.thing.decode(c, memory, None, room) for c in chunks], dim=1)
        if self.adapter:
            return self._through_adapter(chunks, pads)
        outs, cache, seen = [], None, pads
        for i, chunk in enumerate(chunks):
            more: dict[str, Any] = {"use_cache": True} if self.calling.use_cache else {}
            if cache is not None:
                more[self.calling.cache] = cache
            if i and seen is not None:
                seen = torch.cat([seen, seen.new_zeros(batch, chunk.shape[1])], dim=1)
            answer = self.ask(chunk, seen, **more)
            cache = cache_of(answer)
            if cache is None:
                raise TypeError("no cache in what the model gave")
            outs.append(logits_of(answer))
        return torch.cat(outs, dim=1)

    def _through_adapter(self, chunks: Sequence[Tensor], pads: Tensor | None) -> Tensor:
        """`logits(ids, cache=…)` gives (logits, cache), or fills the dict that it is given."""
        filled: dict[Any, Any] = {}
        first = self.ask(chunks[0], pads, cache=None)
        cache = cache_of(first)
        if cache is None:
            first, cache = self.ask(chunks[0], pads, cache=filled), filled
            if not filled:
                raise TypeError("no cache in what logits(ids, cache=…) gave: return (logits, cache)")
        outs = [logits_of(first)]
        for chunk in chunks[1:]:
            answer = self.ask(chunk, None, cache=cache)
            given = cache_of(answer)
            cache = cache if given is None else given
            outs.append(logits_of(answer))
        return torch.cat(outs, dim=1)

    def replace_source(self, source: Tensor) -> Target:
        """The same model over another source text, 1 × S."""
        return replace(self, text=source)

    def source(self) -> Tensor:
        """The one source text 1 × S, or one for each row."""
        if self.text is not None:
            return self.text
        return self._no_pads(
            torch.randint(0, self.source_vocab or self.vocab_size, (1, SOURCE_LENGTH), generator=seeded(97))
        )
