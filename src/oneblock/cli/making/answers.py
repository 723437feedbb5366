"""Targets for sources, by an encoder-decoder: phonemes for a spelling, or what another library's model was made for."""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

from oneblock.cli.common import say
from oneblock.cli.making.seed import seed_of
from oneblock.cli.making.text import side_by_side
from oneblock.config.errors import OneblockError
from oneblock.data.files import read_bytes
from oneblock.data.hub_tokenizer import HubTokenizer, check_vocabulary
from oneblock.data.symbols import END, START
from oneblock.data.tokenizer import tokenizer_from_dict
from oneblock.decoding.translate import translate
from oneblock.machine.device import pick_device
from oneblock.runs.folder import Run
from oneblock.runs.load import load, load_tokenizer


class Words(NamedTuple):
    """How a model's sources and targets are written, and where targets start and stop."""

    encode: Callable[[str], list[int]]
    decode: Callable[[list[int]], str]
    start: int
    stop: int


def make(args: argparse.Namespace) -> dict[str, Any]:
    """Print each source with its target."""
    if not args.prompt:
        raise OneblockError("give a --prompt: the source, e.g. a word to be pronounced")
    if not all(args.prompt):
        raise OneblockError("an empty --prompt has no target; give a source")
    model: Any = load(args.run).to(pick_device())
    words = _words(Path(args.run), model)
    source_BS, padding_BS = side_by_side([words.encode(prompt) for prompt in args.prompt])
    seed = seed_of(args)
    begin = time.perf_counter()
    made = translate(
        model,
        source_BS,
        start=words.start,
        stop=words.stop,
        max_new_tokens=args.tokens or model.config.context,
        padding=padding_BS,
        beams=args.beams or 1,
        temperature=args.temperature or 0.0,
        top_k=args.top_k,
        top_p=args.top_p,
        seed=seed,
        use_cache=not args.no_cache,
    )
    seconds = time.perf_counter() - begin
    texts = [words.decode(one.tokens) for one in made]
    for prompt, text in zip(args.prompt, texts, strict=True):
        line = f"{prompt} → {text}"
        say(line) if args.json else print(line)
    return {
        "text": texts[0] if len(texts) == 1 else texts,
        "tokens_per_second": sum(len(one.tokens) for one in made) / seconds,
        "prefill_tokens_per_second": None,
        "seed": seed,
    }


def _words(path: Path, model: Any) -> Words:
    """Of a run of ours by its two tokenizers; of another library's model by its one, for both sides."""
    if (path / "source_tokenizer.json").is_file():
        run = Run.open(path)
        source, target = (
            tokenizer_from_dict(run.read_json(name)) for name in ("source_tokenizer.json", "tokenizer.json")
        )
        return Words(lambda text: [int(token) for token in source.encode(text)], target.decode, START, END)
    tokenizer = load_tokenizer(path)
    if not isinstance(tokenizer, HubTokenizer):
        raise OneblockError(f"{path} has no source_tokenizer.json, so its sources cannot be read; train it anew")
    check_vocabulary(tokenizer, model.config.source_vocab, path)
    if not tokenizer.ends:
        raise OneblockError(f"nothing in {path} says which token ends a target; add eos_token_id to its config.json")
    special = {int(token) for name in tokenizer.special.values() for token in tokenizer.encode(name)}
    return Words(
        lambda text: [int(token) for token in tokenizer.encode_with_specials(text)],
        lambda ids: tokenizer.decode(token for token in ids if token not in special).strip(),
        _start(path),
        tokenizer.ends[0],
    )


def _start(path: Path) -> int:
    """The token that a target begins with, as the files that came with the model say."""
    for name in ("generation_config.json", "config.json"):
        fields = json.loads(read_bytes(path / name)) if (path / name).is_file() else {}
        if type(start := fields.get("decoder_start_token_id")) is int:
            return start
    raise OneblockError(
        f"nothing in {path} says which token a target begins with; add decoder_start_token_id to its config.json"
    )
