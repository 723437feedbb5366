"""The store: results found again, cells shared, and nothing lost when a process dies at any moment."""

import json
import math
import os
import signal
import sqlite3
import subprocess
import sys
import threading
import time

import pytest

from oneblock.compare.store import Store
from oneblock.config.errors import OneblockError


class Clock:
    def __init__(self):
        self.now = 1000.0

    def __call__(self):
        return self.now


@pytest.fixture
def two(tmp_path):
    clock = Clock()
    stores = [Store(tmp_path, worker=f"elsewhere:{n}:x", lease=20.0, clock=clock) for n in (1, 2)]
    stores[0].add({"k1": {"seed": 1}, "k2": {"seed": 2}})
    yield *stores, clock
    for store in stores:
        store.close()


def test_each_cell_goes_to_one_worker(two):
    one, other, _ = two
    assert one.take(["k1", "k2"]) == "k1"
    assert other.take(["k1", "k2"]) == "k2"
    assert one.take(["k1", "k2"]) is None


def test_a_result_is_found_again_with_every_number_as_it_was(two):
    one, other, _ = two
    result = {"measures": {"loss": 0.1 + 0.2, "bad": math.inf}, "curve": [[1, 2.5]]}
    one.take(["k1"])
    one.finish("k1", result)
    assert other.results(["k1", "k2"]) == {"k1": result}
    assert math.isnan((other.finish("k2", {"x": math.nan}), other.results(["k2"]))[1]["k2"]["x"])


def test_the_first_result_stays(two):
    one, other, _ = two
    one.finish("k1", {"who": 1})
    other.finish("k1", {"who": 2})
    assert one.results(["k1"]) == {"k1": {"who": 1}}


def test_a_cell_without_a_heartbeat_is_taken_again_after_its_lease(two):
    one, other, clock = two
    one.take(["k1"])
    clock.now += 19.0
    assert other.take(["k1"]) is None
    clock.now += 2.0
    assert other.take(["k1"]) == "k1"


def test_a_heartbeat_keeps_a_cell(tmp_path):
    one, other = (Store(tmp_path, worker=f"elsewhere:{n}:x", lease=0.4) for n in (1, 2))
    one.add({"k": {}})
    assert one.take(["k"]) == "k"
    with one.working("k"):
        end = time.monotonic() + 1.0
        while time.monotonic() < end:
            assert other.take(["k"]) is None
            time.sleep(0.05)
        one.finish("k", {})
    assert other.results(["k"]) == {"k": {}}


def test_work_that_is_cut_short_gives_the_cell_back_at_once(two):
    one, other, _ = two
    one.take(["k1"])
    with pytest.raises(KeyboardInterrupt), one.working("k1"):
        raise KeyboardInterrupt
    assert other.take(["k1"]) == "k1"


DIES = """
import os, signal, sys
from pathlib import Path
from oneblock.compare.store import Store
store = Store(Path(sys.argv[1]))
store.add({"done": {}, "begun": {}})
store.take(["done"]); store.finish("done", {"loss": 1.5})
store.take(["begun"])
store._db.execute("begin immediate")
store._db.execute("update cells set result = 'half of a resu' where key = 'begun'")
os.kill(os.getpid(), signal.SIGKILL)
"""


def test_a_killed_process_loses_its_cell_in_flight_and_nothing_else(tmp_path):
    ended = subprocess.run([sys.executable, "-c", DIES, str(tmp_path)], timeout=60)
    assert ended.returncode == -signal.SIGKILL
    store = Store(tmp_path)
    assert store.results(["done", "begun"]) == {"done": {"loss": 1.5}}
    # On the same machine a dead worker is known at once; the lease of a minute need not pass.
    assert store.take(["done", "begun"]) == "begun"
    store.close()


def test_a_process_that_lives_is_not_taken_for_dead(tmp_path):
    one = Store(tmp_path)
    assert not one._is_dead(one.worker)
    assert not one._is_dead(f"another-machine:{2**22 + 1}:x")
    assert not one._is_dead("no number")
    assert one._is_dead(one.worker.replace(str(os.getpid()), str(_unused())))
    one.close()


def _unused():
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    return process.pid


def test_a_new_file_that_another_process_holds_for_a_moment_is_waited_for(tmp_path):
    holder = sqlite3.connect(tmp_path / "results.sqlite", isolation_level=None, check_same_thread=False)
    holder.execute("begin immediate")
    release = threading.Timer(0.3, lambda: holder.execute("commit"))
    release.start()
    store = Store(tmp_path)
    release.join()
    store.add({"k1": {}})
    assert store.take(["k1"]) == "k1"
    assert store._db.execute("pragma journal_mode").fetchone() == ("wal",)
    holder.close()
    store.close()


def test_a_file_that_stays_held_is_an_error_in_words(tmp_path, monkeypatch):
    monkeypatch.setattr("oneblock.compare.store.PATIENCE", 0.05)
    holder = sqlite3.connect(tmp_path / "results.sqlite", isolation_level=None)
    holder.execute("begin immediate")
    with pytest.raises(
        OneblockError, match=r"results\.sqlite cannot be used: database is locked; choose another --out"
    ):
        Store(tmp_path)
    holder.close()


def test_the_lines_beside_it_say_what_the_file_says(two, tmp_path):
    one, other, clock = two
    other.finish("k2", {"loss": 2.0})
    clock.now += 1
    one.finish("k1", {"loss": 1.0})
    lines = [json.loads(line) for line in one.write_lines().read_text().splitlines()]
    assert lines == [
        {"key": "k2", "seed": 2, "result": {"loss": 2.0}},
        {"key": "k1", "seed": 1, "result": {"loss": 1.0}},
    ]


def test_a_folder_that_cannot_be_is_an_error_in_words(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(OneblockError, match="choose another --out"):
        Store(tmp_path / "file")
    (tmp_path / "results.sqlite").write_text("no database, " * 100)
    with pytest.raises(OneblockError, match="choose another --out"):
        Store(tmp_path)
