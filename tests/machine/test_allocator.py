"""Memory that is kept is not cleared again: counted in page faults, in processes of their own."""

import platform
import subprocess
import sys

import pytest

from oneblock.machine import allocator

PROGRAM = """
import ctypes, resource, sys
from oneblock.machine.allocator import keep_memory
if "keep" in sys.argv:
    assert keep_memory()
libc = ctypes.CDLL(None)
libc.malloc.restype, libc.malloc.argtypes = ctypes.c_void_p, [ctypes.c_size_t]
libc.free.argtypes = [ctypes.c_void_p]
def work():
    held = [libc.malloc(12_000_017) for _ in range(8)]
    for piece in held:
        ctypes.memset(piece, 1, 12_000_017)
    for piece in held:
        libc.free(piece)
for _ in range(3):
    work()
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
work()
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


def faults(*arguments: str) -> int:
    done = subprocess.run([sys.executable, "-c", PROGRAM, *arguments], capture_output=True, text=True, check=True)
    return int(done.stdout)


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="glibc only")
def test_large_pieces_are_reused():
    # Eight pieces of 12 MB, all freed at once: 23,440 pages of 4 KiB, or 46 of 2 MiB.
    given_back, kept = faults(), faults("keep")
    assert kept < 10
    assert given_back > 30


def test_elsewhere_nothing_happens(monkeypatch):
    monkeypatch.setattr(allocator.sys, "platform", "win32")
    assert allocator.keep_memory() is False
