"""Targets for sources, by an encoder-decoder: phonemes for a spelling."""

from __future__ import annotations

import argparse
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch

from oneblock.cli.common import say
from oneblock.cli.making.seed import seed_of
from oneblock.config.errors import OneblockError
from oneblock.data.pair_batches import pad_rows
from oneblock.data.symbols import END, PAD, START
from oneblock.data.tokenizer import tokenizer_from_dict
from oneblock.decoding.translate import translate
from oneblock.machine.device import pick_device
from oneblock.runs.folder import Run
from oneblock.runs.load import load


def make(args: argparse.Namespace) -> dict[str, Any]:
    """Print each source with its target."""
    if not args.prompt:
        raise OneblockError("give a --prompt: the source, e.g. a word to be pronounced")
    run = Run.open(Path(args.run))
    source_tokenizer, target_tokenizer = (
        tokenizer_from_dict(run.read_json(name)) for name in ("source_tokenizer.json", "tokenizer.json")
    )
    if not all(args.prompt):
        raise OneblockError("an empty --prompt has no target; give a source")
    model: Any = load(run.path).to(pick_device())
    rows, _ = pad_rows([source_tokenizer.encode(prompt) for prompt in args.prompt])
    source_BS = torch.from_numpy(rows.astype(np.int64)).to(next(model.parameters()).device)
    seed = seed_of(args)
    begin = time.perf_counter()
    made = translate(
        model,
        source_BS,
        start=START,
        stop=END,
        max_new_tokens=args.tokens or model.config.context,
        padding=source_BS == PAD,
        beams=args.beams or 1,
        temperature=args.temperature or 0.0,
        top_k=args.top_k,
        top_p=args.top_p,
        seed=seed,
        use_cache=not args.no_cache,
    )
    seconds = time.perf_counter() - begin
    texts = [target_tokenizer.decode(one.tokens) for one in made]
    for prompt, text in zip(args.prompt, texts, strict=True):
        words = f"{prompt} → {text}"
        say(words) if args.json else print(words)
    return {
        "text": texts[0] if len(texts) == 1 else texts,
        "tokens_per_second": sum(len(one.tokens) for one in made) / seconds,
        "prefill_tokens_per_second": None,
        "seed": seed,
    }
