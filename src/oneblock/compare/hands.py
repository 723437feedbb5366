"""Who runs the cells: this process, one after another, beside any others that have the same store open."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
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


Ran = tuple[str, dict[str, Any], float | None]
"""A cell's key, its result, and the seconds it took, where they are known."""


def one_by_one(cells: Mapping[str, Cell]) -> Iterator[Ran]:
    """Each cell run by itself."""
    for key, cell in cells.items():
        began = time.perf_counter()
        result = cell.run()
        yield key, result, time.perf_counter() - began


def here(
    cells: Mapping[str, Cell],
    store: Store,
    done: Done,
    wait: Wait,
    *,
    mates: Callable[[str, Sequence[str]], Sequence[str]] = lambda key, missing: (),
    run: Callable[[Mapping[str, Cell]], Iterator[Ran]] = one_by_one,
) -> None:
    """One after another in this process; those that other processes have taken are waited for.

    mates: which of the missing ones are to be taken with one that is; run: how those that were taken are run
    """
    waiting = False
    while missing := [key for key in cells if key not in store.results([key])]:
        key = store.take(missing)
        if key is None:
            if not waiting:
                wait(len(missing))
            waiting = True
            time.sleep(min(1.0, store.lease / 4))
            continue
        with ExitStack() as kept:
            kept.enter_context(store.working(key))
            taken = [key]
            for mate in mates(key, missing):
                if store.take([mate]):
                    kept.enter_context(store.working(mate))
                    taken.append(mate)
            for ended, result, seconds in run({key: cells[key] for key in taken}):
                store.finish(ended, result)
                done(ended, result, seconds)
