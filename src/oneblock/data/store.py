"""Tokens of large texts on disk: written once, whole or not at all, and mapped into memory after that."""

from __future__ import annotations

import json
import os
import shutil
import tempfile
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from oneblock.data.errors import DataError
from oneblock.data.files import write_atomically
from oneblock.data.tokenizer import Tokenizer, tokenizer_from_dict

Tokens = npt.NDArray[Any]
Bounds = Mapping[str, tuple[int, int]]

DESCRIPTION = "tokens.json"
STALE_SECONDS = 24 * 3600


def token_type(vocab_size: int) -> np.dtype[Any]:
    """The smallest of uint8, uint16 and uint32 that holds every id."""
    return np.min_scalar_type(max(vocab_size - 1, 0))


def load_tokens(folder: Path) -> tuple[dict[str, Tokens], dict[str, int]] | None:
    """Memory-mapped splits and their lengths in characters; None where the folder is missing or not whole."""
    try:
        description = json.loads((folder / DESCRIPTION).read_text(encoding="utf-8"))
        dtype = np.dtype(description["dtype"])
        counts = description["tokens"].items()
        splits = {name: _map(_split_file(folder, name), dtype, count) for name, count in counts}
        return splits, dict(description["characters"])
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None


def store_tokens(folder: Path, text: str, tokenizer: Tokenizer, bounds: Bounds) -> None:
    """Tokenise each part of the text, piece by piece; the folder appears only when all is written."""
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        _sweep(folder)
        temporary = Path(tempfile.mkdtemp(prefix=f"{folder.name}.tmp-", dir=folder.parent))
    except OSError as error:
        raise _unwritable(folder, error) from None
    try:
        _fill(temporary, text, tokenizer, bounds)
        if folder.exists() and load_tokens(folder) is None:
            shutil.rmtree(folder)
        temporary.rename(folder)
    except OSError as error:
        # Another process may have been first: then its folder is as good.
        if load_tokens(folder) is None:
            raise _unwritable(folder, error) from None
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def load_tokenizer(path: Path) -> Tokenizer | None:
    """A tokenizer kept beside the tokens, or None."""
    try:
        return tokenizer_from_dict(json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError, AttributeError, DataError):
        return None


def store_tokenizer(path: Path, tokenizer: Tokenizer) -> None:
    """Keep a tokenizer beside the tokens, whole or not at all."""
    try:
        write_atomically(path, json.dumps(tokenizer.to_dict()).encode())
    except OSError as error:
        raise _unwritable(path, error) from None


def _fill(folder: Path, text: str, tokenizer: Tokenizer, bounds: Bounds) -> None:
    dtype = token_type(tokenizer.vocab_size)
    counts = dict.fromkeys(bounds, 0)
    for name, (start, stop) in bounds.items():
        with _split_file(folder, name).open("wb") as file:
            for ids in tokenizer.encode_pieces(text, start, stop):
                counts[name] += len(ids)
                file.write(ids.astype(dtype).tobytes())
            file.flush()
            os.fsync(file.fileno())
    characters = {name: stop - start for name, (start, stop) in bounds.items()}
    description = {"dtype": dtype.name, "tokens": counts, "characters": characters}
    write_atomically(folder / DESCRIPTION, json.dumps(description).encode())


def _map(path: Path, dtype: np.dtype[Any], count: int) -> Tokens:
    if path.stat().st_size != count * dtype.itemsize:
        raise ValueError(f"{path} is not whole")
    # An empty file cannot be mapped.
    return np.memmap(path, dtype, mode="r") if count else np.empty(0, dtype)


def _split_file(folder: Path, name: str) -> Path:
    return folder / f"{name}.bin"


def _sweep(folder: Path) -> None:
    # What a killed process left.
    for left in folder.parent.glob(f"{folder.name}.tmp-*"):
        # One that is still at work may rename its folder away at any moment.
        with suppress(FileNotFoundError):
            if time.time() - left.stat().st_mtime > STALE_SECONDS:
                shutil.rmtree(left, ignore_errors=True)


def _unwritable(path: Path, error: OSError) -> DataError:
    return DataError(
        f"the tokens of a large text could not be written to {path.parent}: {error.strerror or error}. "
        "Make room there, or set XDG_CACHE_HOME to a folder with room"
    )
