"""Several processes of a test, forked, so that nothing is loaded twice; joined by gloo."""

import os
import pickle
import signal
import socket
import sys
import time
import traceback
from pathlib import Path

import torch

from oneblock.config.errors import OneblockError
from oneblock.train.processes import joined


def free_port():
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return found.getsockname()[1]


def forked(world, work, folder, seconds=100):
    """`work(processes)` in each of `world` processes; what each gave, or the exception it ended with."""
    folder = Path(folder)
    folder.mkdir(exist_ok=True)
    port, children = free_port(), []
    sys.stdout.flush()
    for rank in range(world):
        child = os.fork()
        if child == 0:
            try:
                _live(world, rank, port, work, folder)
            finally:
                os._exit(0)
        children.append(child)
    deadline = time.monotonic() + seconds
    waiting = set(children)
    while waiting and time.monotonic() < deadline:
        waiting -= {child for child in waiting if os.waitpid(child, os.WNOHANG)[0]}
        time.sleep(0.01)
    for child in waiting:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
    assert not waiting, f"{len(waiting)} of {world} processes were still waiting after {seconds} s"
    found = []
    for rank in range(world):
        path = folder / f"rank{rank}.pickle"
        found.append(pickle.loads(path.read_bytes()) if path.exists() else None)
        path.unlink(missing_ok=True)
    return found


def _live(world, rank, port, work, folder):
    os.environ |= {
        "RANK": str(rank), "WORLD_SIZE": str(world), "LOCAL_RANK": str(rank),
        "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port), "ONEBLOCK_NO_KERNELS": "1",
    }  # fmt: skip
    torch.set_num_threads(1)
    try:
        with joined(torch.device("cpu")) as processes:
            made = work(processes)
    except BaseException as error:
        traceback.print_exc()
        made = error
    path = folder / f"rank{rank}.pickle"
    beside = path.with_suffix(".new")
    try:
        text = pickle.dumps(made)
        pickle.loads(text)
    except Exception:
        # An error that takes more than its words: its kind and its words.
        text = pickle.dumps((OneblockError if isinstance(made, OneblockError) else RuntimeError)(str(made)))
    beside.write_bytes(text)
    beside.rename(path)
