"""Images from noise, as one PNG: a row for each class."""

from __future__ import annotations

import argparse
import time
from pathlib import Path
from typing import Any

from oneblock.cli.common import say
from oneblock.cli.making.seed import seed_of
from oneblock.config.errors import OneblockError
from oneblock.decoding.diffusion import draw
from oneblock.inspect.png import image_grid, png
from oneblock.machine.device import pick_device
from oneblock.models.diffusion import to_pixels
from oneblock.runs.durable import replace
from oneblock.runs.folder import Run
from oneblock.runs.load import load

COUNT, GUIDANCE, SCALE = 8, 2.0, 2


def make(args: argparse.Namespace) -> dict[str, Any]:
    """Write the grid; where it lies, and the speed."""
    run = Run.open(Path(args.run))
    model: Any = load(run.path).to(pick_device())
    names = run.read_json("data.json").get("classes") or []
    classes = _classes(args.prompt, names) if model.config.num_classes is not None else None
    if classes is None and args.prompt:
        raise OneblockError("this model's images have no classes; leave --prompt out")
    count, seed, path = args.count or COUNT, seed_of(args), args.image or Path("samples.png")
    labels = [label for label in classes for _ in range(count)] if classes is not None else None
    guided = classes is not None and model.config.num_labels > model.config.num_classes
    begin = time.perf_counter()
    drawn = draw(
        model,
        labels,
        count=count,
        steps=args.steps,
        guidance=args.guidance if args.guidance is not None else GUIDANCE if guided else 1.0,
        seed=seed,
    )
    seconds = time.perf_counter() - begin
    try:
        replace(path, png(image_grid(to_pixels(drawn).cpu(), count, scale=SCALE)))
    except OSError as error:
        raise OneblockError(f"cannot write {path}: {error.strerror or error}; give another --image") from error
    rows = f", a row each of {', '.join(names[label] for label in classes)}" if classes is not None else ""
    say(f"{len(drawn)} images in {seconds:.1f} s{rows}, --seed {seed}: {path}")
    return {
        "text": None,
        "tokens_per_second": len(drawn) * model.config.context / seconds,
        "prefill_tokens_per_second": None,
        "images": len(drawn),
        "image": str(path),
        "seed": seed,
    }


def _classes(prompts: list[str] | None, names: list[str]) -> list[int]:
    for prompt in prompts or []:
        if prompt not in names:
            raise OneblockError(f"{prompt!r} is no class of this model; try {', '.join(names)}")
    return [names.index(prompt) for prompt in prompts] if prompts else list(range(len(names)))
