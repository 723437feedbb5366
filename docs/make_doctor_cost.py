"""What the training log's looks cost: `python docs/make_doctor_cost.py [PRESET] [SECONDS]`, nano and 120 by default.

The preset's own step on random tokens, compiled as `oneblock train` does, one thread, its precision bfloat16: a step
with a look and one without in turn. Printed are medians, the middle half of the differences of neighbours, and the
share of the time of training: one look to 25 steps.
"""

from __future__ import annotations

import statistics
import sys
import time

import torch

import oneblock
from oneblock.train.clip import clip_gradients
from oneblock.train.layout import Layout
from oneblock.train.look import EVERY, Looks
from oneblock.train.optimizer import make_optimizer
from oneblock.train.step import Gradients, next_token


def main(preset: str = "nano", seconds: str = "120") -> None:
    torch.set_num_threads(1)
    torch.manual_seed(0)
    config = getattr(oneblock.presets, preset)()
    recipe, model = config.recipe, oneblock.build(config, seed=0)
    optimizer = make_optimizer(model, recipe.optimizer)
    gradients = Gradients(model, precision=torch.bfloat16, loss=next_token)
    looks = Looks(gradients, Layout(model), optimizer, recipe.clip)
    size = (recipe.batch_size, config.model.context)
    batch = tuple(torch.randint(0, config.model.vocab_size, size) for _ in range(2))
    compiled = gradients.compile(*batch, tell=lambda event, **more: None)

    def step(look: bool) -> float:
        began = time.perf_counter()
        optimizer.zero_grad()
        gradients(*batch, step=0)
        norm = float(clip_gradients(optimizer.parameters(), recipe.clip or float("inf")))
        if look:
            looks.before(0, batch, norm, "ok")
        optimizer.step()
        if look:
            looks.after(lambda event, **more: None)
        return time.perf_counter() - began

    for look in (True, False, True, False):
        step(look)
    pairs, end = [], time.monotonic() + float(seconds)
    while time.monotonic() < end:
        pairs.append((step(True), step(False)))
    plain = statistics.median(without for _, without in pairs)
    more = sorted(with_look - without for with_look, without in pairs)
    extra, quarter = statistics.median(more), len(more) // 4
    between = f"{1e3 * more[quarter]:.0f} to {1e3 * more[-1 - quarter]:.0f}"
    print(
        f"{preset}{', compiled' if compiled else ''}: a step {1e3 * plain:.0f} ms, a look {1e3 * extra:.0f} ms more "
        f"(the middle half {between}), {100 * extra / plain / EVERY:.2f} % of {EVERY} steps, {len(pairs)} pairs"
    )


if __name__ == "__main__":
    main(*sys.argv[1:])
