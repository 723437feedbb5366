"""A tokenizer of symbols: characters, or words between blanks such as phonemes; with ids for start, end and pad."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np

from oneblock.data.errors import DataError
from oneblock.data.tokenizer import Ids, Tokenizer, utf8

PAD, START, END = 0, 1, 2
SPECIALS = 3

SEPARATORS = {"characters": "", "words": " "}


class SymbolTokenizer(Tokenizer):
    """pad = 0, start = 1, end = 2, then one id for each symbol of its alphabet, in the order of the code points.

    `unit` says what a symbol is: "characters", or "words", which stand between blanks. `encode` adds neither start
    nor end; `decode` stops at the first end and leaves pad and start out.
    """

    kind = "symbols"

    def __init__(self, unit: str, alphabet: Iterable[str]) -> None:
        if unit not in SEPARATORS:
            raise DataError(f"unit={unit!r} is not what a symbol can be; give one of {', '.join(SEPARATORS)}")
        self.unit, self.separator = unit, SEPARATORS[unit]
        self.alphabet = sorted(set(alphabet))
        for symbol in self.alphabet:
            if not symbol or (len(symbol) > 1 if unit == "characters" else symbol.split() != [symbol]):
                raise DataError(f"a damaged symbols tokenizer: {symbol!r} is not one of its {unit}")
        self._ids = {symbol: SPECIALS + place for place, symbol in enumerate(self.alphabet)}
        self._bytes = [b"", b"", b"", *(utf8(symbol + self.separator) for symbol in self.alphabet)]

    @property
    def vocab_size(self) -> int:
        return SPECIALS + len(self.alphabet)

    def symbols(self, text: str) -> list[str]:
        """A text's symbols."""
        return list(text) if self.unit == "characters" else text.split()

    def token_bytes(self, token: int) -> bytes:
        """A symbol's UTF-8 bytes, with the blank that follows a word; of pad, start and end none."""
        if not 0 <= token < len(self._bytes):
            raise self._outside(token)
        return self._bytes[token]

    def encode(self, text: str) -> Ids:
        """Ids of a text's symbols as int64; raises `DataError` for those the tokenizer does not know."""
        return self._encode(text)

    def decode(self, ids: Iterable[int]) -> str:
        """The symbols up to the first end, joined as they stand in a text."""
        return self.separator.join(self.told(ids))

    def told(self, ids: Iterable[int]) -> list[str]:
        """The symbols of ids up to the first end, as a list: what an error rate compares."""
        found = []
        for token in map(int, ids):
            if token == END:
                break
            self.token_bytes(token)
            if token >= SPECIALS:
                found.append(self.alphabet[token - SPECIALS])
        return found

    def to_dict(self) -> dict[str, Any]:
        return {"kind": self.kind, "unit": self.unit, "alphabet": self.alphabet}

    def _encode(self, piece: str) -> Ids:
        symbols = self.symbols(piece)
        try:
            return np.array([self._ids[symbol] for symbol in symbols], np.int64)
        except KeyError:
            unknown = sorted(set(symbols) - set(self.alphabet))
        shown = ", ".join(map(repr, unknown[:5])) + (f" and {len(unknown) - 5} more" if len(unknown) > 5 else "")
        raise DataError(
            f"unknown {self.unit}: {shown}. This tokenizer knows only the {len(self.alphabet)} {self.unit} of the "
            f"pairs it was made from: {' '.join(self.alphabet[:80])}{' …' if len(self.alphabet) > 80 else ''}"
        )
