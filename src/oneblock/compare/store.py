"""The results of all comparisons in one SQLite file: found again by content, shared by several processes.

A cell is `open`, `taken` (by a worker whose heartbeat is younger than the lease) or `done`. Every change is one
transaction, so a process may die at any moment; what it had taken is taken again.
"""

from __future__ import annotations

import os
import platform
import sqlite3
import threading
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from oneblock.config.errors import OneblockError
from oneblock.runs.durable import replace
from oneblock.runs.jsonform import dump_exact, load_exact

LEASE = 60.0
"""Seconds without a heartbeat after which a cell is taken again."""

PATIENCE = 60.0
"""Seconds for which a file that another process holds is waited for."""

_TABLE = """
create table if not exists cells (
  key text primary key, about text not null, state text not null default 'open',
  worker text, beat real, result text, finished real
)"""


class Store:
    """Cells by key. One object for each process; `clock` is for tests."""

    def __init__(
        self, folder: Path, *, worker: str | None = None, lease: float = LEASE, clock: Callable[[], float] = time.time
    ) -> None:
        self.path, self.lease, self.clock = folder / "results.sqlite", lease, clock
        self.worker = worker or f"{platform.node()}:{os.getpid()}:{uuid.uuid4().hex[:8]}"
        try:
            folder.mkdir(parents=True, exist_ok=True)
            self._db = self._connect()
            self._db.execute(_TABLE)
        except (OSError, sqlite3.Error) as error:
            raise OneblockError(f"{self.path} cannot be used: {error}; choose another --out") from error

    def _connect(self) -> sqlite3.Connection:
        # Transactions are begun by hand; another process may hold the file for a moment.
        db = sqlite3.connect(self.path, timeout=PATIENCE, isolation_level=None)
        try:
            self._write_ahead(db)
            db.execute("pragma synchronous=full")
        except BaseException:
            db.close()
            raise
        return db

    def _write_ahead(self, db: sqlite3.Connection) -> None:
        """Sets the journal's mode. SQLite does not wait here while another process holds the file, so this does."""
        until = time.monotonic() + PATIENCE
        while True:
            try:
                db.execute("pragma journal_mode=wal")
                return
            except sqlite3.OperationalError as error:
                if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY or time.monotonic() > until:
                    raise
                time.sleep(0.01)

    def close(self) -> None:
        self._db.close()

    def add(self, cells: dict[str, dict[str, Any]]) -> None:
        """Make cells known, key -> what a person wants to know of it; those that are stay as they are."""
        with self._transaction():
            rows = [(key, dump_exact(about)) for key, about in cells.items()]
            self._db.executemany("insert or ignore into cells (key, about) values (?, ?)", rows)

    def results(self, keys: Sequence[str]) -> dict[str, dict[str, Any]]:
        """What is done of these cells: key -> result."""
        found = {}
        for key in keys:
            row = self._db.execute("select result from cells where key = ? and state = 'done'", (key,)).fetchone()
            if row:
                found[key] = load_exact(row[0])
        return found

    def about(self, key: str) -> dict[str, Any]:
        """What a person wants to know of a cell, as it was when the cell was made known."""
        (about,) = self._db.execute("select about from cells where key = ?", (key,)).fetchone()
        found: dict[str, Any] = load_exact(about)
        return found

    def take(self, keys: Sequence[str]) -> str | None:
        """The first of these cells that nobody works on, now ours; None where all are done or in other hands."""
        now = self.clock()
        with self._transaction():
            for key in keys:
                state, worker, beat = self._db.execute(
                    "select state, worker, beat from cells where key = ?", (key,)
                ).fetchone()
                left = state == "taken" and (beat < now - self.lease or self._is_dead(worker))
                if state == "open" or left:
                    self._db.execute(
                        "update cells set state = 'taken', worker = ?, beat = ? where key = ?", (self.worker, now, key)
                    )
                    return key
        return None

    def finish(self, key: str, result: dict[str, Any]) -> None:
        """Store a result; where another worker was faster, its result stays."""
        with self._transaction():
            self._db.execute(
                "update cells set state = 'done', result = ?, finished = ? where key = ? and state != 'done'",
                (dump_exact(result), self.clock(), key),
            )

    @contextmanager
    def working(self, key: str) -> Iterator[None]:
        """Beats for a taken cell while it is worked on, from a thread; gives the cell back if that was cut short."""
        done = threading.Event()
        thread = threading.Thread(target=self._beat, args=(key, done), daemon=True)
        thread.start()
        try:
            yield
        finally:
            done.set()
            thread.join()
            with self._transaction():
                self._db.execute(
                    "update cells set state = 'open', worker = null where key = ? and worker = ? and state = 'taken'",
                    (key, self.worker),
                )

    def _beat(self, key: str, done: threading.Event) -> None:
        db = self._connect()
        while not done.wait(self.lease / 4):
            db.execute("update cells set beat = ? where key = ? and worker = ?", (self.clock(), key, self.worker))
        db.close()

    def _is_dead(self, worker: str) -> bool:
        """Whether a worker was a process of this machine that is no more."""
        host, _, rest = worker.partition(":")
        number = rest.partition(":")[0]
        if host != platform.node() or not number.isdigit() or os.name == "nt":
            return False
        try:
            os.kill(int(number), 0)
        except ProcessLookupError:
            return True
        except PermissionError:
            return False
        # A process whose parent has not yet asked for its end still has its number, where Linux tells.
        told = Path(f"/proc/{number}/stat")
        return told.exists() and told.read_text().rpartition(")")[2].split()[0] == "Z"

    def write_lines(self) -> Path:
        """`results.jsonl` beside the file: every result that is done, in the order in which they were, a line each."""
        rows = self._db.execute("select key, about, result from cells where state = 'done' order by finished, key")
        lines = [
            dump_exact({"key": key, **load_exact(about), "result": load_exact(result)}) for key, about, result in rows
        ]
        path = self.path.with_name("results.jsonl")
        replace(path, "".join(f"{line}\n" for line in lines).encode())
        return path

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        self._db.execute("begin immediate")
        try:
            yield
        except BaseException:
            self._db.execute("rollback")
            raise
        self._db.execute("commit")
