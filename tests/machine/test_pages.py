"""Large pages: numbers stay, the system counts them, and small or foreign things are left alone."""

import sys
from pathlib import Path

import pytest
import torch

from oneblock.machine import pages


def large_pages() -> int:
    """KiB of this process that lie in large pages."""
    lines = Path("/proc/self/smaps").read_text().splitlines()
    return sum(int(line.split()[1]) for line in lines if line.startswith("AnonHugePages"))


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="Linux only")
def test_weights_are_moved_and_stay_what_they_are():
    weights = [torch.full((n, 1021), float(n)) for n in (7001, 5003, 6007)]
    where, before = [w.data_ptr() for w in weights], large_pages()
    moved = pages.in_large_pages(weights)
    if not moved:
        pytest.skip("this system has no large pages to give")
    assert large_pages() - before > 0.5 * moved * 2048
    assert [w.data_ptr() for w in weights] == where
    assert all(bool((w == n).all()) for w, n in zip(weights, (7001, 5003, 6007), strict=True))


def test_what_fits_the_caches_is_left_alone():
    assert pages.in_large_pages([torch.zeros(1021, 1021), torch.zeros(0)]) == 0
