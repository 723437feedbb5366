"""Hands: several processes of this machine, each with its share of the threads, through the store's leases."""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

import torch

from oneblock.compare.cell import Cell
from oneblock.compare.hands import Done, Hands, Wait, here
from oneblock.compare.store import Store
from oneblock.machine.host import usable_cores

GRACE = 5.0
"""Seconds that a worker is given to end."""


@contextmanager
def workers(count: int, folder: Path) -> Iterator[Hands]:
    """Hands that have `count` processes, which share this process's threads out. All end with the `with`, however.

    A worker that dies leaves its cell to the others; when all have, this process goes on by itself.
    """
    threads = max(1, min(torch.get_num_threads(), usable_cores()) // count)
    running: list[BaseProcess] = []

    def hands(cells: Mapping[str, Cell], store: Store, done: Done, wait: Wait) -> None:
        told = set(store.results(list(cells)))
        if len(told) == len(cells):
            return
        begin = _context().Process
        running[:] = [begin(target=_work, args=(dict(cells), folder, threads), daemon=True) for _ in range(count)]
        for process in running:
            process.start()
        while len(told) < len(cells) and any(process.is_alive() for process in running):
            time.sleep(0.1)
            _tell_new(cells, store, told, done)
        _end(running)
        _tell_new(cells, store, told, done)
        # Whatever all of them died of is met, and said, here.
        here(cells, store, done, wait)

    try:
        yield hands
    finally:
        _end(running)


def _context() -> Any:
    """A server that has loaded torch once and forks before it ever computes; where there is none, fresh processes."""
    if "forkserver" not in multiprocessing.get_all_start_methods():
        return multiprocessing.get_context("spawn")
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([__name__])
    return context


def _tell_new(cells: Mapping[str, Cell], store: Store, told: set[str], done: Done) -> None:
    for key, result in store.results([key for key in cells if key not in told]).items():
        told.add(key)
        done(key, result, result.get("seconds"))


def _end(running: list[BaseProcess]) -> None:
    for process in running:
        if process.is_alive():
            process.terminate()
    until = time.monotonic() + GRACE
    for process in running:
        process.join(max(0.0, until - time.monotonic()))
        if process.is_alive():
            process.kill()
            process.join()
    running.clear()


def _work(cells: dict[str, Cell], folder: Path, threads: int) -> None:
    """A worker: runs cells until none is left. Ctrl-C is for the one that started it, without which it ends too."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    torch.set_num_threads(threads)
    store = Store(folder)
    try:
        here(cells, store, lambda key, result, seconds: None, lambda number: None)
    except Exception:  # the cell is open again; where none can run it, the one that started this one says why
        sys.exit(1)
    finally:
        store.close()


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    assert parent is not None
    parent.join()
    os._exit(1)
