import os
import subprocess
import sys
from pathlib import Path

import pytest

from oneblock.runs.errors import RunError
from oneblock.runs.lock import RunLock

pytest.importorskip("fcntl")

HOLD = """
import sys
from pathlib import Path
from oneblock.runs.lock import RunLock
with RunLock(Path(sys.argv[1])):
    print("held", flush=True)
    sys.stdin.read()
"""


def test_one_at_a_time_in_one_process(tmp_path: Path) -> None:
    path = tmp_path / "run.lock"
    with RunLock(path):
        with pytest.raises(
            RunError, match=rf"{tmp_path} is being written by process {os.getpid()} on .* another --out"
        ):
            RunLock(path).__enter__()
        # A refused one must not have taken the lock away from its holder.
        with pytest.raises(RunError):
            RunLock(path).__enter__()
    assert path.read_text() == ""
    with RunLock(path):
        pass


def test_another_process_is_named_and_its_death_frees_the_run(tmp_path: Path) -> None:
    path = tmp_path / "run.lock"
    command = [sys.executable, "-c", HOLD, str(path)]
    holder = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    try:
        assert holder.stdout and holder.stdout.readline() == "held\n"
        with pytest.raises(RunError, match=rf"process {holder.pid} on "):
            RunLock(path).__enter__()
    finally:
        holder.kill()
        holder.communicate()
    assert f"process {holder.pid}" in path.read_text()
    with RunLock(path):
        assert f"process {os.getpid()}" in path.read_text()


def test_a_forked_worker_does_not_keep_the_lock(tmp_path: Path) -> None:
    path = tmp_path / "run.lock"
    reading, writing = os.pipe()
    with RunLock(path):
        child = os.fork()
        if child == 0:
            # Alive until the parent closes its end: like a worker that outlives the training.
            os.close(writing)
            os.read(reading, 1)
            os._exit(0)
        # The child must be past the fork's own tidying before the lock is let go here.
        with pytest.raises(RunError):
            RunLock(path).__enter__()
    try:
        for _ in range(200):
            try:
                with RunLock(path):
                    break
            except RunError:
                os.sched_yield()
        else:
            pytest.fail("the worker holds the lock")
    finally:
        os.close(writing)
        os.close(reading)
        os.waitpid(child, 0)


def test_a_folder_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(RunError, match=r"cannot write into .*none: No such file"):
        RunLock(tmp_path / "none" / "run.lock").__enter__()
