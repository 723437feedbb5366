"""What this machine can do at best, measured: matrix products and reading from memory.

Both are the best 50 ms of a run of `seconds`, not the mean: they are limits to hold a model against, and
another program that takes the cores for a moment must not make the limit lower and the model look better.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

import torch

from oneblock.machine import host
from oneblock.machine.device import synchronize

Clock = Callable[[], float]
Work = Callable[[], object]

_WINDOW = 0.05
_CPU_SHAPES = ((1024, 1024, 1024), (2048, 2048, 2048), (4096, 1024, 1024))
_GPU_SHAPES = ((4096, 4096, 4096), (8192, 8192, 8192))


def matrix_peak(
    dtype: torch.dtype,
    device: torch.device,
    seconds: float = 0.5,
    shapes: Sequence[tuple[int, int, int]] | None = None,
    clock: Clock = time.perf_counter,
) -> float:
    """The best matrix product of this machine in FLOP/s, a multiply with its add counting two.

        max over shapes (m, k, n) and layouts of  2·m·k·n / seconds of  A_mk @ B_kn

    CPU: all usable cores. The settings in force (TF32, oneDNN's float32 precision) count: they are the
    limit of this process. Takes `seconds`, more on a slow machine: each form runs at least twice.
    """
    forms: list[tuple[Work, float]] = []
    for m, k, n in shapes or (_CPU_SHAPES if device.type == "cpu" else _GPU_SHAPES):
        a_mk, out_mn = _random(m, k, dtype, device), torch.empty(m, n, dtype=dtype, device=device)
        # The second is how a linear layer keeps its weights; which of the two is faster differs by library.
        for b_kn in (_random(k, n, dtype, device), _random(n, k, dtype, device).t()):
            forms.append((_product(a_mk, b_kn, out_mn), 2.0 * m * k * n))
    with _all_cores(device), torch.inference_mode():
        return _best(forms, seconds, device, clock)


def memory_bandwidth(
    device: torch.device, seconds: float = 0.5, size: int = 1 << 30, clock: Clock = time.perf_counter
) -> float:
    """The best sustained reading from memory in bytes/s: `size` bytes of float32, far beyond any cache.

        max over three readings of  size / seconds

    The three touch each byte once and write next to nothing: the sum of everything, the sums of rows,
    a matrix times a vector (what decoding does with its weights). CPU: all usable cores.
    Where less than twice `size` is free, a quarter of what is free is read.
    """
    free = torch.cuda.mem_get_info(device)[0] if device.type == "cuda" else host.free_memory()
    if free is not None and free < 2 * size:
        size = free // 4
    # Rows as long as a page of memory or more, and enough of them for any number of cores.
    columns = min(8192, max(1, size // 4))
    rows = max(1, size // (4 * columns))
    num_bytes = 4.0 * rows * columns
    # Ones, not zeros: a system may lend the same page of zeros for all of them, and that one sits in cache.
    matrix = torch.ones(rows, columns, device=device)
    vector = torch.ones(columns, device=device)
    forms: list[tuple[Work, float]] = [
        (lambda: matrix.sum(1), num_bytes),
        (lambda: matrix.view(-1).sum(), num_bytes),
        (lambda: torch.mv(matrix, vector), num_bytes),
    ]
    with _all_cores(device), torch.inference_mode():
        return _best(forms, seconds, device, clock)


def _best(forms: Sequence[tuple[Work, float]], seconds: float, device: torch.device, clock: Clock) -> float:
    """The highest rate (units/s) of any form: each is tried, then the two fastest share the time."""
    begin = clock()
    tried = []
    for work, units in forms:
        work()
        tried.append((_rate(work, units, 1, device, clock), work, units))
    tried.sort(key=lambda form: form[0], reverse=True)
    best = 0.0
    for place, (rate, work, units) in enumerate(tried[:2]):
        calls = max(1, round(_WINDOW * rate / units))
        deadline = begin + seconds * (place + 1) / min(2, len(tried))
        while True:
            best = max(best, _rate(work, units, calls, device, clock))
            if clock() >= deadline:
                break
    return best


def _rate(work: Work, units: float, calls: int, device: torch.device, clock: Clock) -> float:
    synchronize(device)
    start = clock()
    for _ in range(calls):
        work()
    synchronize(device)
    return calls * units / (clock() - start)


def _product(a_mk: torch.Tensor, b_kn: torch.Tensor, out_mn: torch.Tensor) -> Work:
    return lambda: torch.mm(a_mk, b_kn, out=out_mn)


def _random(rows: int, columns: int, dtype: torch.dtype, device: torch.device) -> torch.Tensor:
    # A generator of its own: measuring must not move the random numbers of a run.
    generator = torch.Generator(device).manual_seed(0)
    return torch.randn(rows, columns, device=device, generator=generator).to(dtype)


@contextmanager
def _all_cores(device: torch.device) -> Iterator[None]:
    threads = torch.get_num_threads()
    if device.type == "cpu":
        torch.set_num_threads(host.usable_cores())
    try:
        yield
    finally:
        torch.set_num_threads(threads)
