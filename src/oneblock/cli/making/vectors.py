"""Vectors of texts, from an encoder without a head, and how alike the texts are by them."""

from __future__ import annotations

import argparse
import time
from typing import Any

import torch
import torch.nn.functional as F

from oneblock.cli.common import say
from oneblock.cli.making.text import side_by_side
from oneblock.config.errors import OneblockError
from oneblock.data.hub_tokenizer import check_vocabulary
from oneblock.machine.device import pick_device
from oneblock.runs.load import load, load_tokenizer


@torch.inference_mode()
def make(args: argparse.Namespace) -> dict[str, Any]:
    """Print the cosine of every two prompts; the vectors too go out as JSON."""
    if not args.prompt:
        raise OneblockError(
            "this model makes a vector of a text; give two texts or more to compare, "
            'e.g. --prompt "A man is eating food." --prompt "Someone eats."'
        )
    model: Any = load(args.run).to(pick_device())
    tokenizer = load_tokenizer(args.run)
    check_vocabulary(tokenizer, model.config.vocab_size, args.run)
    rows = [tokenizer.encode_with_specials(prompt).tolist() for prompt in args.prompt]
    for prompt, row in zip(args.prompt, rows, strict=True):
        if not row:
            raise OneblockError("an empty prompt has no vector; give a text")
        if len(row) > model.config.context:
            said = prompt if len(prompt) < 40 else f"{prompt[:40]}…"
            raise OneblockError(f"{said!r} has {len(row)} tokens; this model sees {model.config.context} at most")
    tokens, padding = side_by_side(rows)
    device = model.embedding.weight.device
    begin = time.perf_counter()
    vectors_BD = model.vectors(tokens.to(device), None if padding is None else padding.to(device)).double().cpu()
    seconds = time.perf_counter() - begin
    unit_BD = F.normalize(vectors_BD, dim=-1)
    cosines = (unit_BD @ unit_BD.T).clamp(-1, 1).tolist()
    out = say if args.json else print
    for line in table(args.prompt, cosines) if len(rows) > 1 else [_shortened(vectors_BD[0].tolist())]:
        out(line)
    return {
        "text": None,
        "tokens_per_second": sum(map(len, rows)) / seconds,
        "prefill_tokens_per_second": None,
        "similarities": cosines,
        "vectors": vectors_BD.tolist(),
    }


def table(prompts: list[str], cosines: list[list[float]]) -> list[str]:
    """The texts, numbered, then the cosine of each with each."""
    numbers = range(1, len(prompts) + 1)
    head = "   " + "".join(f"{number:>8}" for number in numbers)
    lines = [
        f"{number:>3}" + "".join(f"{cosine:8.3f}" for cosine in row)
        for number, row in zip(numbers, cosines, strict=True)
    ]
    return [*(f"{number:>3}  {prompt}" for number, prompt in zip(numbers, prompts, strict=True)), "", head, *lines]


def _shortened(vector: list[float], most: int = 8) -> str:
    """A vector's first numbers and its length, for a person."""
    more = f", … ({len(vector)} numbers; --json gives all)" if len(vector) > most else ""
    return ", ".join(f"{number:.4f}" for number in vector[:most]) + more
