"""A tokenizer that came with someone else's model: a `tokenizer.json` of the `tokenizers` library, as one of ours."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from oneblock.data.bpe import BYTE_OF
from oneblock.data.chat import Message, render_chat
from oneblock.data.errors import DataError
from oneblock.data.tokenizer import Ids, StreamDecoder, Tokenizer, utf8

INCOMPLETE = "\ufffd"
# An untrained model's vocabulary is rounded up, so that matrix products divide well; not by more than this.
MOST_UNUSED = 0.1


class HubTokenizer(Tokenizer):
    """The `tokenizers` library's own tokenizer with what stands beside it in a model's folder.

    backend: the content of tokenizer.json; special: name -> token ("eos_token" -> "</s>"); ends: the ids that end a
    text; chat_template: Jinja, or None. Raises `DataError` where the library cannot make a tokenizer of it.
    """

    kind = "hub"

    def __init__(
        self,
        backend: Mapping[str, Any],
        *,
        special: Mapping[str, str] | None = None,
        ends: Iterable[int] = (),
        chat_template: str | None = None,
    ) -> None:
        from tokenizers import Tokenizer as Backend

        self._json, self.special, self.chat_template = backend, dict(special or {}), chat_template
        try:
            self._backend = Backend.from_str(json.dumps(backend))
        except Exception as error:  # the library raises plain Exception
            raise DataError(f"a damaged tokenizer.json: {error}. Download it again") from None
        # A tokenizer.json may cut and fill up for the training it was made in; a text is read whole.
        self._backend.no_truncation()
        self._backend.no_padding()
        self._vocab_size = 1 + max(self._backend.get_vocab(with_added_tokens=True).values(), default=-1)
        self.ends = tuple(dict.fromkeys(int(end) for end in ends))
        for end in self.ends:
            if not 0 <= end < self._vocab_size:
                raise self._outside(end)
        self._added = {number: token.content for number, token in self._backend.get_added_tokens_decoder().items()}
        self._byte_level = "ByteLevel" in json.dumps(backend.get("decoder"))

    @property
    def vocab_size(self) -> int:
        return self._vocab_size

    def encode(self, text: str) -> Ids:
        """Ids of a text; special tokens that are written out in it are read as such, and none is added."""
        return self._ids(text, special=False)

    def encode_with_specials(self, text: str) -> Ids:
        return self._ids(text, special=True)

    def encode_pieces(self, text: str, start: int = 0, stop: int | None = None) -> Iterator[Ids]:
        # Where such a tokenizer may be cut is not known: its rules are someone else's.
        yield self.encode(text[start:stop])

    def decode(self, ids: Iterable[int]) -> str:
        decoded: str = self._backend.decode([int(token) for token in ids], skip_special_tokens=False)
        return decoded

    def stream(self, after: Sequence[int] = ()) -> StreamDecoder:
        return HubStream(self, after)

    def token_bytes(self, token: int) -> bytes:
        """The bytes of a token: exact for byte-level and SentencePiece vocabularies, else its own spelling's."""
        if token in self._added:
            return utf8(self._added[token])
        spelled = self._backend.id_to_token(token) if token >= 0 else None
        if spelled is None:
            raise self._outside(token)
        if self._byte_level and all(character in BYTE_OF for character in spelled):
            return bytes(BYTE_OF[character] for character in spelled)
        if len(spelled) == 6 and spelled.startswith("<0x") and spelled.endswith(">"):
            return bytes((int(spelled[3:5], 16),))
        return utf8(spelled.replace("▁", " "))

    def chat(self, messages: Sequence[Message]) -> str:
        if self.chat_template is None:
            return super().chat(messages)
        return render_chat(self.chat_template, messages, self.special)

    def to_dict(self) -> dict[str, Any]:
        return {
            "kind": self.kind,
            "backend": self._json,
            "special": self.special,
            "ends": list(self.ends),
            "chat_template": self.chat_template,
        }

    def _encode(self, piece: str) -> Ids:
        return self.encode(piece)

    def _ids(self, text: str, *, special: bool) -> Ids:
        utf8(text)
        return np.asarray(self._backend.encode(text, add_special_tokens=special).ids, np.int64)


class HubStream(StreamDecoder):
    """Ids to text, one at a time, for any decoder: what a token says may depend on the token before it.

    The text of a few tokens is told again with each new one; what is longer than before, and ends in no incomplete
    character, is new. `after`: the ids in front, which are not told.
    """

    def __init__(self, tokenizer: HubTokenizer, after: Sequence[int] = ()) -> None:
        super().__init__(tokenizer)
        self._before, self._waiting = [int(token) for token in after], list[int]()

    def push(self, token: int) -> str:
        self._waiting.append(int(token))
        new = self._new()
        if not new or new.endswith(INCOMPLETE):
            return ""
        self._before, self._waiting = self._waiting, []
        return new

    def flush(self) -> str:
        new = self._new()
        self._before, self._waiting = self._before + self._waiting, []
        return new

    def _new(self) -> str:
        before, whole = (self._tokenizer.decode(ids) for ids in (self._before, self._before + self._waiting))
        # An incomplete character may also change how the bytes in front of it are told.
        return whole[len(before) :] if whole.startswith(before) else self._tokenizer.decode(self._waiting)


def check_vocabulary(tokenizer: Tokenizer, vocab_size: int, where: object) -> None:
    """`DataError` where a tokenizer is not that of a model with `vocab_size` tokens: it has more, or far fewer."""
    have = tokenizer.vocab_size
    if have <= vocab_size <= have / (1 - MOST_UNUSED):
        return
    more = "more" if have > vocab_size else "far fewer"
    raise DataError(
        f"the tokenizer in {where} is not this model's: it has {have} tokens, {more} than the model's {vocab_size}. "
        "Give the tokenizer that the model was trained with"
    )
