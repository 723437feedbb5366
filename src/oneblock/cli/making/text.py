"""Text from a decoder, as it is made."""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor, nn

from oneblock.cli.common import say
from oneblock.cli.making.seed import seed_of
from oneblock.config.errors import OneblockError
from oneblock.data.hub_tokenizer import check_vocabulary
from oneblock.data.tokenizer import Tokenizer
from oneblock.decoding.generate import stream
from oneblock.machine.device import pick_device
from oneblock.nn.int8 import to_int8
from oneblock.runs.load import load, load_tokenizer

TOKENS, TEMPERATURE = 300, 0.8


def make(args: argparse.Namespace) -> dict[str, Any]:
    """Print each prompt with what follows it; the texts and the speed."""
    model: Any = in_dtype(load(args.run, args.block), args.dtype).to(pick_device())
    tokenizer = load_tokenizer(args.run)
    check_vocabulary(tokenizer, model.config.vocab_size, args.run)
    prompts = in_conversation(tokenizer, args.prompt) if args.chat else args.prompt or [""]
    rows = [encode(tokenizer, prompt, chat=args.chat) for prompt in prompts]
    tokens, padding = side_by_side(rows)
    seed = seed_of(args)
    columns = stream(
        model,
        tokens,
        args.tokens or TOKENS,
        temperature=TEMPERATURE if args.temperature is None else args.temperature,
        top_k=args.top_k,
        top_p=args.top_p,
        seed=seed,
        padding=padding,
        use_cache=not args.no_cache,
        stop=tokenizer.ends or None,
        compile=args.compile,
    )
    clock = Clock(columns)
    made = Texts(tokenizer, prompts, rows, out=sys.stderr if args.json else sys.stdout)
    try:
        for ids_B in clock:
            made.add(ids_B.tolist())
    except KeyboardInterrupt:
        columns.close()
        say("\nstopped; this is what was made")
    made.finish()
    say(clock.words(seed))
    prompt_tokens = int(tokens.numel() if padding is None else (~padding).sum())
    answers = [text.removeprefix(prompt) for text, prompt in zip(made.texts, prompts, strict=True)]
    return {
        "text": made.texts[0] if len(prompts) == 1 else made.texts,
        **({"answer": answers[0] if len(prompts) == 1 else answers} if args.chat else {}),
        "tokens_per_second": clock.decoded_per_second(len(prompts)),
        "prefill_tokens_per_second": clock.prefilled_per_second(prompt_tokens),
        "tokens": clock.columns * len(prompts),
        "seed": seed,
    }


def in_dtype(model: nn.Module, name: str | None) -> nn.Module:
    """The model as it is stored, or in the type of that name."""
    if name is None:
        return model
    return to_int8(model) if name == "int8" else model.to(getattr(torch, name))


def in_conversation(tokenizer: Tokenizer, prompts: list[str] | None) -> list[str]:
    """Each prompt as a user's words in a conversation, up to where the answer begins."""
    if not prompts:
        raise OneblockError('give a --prompt to answer, e.g. --chat --prompt "What is the capital of France?"')
    return [tokenizer.chat([{"role": "user", "content": prompt}]) for prompt in prompts]


def encode(tokenizer: Tokenizer, prompt: str, *, chat: bool = False) -> list[int]:
    """The prompt's ids; a new line's for an empty one. A conversation has its special tokens already."""
    ids = tokenizer.encode(prompt) if chat else tokenizer.encode_with_specials(prompt)
    if len(ids):
        return [int(token) for token in ids]
    try:
        return [int(token) for token in tokenizer.encode("\n")]
    except OneblockError:
        raise OneblockError(
            "an empty prompt begins with a new line, and this run's tokenizer does not know that character; "
            "give a --prompt with at least one it knows"
        ) from None


def side_by_side(rows: list[list[int]]) -> tuple[Tensor, Tensor | None]:
    """Rows of ids as one tensor B × T with pads on the left, and the padding, or None."""
    longest = max(map(len, rows))
    tokens = torch.tensor([[0] * (longest - len(row)) + row for row in rows])
    padding = torch.tensor([[column < longest - len(row) for column in range(longest)] for row in rows])
    return tokens, padding if padding.any() else None


class Texts:
    """Texts that grow token by token: a single one is printed as it grows, several at the end in turn."""

    def __init__(self, tokenizer: Tokenizer, prompts: list[str], rows: list[list[int]], out: Any) -> None:
        self.texts, self.out, self.ends = list(prompts), out, frozenset(tokenizer.ends)
        self.decoders = [tokenizer.stream(after=row) for row in rows]
        self._print(prompts[0] if len(prompts) == 1 else "")

    def add(self, ids: list[int]) -> None:
        """One more token for each; one that ends a text is no part of it."""
        pairs = zip(self.decoders, ids, strict=True)
        self._grow(["" if token in self.ends else decoder.push(token) for decoder, token in pairs])

    def finish(self) -> None:
        """Print what is left, with a heading for each text where there are several."""
        self._grow([decoder.flush() for decoder in self.decoders])
        if len(self.texts) == 1:
            self._print("\n")
        else:
            for number, text in enumerate(self.texts, start=1):
                self._print(f"--- {number} of {len(self.texts)} ---\n{text}\n")

    def _grow(self, pieces: list[str]) -> None:
        self.texts = [text + piece for text, piece in zip(self.texts, pieces, strict=True)]
        if len(self.texts) == 1:
            self._print(pieces[0])

    def _print(self, text: str) -> None:
        if text:
            self.out.write(text)
            self.out.flush()


class Clock:
    """Passes columns of tokens on and measures how long they took to make, printing and waiting left out.

    The first column's time is the prefill's; the others' is decoding.
    """

    def __init__(self, columns: Iterator[Any]) -> None:
        self._columns, self.columns = columns, 0
        self.prefill_seconds = self.decode_seconds = 0.0

    def __iter__(self) -> Iterator[Any]:
        while True:
            begin = time.perf_counter()
            ids_B = next(self._columns, None)
            if ids_B is None:
                return
            seconds = time.perf_counter() - begin
            if self.columns == 0:
                self.prefill_seconds = seconds
            else:
                self.decode_seconds += seconds
            self.columns += 1
            yield ids_B

    def prefilled_per_second(self, tokens: int) -> float | None:
        """Prompt tokens a second, up to the first new token."""
        return tokens / self.prefill_seconds if self.prefill_seconds else None

    def decoded_per_second(self, rows: int) -> float | None:
        """New tokens a second over all rows, after the first of each; None where there was only that one."""
        return rows * (self.columns - 1) / self.decode_seconds if self.decode_seconds else None

    def words(self, seed: int) -> str:
        """One line for a person."""
        decoded = self.decoded_per_second(1)
        speed = "" if decoded is None else f", {decoded:.0f} a second in each text"
        return f"{self.columns} tokens{speed}, --seed {seed}"
