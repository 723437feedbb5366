"""Bytes on disk: the user cache, whole-or-nothing writes, and text files read with errors that help."""

from __future__ import annotations

import codecs
import hashlib
import os
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from oneblock.data.errors import DataError

CHUNK = 1 << 20


@dataclass(frozen=True, kw_only=True)
class Text:
    """A text in memory; `sha256` is of the raw bytes, `origin` says in words where they came from."""

    name: str
    text: str
    sha256: str
    origin: str


@dataclass(frozen=True, kw_only=True)
class Source:
    """A text that was found but not yet read: files, or bytes at hand, joined by a newline.

    A large text can so be recognised by its SHA-256 without being decoded.
    """

    name: str
    origin: str
    parts: tuple[Path | bytes, ...]

    @property
    def size(self) -> int:
        """Bytes of all parts together."""
        return sum(len(part) if isinstance(part, bytes) else file_size(part) for part in self.parts)

    def sha256(self) -> str:
        """Hex digest of the raw bytes, read piece by piece."""
        digest = hashlib.sha256()
        for position, part in enumerate(self.parts):
            digest.update(b"\n" if position else b"")
            for chunk in [part] if isinstance(part, bytes) else read_chunks(part):
                digest.update(chunk)
        return digest.hexdigest()

    def read(self) -> Text:
        """The decoded text; raises `DataError` where it is empty, binary, or not UTF-8."""
        digest, texts = hashlib.sha256(), []
        for position, part in enumerate(self.parts):
            raw = part if isinstance(part, bytes) else read_bytes(part)
            digest.update(b"\n" if position else b"")
            digest.update(raw)
            texts.append(decode(raw, self.name if isinstance(part, bytes) else str(part)))
        text = texts[0] if len(texts) == 1 else "\n".join(texts)
        if not text or text.isspace():
            raise DataError(f"{self.name} is empty: there is no text in it. Give a text, or --data pattern")
        return Text(name=self.name, text=text, sha256=digest.hexdigest(), origin=self.origin)


def decode(raw: bytes, where: str) -> str:
    """UTF-8 bytes as text, without a byte-order mark and with every line end (CRLF, CR) as a newline."""
    if raw.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        raise DataError(
            f"{where} is UTF-16 text, and only UTF-8 is read. Convert it: iconv -f utf-16 -t utf-8 {where} > utf8.txt"
        )
    if (offset := raw.find(b"\0")) >= 0:
        raise DataError(
            f"{where} is a binary file: a NUL byte at offset {offset}. Give plain UTF-8 text (.txt, .md, source code)"
        )
    try:
        text = raw.decode("utf-8")
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        raise DataError(
            f"{where} is not UTF-8: byte 0x{raw[error.start]:02x} at offset {error.start} (line {line}). "
            f"Convert it, for Latin-1 so: iconv -f latin1 -t utf-8 {where} > utf8.txt"
        ) from None
    text = text.removeprefix("\ufeff")
    return text.replace("\r\n", "\n").replace("\r", "\n") if "\r" in text else text


def read_bytes(path: Path) -> bytes:
    """The whole file; an operating-system error becomes a `DataError`."""
    try:
        return path.read_bytes()
    except OSError as error:
        raise _unreadable(path, error) from None


def cache_folder() -> Path:
    """`$XDG_CACHE_HOME/oneblock`, else `~/.cache/oneblock`; not made here."""
    given = os.environ.get("XDG_CACHE_HOME", "")
    if Path(given).is_absolute():
        return Path(given) / "oneblock"
    try:
        return Path.home() / ".cache" / "oneblock"
    except RuntimeError:
        raise DataError("no home folder to keep a cache in: set XDG_CACHE_HOME to a folder") from None


def write_atomically(path: Path, raw: bytes) -> None:
    """The file appears whole or not at all; raises OSError and leaves nothing behind."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, temporary = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(raw)
            file.flush()
            os.fsync(file.fileno())
        Path(temporary).replace(path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise


def file_size(path: Path) -> int:
    """Bytes of a file."""
    try:
        return path.stat().st_size
    except OSError as error:
        raise _unreadable(path, error) from None


def read_chunks(path: Path) -> Iterator[bytes]:
    """The bytes of a file, one piece after another."""
    try:
        with path.open("rb") as file:
            while chunk := file.read(CHUNK):
                yield chunk
    except OSError as error:
        raise _unreadable(path, error) from None


def _unreadable(path: Path, error: OSError) -> DataError:
    why = error.strerror or error
    return DataError(f"{path} cannot be read: {why}. Check that it exists and its permissions")
