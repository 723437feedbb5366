"""Missing letters, or words, told by an encoder from both sides."""

from __future__ import annotations

import argparse
import time
from typing import Any

import torch

from oneblock.cli.common import say
from oneblock.config.errors import OneblockError
from oneblock.data.hub_tokenizer import HubTokenizer, check_vocabulary
from oneblock.machine.device import pick_device
from oneblock.runs.load import load, load_tokenizer

GAP = "_"


@torch.inference_mode()
def make(args: argparse.Namespace) -> dict[str, Any]:
    """Print each prompt with its gaps filled."""
    if not args.prompt:
        raise OneblockError(
            f'give a --prompt with {GAP} for each missing letter, e.g. --prompt "To b{GAP}, or n{GAP}t to be"'
        )
    model: Any = load(args.run).to(pick_device())
    tokenizer = load_tokenizer(args.run)
    if isinstance(tokenizer, HubTokenizer):
        check_vocabulary(tokenizer, model.config.vocab_size, args.run)
        return _answer(args, *_words(model, tokenizer, args.prompt))
    if tokenizer.to_dict().get("kind") == "bpe":
        raise OneblockError("gaps are letters, and this model's tokens are pieces of words; train it on chars")
    context, mask = model.config.context, tokenizer.vocab_size
    texts, seconds = [], 0.0
    for prompt in args.prompt:
        if GAP not in prompt:
            raise OneblockError(f"{prompt!r} has no gap; write {GAP} for each missing letter")
        ids = [
            token
            for number, piece in enumerate(prompt.split(GAP))
            for token in (*([mask] if number else []), *(tokenizer.encode(piece).tolist() if piece else ()))
        ]
        if len(ids) > context:
            raise OneblockError(f"{len(ids)} letters are more than this model sees at once; give at most {context}")
        begin = time.perf_counter()
        logits_TV = model(torch.tensor([ids], device=model.embedding.weight.device))[0, :, :mask]
        told = logits_TV.argmax(-1).tolist()
        seconds += time.perf_counter() - begin
        texts.append(
            "".join(tokenizer.decode([best if token == mask else token]) for token, best in zip(ids, told, strict=True))
        )
    return _answer(args, texts, sum(map(len, texts)) / seconds)


def _words(model: Any, tokenizer: HubTokenizer, prompts: list[str]) -> tuple[list[str], float]:
    """Each prompt with the likeliest token for every mask it has; and the tokens a second."""
    mask = tokenizer.special.get("mask_token")
    if mask is None:
        raise OneblockError("this model's tokenizer has no mask_token, so a gap cannot be said to it")
    number = tokenizer.encode(mask).tolist()[0]
    texts, tokens, seconds = [], 0, 0.0
    for prompt in prompts:
        ids = tokenizer.encode_with_specials(prompt).tolist()
        if number not in ids:
            raise OneblockError(f"{prompt!r} has no gap; write {mask} for each missing word")
        if len(ids) > model.config.context:
            raise OneblockError(f"{len(ids)} tokens are more than this model's {model.config.context}; give fewer")
        begin = time.perf_counter()
        logits_TV = model(torch.tensor([ids], device=model.embedding.weight.device))[0]
        told = logits_TV.argmax(-1).tolist()
        seconds, tokens = seconds + time.perf_counter() - begin, tokens + len(ids)
        for token, best in zip(ids, told, strict=True):
            if token == number:
                prompt = prompt.replace(mask, tokenizer.decode([best]).strip(), 1)
        texts.append(prompt)
    return texts, tokens / seconds


def _answer(args: argparse.Namespace, texts: list[str], per_second: float) -> dict[str, Any]:
    for text in texts:
        say(text) if args.json else print(text)
    return {
        "text": texts[0] if len(texts) == 1 else texts,
        "tokens_per_second": per_second,
        "prefill_tokens_per_second": None,
    }
