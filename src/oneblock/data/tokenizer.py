"""Text to token ids and back: characters, bytes, or byte-level BPE."""

from __future__ import annotations

import codecs
import hashlib
import json
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from oneblock.data.errors import DataError
from oneblock.data.pieces import pieces

Ids = npt.NDArray[np.int64]

KINDS = ("chars", "bytes", "bpe", "symbols", "hub")
MIN_BPE = 257
NO_ID = -1


class StreamDecoder:
    """Turns ids, one at a time, into pieces of text; a character whose bytes are incomplete waits."""

    def __init__(self, tokenizer: Tokenizer) -> None:
        self._tokenizer = tokenizer
        self._decoder = codecs.getincrementaldecoder("utf-8")(errors="replace")

    def push(self, token: int) -> str:
        """The text that this id completes, which may be empty."""
        return self._decoder.decode(self._tokenizer.token_bytes(token))

    def flush(self) -> str:
        """What still waits, as U+FFFD: the end of a text that stops inside a character."""
        return self._decoder.decode(b"", final=True)


class Tokenizer(ABC):
    """Text to ids in 0…vocab_size-1 and back; `decode(encode(text)) == text` for every text it knows."""

    kind: ClassVar[str]
    ends: tuple[int, ...] = ()
    """The ids after which a text is at its end; none where a text has no end of its own."""

    @property
    @abstractmethod
    def vocab_size(self) -> int:
        """The number of different ids."""

    @abstractmethod
    def token_bytes(self, token: int) -> bytes:
        """The UTF-8 bytes that an id stands for; raises `DataError` for an id that is not one."""

    @abstractmethod
    def to_dict(self) -> dict[str, Any]:
        """A JSON-able description, from which `tokenizer_from_dict` makes an equal tokenizer."""

    @abstractmethod
    def _encode(self, piece: str) -> Ids: ...

    def encode_pieces(self, text: str, start: int = 0, stop: int | None = None) -> Iterator[Ids]:
        """Ids of `text[start:stop]`, part after part, so that a large text needs no second copy."""
        for piece in pieces(text, start, stop):
            yield self._encode(piece)

    def encode(self, text: str) -> Ids:
        """Ids of a text as int64; raises `DataError` for characters the tokenizer does not know."""
        parts = list(self.encode_pieces(text))
        return np.concatenate(parts) if parts else np.empty(0, np.int64)

    def encode_with_specials(self, text: str) -> Ids:
        """`encode`, with the special tokens that the model expects around a text, such as the one it begins with."""
        return self.encode(text)

    def decode(self, ids: Iterable[int]) -> str:
        """Text of ids; bytes that are no UTF-8 (a model can sample such) become U+FFFD."""
        return b"".join(self.token_bytes(int(token)) for token in ids).decode("utf-8", errors="replace")

    def stream(self, after: Sequence[int] = ()) -> StreamDecoder:
        """A decoder for ids that come one at a time, `after` those of the prompt."""
        return StreamDecoder(self)

    def chat(self, messages: Sequence[Mapping[str, Any]]) -> str:
        """A conversation as the text that the model was trained on; `DataError` where it was trained on none."""
        raise DataError("this model's tokenizer has no chat template: it takes plain text; leave --chat out")

    @property
    def fingerprint(self) -> str:
        """SHA-256 of the description: equal for tokenizers that do the same."""
        return hashlib.sha256(json.dumps(self.to_dict(), sort_keys=True).encode()).hexdigest()

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Tokenizer) and self.to_dict() == other.to_dict()

    def __hash__(self) -> int:
        return hash(self.fingerprint)

    def _outside(self, token: int) -> DataError:
        ids = f"0…{self.vocab_size - 1}"
        return DataError(f"token id {token} is not one of {ids}, the ids of this {self.kind} tokenizer")


class CharTokenizer(Tokenizer):
    """One id per character of its alphabet, in the order of the code points."""

    kind = "chars"

    def __init__(self, alphabet: Iterable[str]) -> None:
        self.alphabet = "".join(sorted(set(alphabet)))
        codes = _codes(self.alphabet)
        self._ids = np.full(int(codes.max(initial=0)) + 1, NO_ID, np.int64)
        self._ids[codes] = np.arange(len(codes))
        self._bytes = [utf8(character) for character in self.alphabet]

    @property
    def vocab_size(self) -> int:
        return len(self.alphabet)

    def token_bytes(self, token: int) -> bytes:
        if not 0 <= token < len(self._bytes):
            raise self._outside(token)
        return self._bytes[token]

    def to_dict(self) -> dict[str, Any]:
        return {"kind": self.kind, "alphabet": self.alphabet}

    def _encode(self, piece: str) -> Ids:
        codes = _codes(piece)
        ids = self._ids[np.minimum(codes, len(self._ids) - 1)]
        ids[codes >= len(self._ids)] = NO_ID
        if (ids == NO_ID).any():
            raise self._unknown(sorted(set(piece) - set(self.alphabet)))
        return ids

    def _unknown(self, characters: list[str], shown: int = 5) -> DataError:
        named = ", ".join(f"{character!r} (U+{ord(character):04X})" for character in characters[:shown])
        more = f" and {len(characters) - shown} more" if len(characters) > shown else ""
        return DataError(
            f"unknown characters: {named}{more}. This is a chars tokenizer: it knows only "
            f"the {self.vocab_size} characters of the text it was made from. Leave them out, or train with "
            "the bytes or the bpe:512 tokenizer, which take any text"
        )


class ByteTokenizer(Tokenizer):
    """One id per UTF-8 byte: 256 ids for any text."""

    kind = "bytes"

    @property
    def vocab_size(self) -> int:
        return 256

    def token_bytes(self, token: int) -> bytes:
        if not 0 <= token < 256:
            raise self._outside(token)
        return bytes((token,))

    def to_dict(self) -> dict[str, Any]:
        return {"kind": self.kind}

    def _encode(self, piece: str) -> Ids:
        return np.frombuffer(utf8(piece), np.uint8).astype(np.int64)


def parse_spec(spec: str) -> tuple[str, int | None]:
    """("chars", None), ("bytes", None) or ("bpe", N) of a spec; raises `DataError` with the options."""
    kind, colon, size = spec.partition(":")
    if kind == "bpe" and size.isdecimal() and int(size) >= MIN_BPE:
        return kind, int(size)
    if kind in ("chars", "bytes") and not colon:
        return kind, None
    raise DataError(
        f"no tokenizer {spec!r}: give chars, bytes, or bpe:N with N the vocabulary size, at least {MIN_BPE} "
        "(256 bytes and one merge), for example bpe:512"
    )


def train_tokenizer(spec: str, text: str) -> Tokenizer:
    """The tokenizer of "chars", "bytes" or "bpe:N", made from a text; the same text gives the same one.

    A short text may hold fewer than N different merges: `vocab_size` says how many there are.
    """
    kind, size = parse_spec(spec)
    if kind == "chars":
        return CharTokenizer(text)
    if kind == "bytes" or size is None:
        return ByteTokenizer()
    from oneblock.data.bpe import BPETokenizer

    return BPETokenizer.train(text, size)


def tokenizer_from_dict(description: Mapping[str, Any]) -> Tokenizer:
    """The tokenizer that `to_dict` described; raises `DataError` where the description is damaged."""
    kind = description.get("kind")
    try:
        if kind == "chars":
            return CharTokenizer(description["alphabet"])
        if kind == "bytes":
            return ByteTokenizer()
        if kind == "bpe":
            from oneblock.data.bpe import BPETokenizer

            merges = [(left, right) for left, right in description["merges"]]
            return BPETokenizer(description["tokens"], merges)
        if kind == "symbols":
            from oneblock.data.symbols import SymbolTokenizer

            return SymbolTokenizer(description["unit"], description["alphabet"])
        if kind == "hub":
            from oneblock.data.hub_tokenizer import HubTokenizer

            rest = {name: description[name] for name in ("special", "ends", "chat_template")}
            return HubTokenizer(description["backend"], **rest)
    except (KeyError, TypeError, ValueError) as error:
        raise DataError(f"the description of a {kind} tokenizer is damaged: {error!r}") from None
    raise DataError(f"unknown kind of tokenizer {kind!r}; allowed: {', '.join(KINDS)}")


def utf8(text: str) -> bytes:
    """UTF-8 bytes of a text; half a surrogate pair, which has none, raises `DataError`."""
    try:
        return text.encode("utf-8")
    except UnicodeEncodeError as error:
        raise DataError(
            f"the text holds U+{ord(text[error.start]):04X}, half of a surrogate pair and no character: "
            "remove it, or give the text as UTF-8"
        ) from None


def _codes(text: str) -> Ids:
    return np.frombuffer(text.encode("utf-32-le", "surrogatepass"), np.uint32).astype(np.int64)
