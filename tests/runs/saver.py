"""A process to be killed: on each line of stdin it forks a child that saves without pause.

The child writes "STEP TAKE" to stdout once a save has returned. Forking spares the import of torch each time.
"""

import os
import sys
from pathlib import Path

import torch

from oneblock.runs.checkpoint import load_checkpoint, prune, save_checkpoint, sweep
from oneblock.runs.weights import load_weights, save_weights


def content(step: int, take: int) -> dict[str, torch.Tensor]:
    """What is saved at a step, each step in two takes: the second replaces the first under the same name."""
    generator = torch.Generator().manual_seed(2 * step + take)
    weight = torch.randn(211, 509, generator=generator)
    return {
        "weight": weight,
        "tied": weight,
        "half": weight[:5].bfloat16(),
        "step": torch.tensor(step),
        "moments.weight": torch.randn(509, 211, generator=generator).t(),
    }


def save_for_ever(folder: Path, kind: str) -> None:
    sweep(folder)
    step = 0
    if any(folder.iterdir()):
        found = load_checkpoint(folder).state if kind == "checkpoint" else load_weights(folder, "kept")[1]
        step = found["step"]
    while True:
        step += 1
        for take in (0, 1):
            meta = {"step": step, "take": take, "loss": step / 7}
            if kind == "checkpoint":
                save_checkpoint(folder, step, content(step, take), meta)
            else:
                save_weights(folder, "kept", content(step, take), meta)
            os.write(1, f"{step} {take}\n".encode())
        if kind == "checkpoint":
            prune(folder, keep=2)


if __name__ == "__main__":
    torch.set_num_threads(1)
    os.write(1, b"ready\n")
    for _ in sys.stdin:
        child = os.fork()
        if child == 0:
            save_for_ever(Path(sys.argv[1]), sys.argv[2])
        os.write(1, f"child {child}\n".encode())
        os.waitpid(child, 0)
        os.write(1, b"dead\n")
