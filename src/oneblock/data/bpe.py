"""Byte-level byte-pair encoding: trained and applied by the `tokenizers` library, described by us."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from functools import cached_property
from typing import Any

import numpy as np

from oneblock.data.errors import DataError
from oneblock.data.pieces import pieces
from oneblock.data.tokenizer import Ids, Tokenizer, utf8

# The library works on the strings of a batch in parallel; this size is near its fastest.
BATCHED = 1 << 13


def _printable_bytes() -> dict[str, int]:
    # Byte-level BPE writes every byte as one printable character: Latin-1's visible ones stand for
    # themselves, the others take the code points from 256 on (Radford et al. 2019).
    visible = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    hidden = [byte for byte in range(256) if byte not in visible]
    table = {chr(byte): byte for byte in visible}
    return table | {chr(256 + position): byte for position, byte in enumerate(hidden)}


BYTE_OF = _printable_bytes()


class BPETokenizer(Tokenizer):
    """Byte-level BPE with the pre-tokens of GPT-2: any text, no unknown characters.

    `tokens` are the vocabulary in the order of the ids, `merges` the pairs in the order of their rank.
    """

    kind = "bpe"

    def __init__(self, tokens: Sequence[str], merges: Iterable[tuple[str, str]]) -> None:
        self.tokens = list(tokens)
        self.merges = [(left, right) for left, right in merges]
        known = set(self.tokens)
        if len(known) != len(self.tokens) or not known.issuperset(BYTE_OF):
            raise DataError("a damaged bpe tokenizer: it lacks a byte, or has a token twice")
        if any({left, right, left + right} - known for left, right in self.merges):
            raise DataError("a damaged bpe tokenizer: a merge of tokens it does not have")
        self._bytes = [bytes(BYTE_OF[character] for character in token) for token in self.tokens]

    @classmethod
    def train(cls, text: str, vocab_size: int) -> BPETokenizer:
        """Merge the most frequent pair (Sennrich et al. 2016) until there are `vocab_size` tokens."""
        from tokenizers import Tokenizer as Backend
        from tokenizers import models, pre_tokenizers, trainers

        backend = Backend(models.BPE())
        backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
        trainer = trainers.BpeTrainer(
            vocab_size=vocab_size, initial_alphabet=sorted(BYTE_OF), show_progress=False, special_tokens=[]
        )
        backend.train_from_iterator(pieces(text), trainer)
        model = json.loads(backend.to_str())["model"]
        return cls(sorted(model["vocab"], key=model["vocab"].__getitem__), model["merges"])

    @property
    def vocab_size(self) -> int:
        return len(self.tokens)

    def token_bytes(self, token: int) -> bytes:
        if not 0 <= token < len(self._bytes):
            raise self._outside(token)
        return self._bytes[token]

    def to_dict(self) -> dict[str, Any]:
        return {"kind": self.kind, "tokens": self.tokens, "merges": [list(pair) for pair in self.merges]}

    def _encode(self, piece: str) -> Ids:
        utf8(piece)
        parts = self._backend.encode_batch(list(pieces(piece, size=BATCHED)), add_special_tokens=False)
        return np.concatenate([np.asarray(part.ids, np.int64) for part in parts])

    @cached_property
    def _backend(self) -> Any:
        from tokenizers import Tokenizer as Backend
        from tokenizers import models, pre_tokenizers

        vocabulary = {token: position for position, token in enumerate(self.tokens)}
        backend = Backend(models.BPE(vocab=vocabulary, merges=self.merges))
        backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
        return backend
