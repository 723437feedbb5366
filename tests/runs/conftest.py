"""Disks that fail: cut off at the n-th operation, or full after n bytes."""

import errno
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

CHANGES = ("open", "write", "fsync", "rename", "replace", "mkdir", "unlink", "rmdir", "ftruncate")


class Cut(BaseException):
    """The process is gone: nothing catches this, and nothing changes the disk any more."""


@pytest.fixture(autouse=True)
def no_flushing(monkeypatch: pytest.MonkeyPatch) -> None:
    """Flushing waits for the disk and shows nothing here; the saves that get killed do it for real."""
    monkeypatch.setattr(os, "fsync", lambda descriptor: None)


@pytest.fixture
def cut_off(monkeypatch: pytest.MonkeyPatch) -> Callable[[int], object]:
    """`with cut_off(n) as operations:` stops at the n-th change of the disk, a write in the middle of it."""

    @contextmanager
    def cut_off(last: int) -> Iterator[list[str]]:
        operations: list[str] = []
        with monkeypatch.context() as patch:
            for name in CHANGES:
                patch.setattr(os, name, _cut(name, getattr(os, name), last, operations))
            try:
                yield operations
            except Cut:
                operations.append("cut")

    return cut_off


def _cut(name: str, real: Callable[..., object], last: int, operations: list[str]) -> Callable[..., object]:
    def operation(*args, **kwargs):
        if len(operations) >= last:
            if name == "write" and len(operations) == last:
                real(args[0], bytes(args[1])[: len(args[1]) // 2])
            operations.append("refused")
            raise Cut
        operations.append(name)
        return real(*args, **kwargs)

    return operation


@pytest.fixture
def full_after(monkeypatch: pytest.MonkeyPatch) -> Callable[[int], object]:
    """`with full_after(n):` takes n bytes in all, then has no space left; what fits of a write is taken."""

    @contextmanager
    def full_after(num_bytes: int) -> Iterator[None]:
        left, real = num_bytes, os.write

        def write(descriptor: int, data: bytes) -> int:
            nonlocal left
            if left == 0:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            written = real(descriptor, bytes(data)[:left])
            left -= written
            return written

        with monkeypatch.context() as patch:
            patch.setattr(os, "write", write)
            yield

    return full_after


@pytest.fixture
def in_tmp(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path
