"""A text made ready to train on: split, then tokenised, in memory or memory-mapped."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from math import ceil
from pathlib import Path

from oneblock.data.errors import DataError
from oneblock.data.files import Source, Text, cache_folder
from oneblock.data.store import (
    Bounds,
    Tokens,
    load_tokenizer,
    load_tokens,
    store_tokenizer,
    store_tokens,
    token_type,
)
from oneblock.data.text import locate
from oneblock.data.tokenizer import Tokenizer, parse_spec, train_tokenizer

MEMORY_MAP_ABOVE = 64 << 20
LAYOUT = 1


@dataclass(frozen=True, kw_only=True, eq=False)
class Corpus:
    """Three 1-D arrays of token ids (uint8, uint16 or uint32, read-only), in the order of the text.

    `selection` is the held-out end of the training split, on which recipes and the kept step are
    chosen; `validation` is the end of the text. `characters` is each split's length in characters,
    `left_out` names the splits that were asked to be empty (a share of 0).
    """

    name: str
    origin: str
    sha256: str
    tokenizer: Tokenizer
    train: Tokens
    selection: Tokens
    validation: Tokens
    characters: Mapping[str, int]
    left_out: frozenset[str] = frozenset()

    @property
    def splits(self) -> dict[str, Tokens]:
        """The three arrays by name."""
        return {"train": self.train, "selection": self.selection, "validation": self.validation}

    @property
    def characters_per_token(self) -> dict[str, float]:
        """Of each split, 0 where it is empty: bits per character = loss / (ln 2 · this)."""
        return {name: self.characters[name] / max(len(ids), 1) for name, ids in self.splits.items()}

    def check(self, context: int) -> None:
        """Raise `DataError` where a split is too short for one window of context+1 tokens."""
        wanted = context + 1
        lengths = {name: len(ids) for name, ids in self.splits.items() if name not in self.left_out}
        short = {name: length for name, length in lengths.items() if length < wanted}
        if not short:
            return
        named = ", ".join(f"{name} has {length}" for name, length in short.items())
        smallest = min(short.values())
        total = sum(self.characters.values())
        remedy = f"Give a longer text than these {total:,} characters"
        if smallest:
            # One more in a hundred: shares are rounded down, and tokens are not evenly spread.
            remedy += f" (about {ceil(1.01 * total * wanted / smallest):,} are enough)"
        if smallest > 1:
            remedy += f", or a context of at most {smallest - 1}"
        raise DataError(
            f"{self.name} is too short for a context of {context}: each split needs {wanted} tokens, {named}. {remedy}"
        )


def prepare(
    source: str,
    tokenizer: str | Tokenizer = "chars",
    *,
    validation_share: float = 0.1,
    selection_share: float = 0.05,
    memory_map_above: int = MEMORY_MAP_ABOVE,
    cache: Path | str | None = None,
) -> Corpus:
    """The corpus of a text (`find_text`), with a tokenizer made from it ("chars", "bytes", "bpe:N") or given.

    n characters: train+selection = the first int((1 - validation_share)·n), of which selection is
    the last selection_share; validation = the rest. Split first, then tokenised: BPE sees only `train`,
    chars takes its alphabet from the whole text. Above `memory_map_above` bytes the tokens are kept in
    `cache` (default: the user cache) under the text's SHA-256 and found again at the next start.
    """
    for name, share in (("validation_share", validation_share), ("selection_share", selection_share)):
        if not 0 <= share < 1:
            raise DataError(f"{name}={share} is not a share of the text: give a number from 0 to less than 1")
    if isinstance(tokenizer, str):
        parse_spec(tokenizer)
    shares = (validation_share, selection_share)
    found = locate(source)
    if found.size > memory_map_above:
        return _memory_mapped(found, tokenizer, shares, Path(cache) if cache else cache_folder() / "tokens")
    return _in_memory(found.read(), tokenizer, shares)


def _bounds(length: int, shares: tuple[float, float]) -> Bounds:
    validation_share, selection_share = shares
    training = int((1 - validation_share) * length)
    selection = int((1 - selection_share) * training)
    return {"train": (0, selection), "selection": (selection, training), "validation": (training, length)}


def _left_out(shares: tuple[float, float]) -> frozenset[str]:
    validation_share, selection_share = shares
    asked = {"validation": validation_share, "selection": selection_share}
    return frozenset(name for name, share in asked.items() if not share)


def _made(tokenizer: str | Tokenizer, text: str, bounds: Bounds) -> Tokenizer:
    if isinstance(tokenizer, Tokenizer):
        return tokenizer
    return train_tokenizer(tokenizer, text[slice(*bounds["train"])] if tokenizer.startswith("bpe") else text)


def _in_memory(text: Text, tokenizer: str | Tokenizer, shares: tuple[float, float]) -> Corpus:
    bounds = _bounds(len(text.text), shares)
    made = _made(tokenizer, text.text, bounds)
    splits = {}
    for name, (start, stop) in bounds.items():
        splits[name] = made.encode(text.text[start:stop]).astype(token_type(made.vocab_size))
        splits[name].flags.writeable = False
    characters = {name: stop - start for name, (start, stop) in bounds.items()}
    return Corpus(
        name=text.name,
        origin=text.origin,
        sha256=text.sha256,
        tokenizer=made,
        characters=characters,
        left_out=_left_out(shares),
        **splits,
    )


def _memory_mapped(found: Source, tokenizer: str | Tokenizer, shares: tuple[float, float], cache: Path) -> Corpus:
    sha256 = found.sha256()
    text: Text | None = None

    def read() -> str:
        # Only a start that finds nothing in the cache decodes the text, and only once.
        nonlocal text
        text = text or found.read()
        if text.sha256 != sha256:
            raise DataError(f"{found.name} changed while it was being read: start again")
        return text.text

    if isinstance(tokenizer, Tokenizer):
        made = tokenizer
    else:
        kept_tokenizer = _path(cache, sha256, tokenizer, shares).with_suffix(".json")
        loaded = load_tokenizer(kept_tokenizer)
        made = loaded or _made(tokenizer, read(), _bounds(len(read()), shares))
        if loaded is None:
            store_tokenizer(kept_tokenizer, made)
    folder = _path(cache, sha256, made.fingerprint, shares)
    if (kept := load_tokens(folder)) is None:
        store_tokens(folder, read(), made, _bounds(len(read()), shares))
        kept = load_tokens(folder)
    if kept is None:
        raise DataError(f"the tokens just written to {folder} cannot be read back: check that disk")
    splits, characters = kept
    return Corpus(
        name=found.name,
        origin=found.origin,
        sha256=sha256,
        tokenizer=made,
        characters=characters,
        left_out=_left_out(shares),
        **splits,
    )


def _path(cache: Path, sha256: str, what: str, shares: tuple[float, float]) -> Path:
    key = hashlib.sha256(repr((LAYOUT, sha256, what, shares)).encode()).hexdigest()
    return cache / key[:32]
