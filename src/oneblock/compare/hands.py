"""Who runs the cells: this process, one after another, beside any others that have the same store open."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any, Protocol

from oneblock.compare.cell import Cell
from oneblock.compare.store import Store

Done = Callable[[str, Mapping[str, Any], float | None], None]
"""Told of each cell that was run: its key, its result, and the seconds it took, where they are known."""
Wait = Callable[[int], None]
"""Told once that so many cells are in other hands."""


class Hands(Protocol):
    """Has all cells run, key -> cell, and returns when their results are in the store."""

    def __call__(self, cells: Mapping[str, Cell], store: Store, done: Done, wait: Wait) -> None: ...


def here(cells: Mapping[str, Cell], store: Store, done: Done, wait: Wait) -> None:
    """One after another in this process; those that other processes have taken are waited for."""
    waiting = False
    while missing := [key for key in cells if key not in store.results([key])]:
        key = store.take(missing)
        if key is None:
            if not waiting:
                wait(len(missing))
            waiting = True
            time.sleep(min(1.0, store.lease / 4))
            continue
        with store.working(key):
            began = time.perf_counter()
            result = cells[key].run()
            store.finish(key, result)
        done(key, result, time.perf_counter() - began)
