"""kill -9 at random moments of a save: what loads afterwards is, bit for bit, something that was saved."""

import os
import random
import runpy
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

from oneblock.runs.checkpoint import load_checkpoint
from oneblock.runs.weights import load_weights

SAVER = Path(__file__).with_name("saver.py")
content = runpy.run_path(str(SAVER))["content"]

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")


@pytest.mark.parametrize(("kind", "kills"), [("checkpoint", 25), ("weights", 13)])
def test_a_killed_save_leaves_the_old_or_the_new(tmp_path: Path, kind: str, kills: int) -> None:
    dice = random.Random(7)
    command = [sys.executable, str(SAVER), str(tmp_path), kind]
    nursery = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1)
    assert nursery.stdin and nursery.stdout
    hit, saved = 0, (0, 0)
    try:
        assert nursery.stdout.readline() == "ready\n"
        for _ in range(kills):
            nursery.stdin.write("go\n")
            # The very first save must have come through, else there is nothing that could load.
            child = 0
            while not child or saved == (0, 0):
                saved, child = _read(nursery.stdout.readline(), saved, child)
            time.sleep(dice.uniform(0.0, 0.1))
            os.kill(child, signal.SIGKILL)
            while (line := nursery.stdout.readline()) != "dead\n":
                saved, child = _read(line, saved, child)
            hit += any(tmp_path.rglob("*.tmp")) or any(tmp_path.rglob("*.old"))

            if kind == "checkpoint":
                found = load_checkpoint(tmp_path)
                tensors, meta = found.tensors, found.state
                assert found.skipped == ()
                assert found.step == meta["step"]
            else:
                tensors, meta = load_weights(tmp_path, "kept")
            assert (meta["step"], meta["take"]) >= saved, "a save that had returned is lost"
            assert meta["loss"] == meta["step"] / 7
            expected = content(meta["step"], meta["take"])
            assert tensors.keys() == expected.keys()
            for name, tensor in expected.items():
                assert torch.equal(tensors[name], tensor) and tensors[name].dtype == tensor.dtype
    finally:
        nursery.stdin.close()
        nursery.wait(timeout=20)
    assert hit > 0, "no kill fell into a save: the test has shown nothing"


def _read(line: str, saved: tuple[int, int], child: int) -> tuple[tuple[int, int], int]:
    first, second = line.split()
    if first == "child":
        return saved, int(second)
    return (int(first), int(second)), child
