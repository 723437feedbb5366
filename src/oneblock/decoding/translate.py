"""`translate`: targets for sources, by an encoder-decoder; greedily, by beam search, or drawn."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from oneblock.decoding.beam import Beams, Hypothesis, hypothesis
from oneblock.decoding.errors import GenerateError
from oneblock.decoding.generate import chances_of_rows, check_count, check_ids, check_shape, in_eval_mode, new_seed
from oneblock.decoding.sampling import Sampling, check_chosen


def translate(
    model: Any,
    source: Tensor,
    *,
    start: int,
    stop: int,
    max_new_tokens: int,
    beams: int = 1,
    length_penalty: float = 0.6,
    temperature: float = 0.0,
    top_k: int | None = None,
    top_p: float | None = None,
    seed: int | None = None,
    padding: Tensor | None = None,
    use_cache: bool = True,
) -> list[Hypothesis]:
    """For each source of B × S the target's tokens, without start and end, with their score.

    beams: how many hypotheses are kept beside one another; 1: greedy, or drawn where temperature is above 0
    length_penalty: α of `length_divisor`: scores are log-probabilities, divided by ((5 + length) / 6)^α
    seed: what row b draws depends on (seed, b) alone; padding: the source's, B × S, True = a pad
    A target ends at the token `stop`, or unfinished after `max_new_tokens`. The source is read once, and its keys
    and values are projected once. GenerateError for a bad source or setting.
    """
    sampling = Sampling(temperature=temperature, top_k=top_k, top_p=top_p)
    _check_source(model, source, padding)
    _check_settings(model, start, stop, max_new_tokens, beams, length_penalty)
    if beams > 1 and temperature > 0:
        raise GenerateError(f"beams={beams} search for the best and temperature={temperature} draws; give one of them")
    if seed is not None:
        check_count("seed", seed, 0)
    device = model.decoder.embedding.weight.device
    source = source.to(device)
    padding = None if padding is None else padding.to(device)
    with in_eval_mode(model), torch.inference_mode():
        writer = Writer(model, source, padding, beams, max_new_tokens, use_cache)
        if beams > 1 or temperature == 0:
            return _search(writer, len(source), beams, start, stop, max_new_tokens, length_penalty)
        drawn = new_seed() if seed is None else seed
        return _draw(writer, len(source), sampling, drawn, start, stop, max_new_tokens, length_penalty)


class Writer:
    """What follows targets, given their sources, which are read once; each source's row stands `copies` times."""

    def __init__(
        self, model: Any, source: Tensor, padding: Tensor | None, copies: int, capacity: int, use_cache: bool
    ) -> None:
        self.model = model
        self.memory = model.encode(source, padding).repeat_interleave(copies, dim=0)
        self.padding = None if padding is None else padding.repeat_interleave(copies, dim=0)
        self.cache = model.cache(len(self.memory), capacity) if use_cache else None

    def next(self, targets_NT: Tensor) -> Tensor:
        """The logits behind each target, N × V; with a cache only the last tokens are read."""
        new = targets_NT if self.cache is None else targets_NT[:, -1:]
        logits_NV: Tensor = self.model.decode(new, self.memory, self.padding, self.cache)[:, -1]
        check_chosen(torch.where(logits_NV.amax(dim=-1).isfinite(), 0, -1))
        return logits_NV

    def reorder(self, rows: Tensor) -> None:
        """Targets go on from these rows' targets, of the same sources."""
        if self.cache is not None:
            self.cache.reorder(rows)


def _search(
    writer: Writer, batch: int, beams: int, start: int, stop: int, longest: int, penalty: float
) -> list[Hypothesis]:
    search = Beams(batch, beams, start=start, stop=stop, longest=longest, penalty=penalty, device=writer.memory.device)
    while search.searching:
        rows = search.extend(writer.next(search.tokens))
        if beams > 1:
            writer.reorder(rows)
    return search.results()


def _draw(
    writer: Writer, batch: int, sampling: Sampling, seed: int, start: int, stop: int, longest: int, penalty: float
) -> list[Hypothesis]:
    device = writer.memory.device
    targets_BT = torch.full((batch, 1), start, dtype=torch.long, device=device)
    log_B = torch.zeros(batch, dtype=torch.float64, device=device)
    ended_B = torch.zeros(batch, dtype=torch.bool, device=device)
    chances = chances_of_rows(seed, batch)
    for _ in range(longest):
        logits_BV = writer.next(targets_BT)
        ids_B = sampling.choose(logits_BV, next(chances).to(device)).masked_fill(ended_B, stop)
        chosen_B = logits_BV.double().log_softmax(dim=-1).gather(1, ids_B.unsqueeze(1)).squeeze(1)
        log_B = log_B + chosen_B.masked_fill(ended_B, 0)
        targets_BT = torch.cat([targets_BT, ids_B.unsqueeze(1)], dim=1)
        ended_B = ended_B | (ids_B == stop)
        if bool(ended_B.all()):
            break
    return [
        hypothesis(written, log_probability, stop=stop, penalty=penalty)
        for written, log_probability in zip(targets_BT[:, 1:].tolist(), log_B.tolist(), strict=True)
    ]


def _check_source(model: Any, source: Tensor, padding: Tensor | None) -> None:
    if not hasattr(model, "encode"):
        raise GenerateError(f"translate needs an encoder-decoder, and this is a {type(model).__name__}; see generate")
    check_shape(source)
    if padding is not None:
        if padding.shape != source.shape or padding.dtype != torch.bool:
            raise GenerateError(
                f"padding must be boolean of the source's shape {tuple(source.shape)}, True = a pad; "
                f"got {padding.dtype} {tuple(padding.shape)}"
            )
        if empty := padding.all(dim=1).nonzero().flatten().tolist():
            raise GenerateError(f"row {empty[0]} of the source is all pads; give every row at least one token")
        source = source.masked_fill(padding, 0)
    check_ids(source, model.config.source_vocab)
    longest = model.config.encoder.context
    if source.shape[1] > longest:
        raise GenerateError(
            f"the source has {source.shape[1]} tokens and encoder.context={longest}; "
            "give a shorter one, or train with a longer context"
        )


def _check_settings(model: Any, start: int, stop: int, max_new_tokens: int, beams: int, length_penalty: float) -> None:
    vocab, longest = model.config.target_vocab, model.config.decoder.context
    for name, token in (("start", start), ("stop", stop)):
        if type(token) is not int or not 0 <= token < vocab:
            raise GenerateError(f"{name}={token!r} must be one of the target's tokens, 0…{vocab - 1}")
    check_count("max_new_tokens", max_new_tokens, 1)
    if max_new_tokens > longest:
        raise GenerateError(f"max_new_tokens={max_new_tokens} is more than decoder.context={longest}; ask for fewer")
    check_count("beams", beams, 1)
    if isinstance(length_penalty, bool) or not isinstance(length_penalty, int | float) or not length_penalty >= 0:
        raise GenerateError(f"length_penalty={length_penalty!r} must be a number of at least 0; 0.6 is usual")
