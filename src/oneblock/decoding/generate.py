"""`oneblock.generate`, and the stream of tokens it is made of."""

from __future__ import annotations

import hashlib
from collections.abc import Generator, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor

from oneblock.decoding.errors import GenerateError
from oneblock.decoding.sampling import Sampling, check_chosen
from oneblock.decoding.step import Fixed, Plain, last_logits
from oneblock.decoding.window import Rows, lengths_of

# Chances are drawn so many at a time, so that asking for more tokens changes none of the first.
DRAWN_AT_ONCE = 64


def generate(
    model: Any,
    tokens: Tensor,
    max_new_tokens: int,
    *,
    temperature: float = 1.0,
    top_k: int | None = None,
    top_p: float | None = None,
    seed: int | None = None,
    padding: Tensor | None = None,
    use_cache: bool = True,
    stop: int | Sequence[int] | None = None,
    prefill_chunk: int | None = None,
    compile: bool = False,
) -> Tensor:
    """The tokens B × T with up to `max_new_tokens` new ones behind each row, B × (T + new).

    Fewer only where every row has made a token of `stop`. The settings are those of `stream`.
    """
    columns = stream(
        model,
        tokens,
        max_new_tokens,
        temperature=temperature,
        top_k=top_k,
        top_p=top_p,
        seed=seed,
        padding=padding,
        use_cache=use_cache,
        stop=stop,
        prefill_chunk=prefill_chunk,
        compile=compile,
        watch=False,
    )
    return torch.cat([tokens, *(ids_B.to(tokens).unsqueeze(1) for ids_B in columns)], dim=1)


def stream(
    model: Any,
    tokens: Tensor,
    max_new_tokens: int,
    *,
    temperature: float = 1.0,
    top_k: int | None = None,
    top_p: float | None = None,
    seed: int | None = None,
    padding: Tensor | None = None,
    use_cache: bool = True,
    stop: int | Sequence[int] | None = None,
    prefill_chunk: int | None = None,
    compile: bool = False,
    watch: bool = True,
) -> Generator[Tensor, None, None]:
    """New ids B for tokens B × T, one column after another, as they are made.

    padding: B × T, True = a pad; rows of different lengths have their pads on the left
    seed: what row b draws depends on (seed, b) alone, so row 0 draws in a batch what it draws on its own
    stop: a row that has made this token, or one of these, is filled with it from there on; the stream ends when
        every row has
    prefill_chunk: the prompt is read so many tokens at a time; compile: the one-token step is compiled
    watch: whoever takes the tokens may change the model between two of them, or put hooks on it; False is the promise
        not to, and spares a compiled step the look, some 0.2 ms for 30 layers
    Beyond the model's context each row goes on from its own shorter tail (`window_start`), cached or not.
    The model is in eval mode until the stream ends. GenerateError for a bad prompt or setting, at the call.
    """
    sampling = Sampling(temperature=temperature, top_k=top_k, top_p=top_p)
    check_shape(tokens)
    lengths = lengths_of(tokens, padding)
    check_ids(tokens if padding is None else tokens.masked_fill(padding, 0), model.config.vocab_size)
    check_count("max_new_tokens", max_new_tokens, 0)
    if seed is not None:
        check_count("seed", seed, 0)
    stops = check_stops(stop, model.config.vocab_size)
    if prefill_chunk is not None:
        check_count("prefill_chunk", prefill_chunk, 1)
    if compile and not use_cache:
        raise GenerateError("compile=True needs use_cache=True: without a cache every step has another shape")
    rows = Rows(tokens.to(model.embedding.weight.device), lengths, max_new_tokens, model.config.context)
    chances = chances_of_rows(new_seed() if seed is None else seed, len(lengths))
    stepper: Plain | None = None
    if use_cache:
        capacity = min(model.config.context, max(lengths) + max_new_tokens)
        stepper = (Fixed if compile else Plain)(model, len(lengths), capacity, prefill_chunk)
    return _run(model, rows, stepper, sampling, chances, max_new_tokens, stops, watch)


def _run(
    model: Any, rows: Rows, stepper: Plain | None, sampling: Sampling, chances: Iterator[Tensor], count: int,
    stops: tuple[int, ...], watch: bool,
) -> Generator[Tensor, None, None]:  # fmt: skip
    stopped_B = torch.zeros(len(rows.lengths), dtype=torch.bool, device=rows.text.device)
    ids_B, moved = stopped_B.long(), True
    stops_S = torch.tensor(stops, device=rows.text.device)
    with in_eval_mode(model):
        for _ in range(count):
            # Not around the loop: the mode would reach the caller between two tokens.
            with torch.inference_mode():
                last_B = ids_B
                chance_B = None if sampling.temperature == 0 else next(chances).to(rows.text.device)
                if stepper is None:
                    ids_B = sampling.choose(last_logits(model, *rows.windows(), None), chance_B)
                elif moved:
                    ids_B = sampling.choose(stepper.start(*rows.windows()), chance_B)
                else:
                    ids_B = stepper.choose(ids_B, sampling, chance_B)
                check_chosen(ids_B)
                if stops:
                    ids_B = torch.where(stopped_B, last_B, ids_B)
                    stopped_B = (ids_B.unsqueeze(1) == stops_S).any(dim=1)
                moved = rows.append(ids_B)
            yield ids_B.clone()
            if watch and stepper is not None:
                stepper.look()
            if stops and bool(stopped_B.all()):
                return


def seed_of_row(seed: int, row: int) -> int:
    """The seed of one row's generator: 63 bits of the SHA-256 of both numbers."""
    return int.from_bytes(hashlib.sha256(f"{seed} {row}".encode()).digest()[:8], "big") >> 1


def chances_of_rows(seed: int, batch: int) -> Iterator[Tensor]:
    """For each step one number in [0, 1) per row, each row from its own generator on the CPU."""
    generators = [torch.Generator().manual_seed(seed_of_row(seed, row)) for row in range(batch)]
    while True:
        drawn = [torch.rand(DRAWN_AT_ONCE, generator=one, dtype=torch.float64) for one in generators]
        yield from torch.stack(drawn, dim=1)


def new_seed() -> int:
    """A seed from torch's generator."""
    return int(torch.randint(2**62, ()))


@contextmanager
def in_eval_mode(model: Any) -> Iterator[None]:
    """The model in eval mode, and every module back in its own after it."""
    training = [module for module in model.modules() if module.training]
    model.eval()
    try:
        yield
    finally:
        for module in training:
            module.training = True


def check_shape(tokens: Tensor) -> None:
    """GenerateError unless tokens are whole numbers B × T, and there are some."""
    if tokens.dim() != 2 or tokens.dtype not in (torch.int64, torch.int32):
        raise GenerateError(
            f"tokens must be whole numbers (int64) of shape B × T, got {tokens.dtype} {tuple(tokens.shape)}; "
            "one text is tokens[None]"
        )
    if tokens.numel() == 0:
        raise GenerateError(f"tokens of shape {tuple(tokens.shape)} are empty; give every row at least one token")


def check_ids(tokens: Tensor, vocab_size: int) -> None:
    """GenerateError for a token the model does not have."""
    low, high = int(tokens.min()), int(tokens.max())
    if low < 0 or high >= vocab_size:
        wrong = low if low < 0 else high
        raise GenerateError(
            f"token {wrong} is not one of the model's, 0…{vocab_size - 1}; "
            "was the text encoded with the tokenizer of another model?"
        )


def check_stops(stop: object, vocab_size: int) -> tuple[int, ...]:
    """The tokens that end a row; GenerateError unless they are the model's."""
    if stop is None:
        return ()
    stops = tuple(stop) if isinstance(stop, Sequence) else (stop,)
    if any(type(one) is not int or not 0 <= one < vocab_size for one in stops):
        raise GenerateError(f"stop={stop!r} must be one of the tokens, 0…{vocab_size - 1}, several of them, or None")
    return stops


def check_count(name: str, value: object, minimum: int) -> None:
    """GenerateError unless it is a whole number of at least `minimum`."""
    if type(value) is not int or value < minimum:
        raise GenerateError(f"{name}={value!r} must be a whole number of at least {minimum}")
