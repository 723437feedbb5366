"""`draw`: images from noise, by a model and one of its process's samplers."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from oneblock.decoding.errors import GenerateError
from oneblock.decoding.generate import check_count, in_eval_mode, new_seed, seed_of_row
from oneblock.decoding.samplers import SAMPLERS, Sampler
from oneblock.models.process import Process


@torch.no_grad()
def draw(
    model: Any,
    classes: Tensor | Sequence[int] | None = None,
    *,
    count: int = 1,
    steps: int | None = None,
    guidance: float = 1.0,
    seed: int | None = None,
    sampler: str | None = None,
    batch_size: int = 256,
) -> Tensor:
    """An image for each class, B × C × H × W in about [−1, 1] (`to_pixels` makes bytes of them).

    classes: the number of classes itself stands for "no class"; None: `count` images without one
    steps, sampler: None: the usual ones of the model's process (`SAMPLERS`)
    guidance: s of none + s·(class − none), on all channels but a learned variance's; 1: off (Ho and Salimans's w + 1)
    seed: what row b draws depends on (seed, b) alone; `batch_size` rows are computed at once
    The model is in eval mode meanwhile. GenerateError for settings that do not fit and for answers that are no numbers.
    """
    name, chosen = _sampler(model.process, sampler)
    steps = min(chosen.steps, chosen.most(model.process)) if steps is None else steps
    _check_steps(name, steps, chosen.most(model.process))
    labels = _labels(model.config, classes, count)
    _check_guidance(model.config, guidance)
    check_count("batch_size", batch_size, 1)
    if seed is not None:
        check_count("seed", seed, 0)
    seed = new_seed() if seed is None else seed
    weight = model.head.weight
    drawn = []
    with in_eval_mode(model):
        for start in range(0, len(labels), batch_size):
            part = labels[start : start + batch_size]
            noise = _Noise(seed, range(start, start + len(part)), model.shape, weight)
            label_B = None if model.config.num_classes is None else torch.tensor(part, device=weight.device)
            drawn.append(chosen.run(model.process, predictor(model, label_B, guidance), noise(), steps, noise))
    images_BCHW = torch.cat(drawn)
    if not images_BCHW.isfinite().all():
        raise GenerateError(
            "the images are NaN or infinite; look for such numbers in the model's weights, or load an older checkpoint"
        )
    return images_BCHW


def predictor(model: Any, classes_B: Tensor | None, guidance: float = 1.0) -> Callable[[Tensor, Tensor], Tensor]:
    """(x_t, one time for all) -> the model's answer, guided: none + s·(class − none) (Ho and Salimans 2022, eq. 6).

    Both answers come from one pass over twice the rows. A learned variance is the class's own.
    """

    def predict(x_BCHW: Tensor, time: Tensor) -> Tensor:
        rows, channels = x_BCHW.shape[:2]
        if guidance == 1:
            return model(x_BCHW, time.to(x_BCHW.device).expand(rows), classes_B)
        assert classes_B is not None
        labels = torch.cat([classes_B, torch.full_like(classes_B, model.config.num_classes)])
        answer = model(torch.cat([x_BCHW, x_BCHW]), time.to(x_BCHW.device).expand(2 * rows), labels)
        given, none = answer.chunk(2)
        guided = none[:, :channels] + guidance * (given[:, :channels] - none[:, :channels])
        return torch.cat([guided, given[:, channels:]], dim=1)

    return predict


class _Noise:
    """Each call gives standard normal noise for every row, a row's from its own generator on the CPU."""

    def __init__(self, seed: int, rows: range, shape: tuple[int, ...], like: Tensor) -> None:
        self.generators = [torch.Generator().manual_seed(seed_of_row(seed, row)) for row in rows]
        self.shape, self.like = shape, like

    def __call__(self) -> Tensor:
        return torch.stack([torch.randn(self.shape, generator=one) for one in self.generators]).to(self.like)


def _sampler(process: Process, name: str | None) -> tuple[str, Sampler]:
    fitting = {key: one for key, one in SAMPLERS.items() if isinstance(process, one.process)}
    if name is None:
        name = next(iter(fitting))
    if name not in fitting:
        raise GenerateError(
            f"sampler={name!r} is not one for {type(process).__name__}, the process this model was trained for; "
            f"try {' or '.join(fitting)}"
        )
    return name, fitting[name]


def _check_steps(name: str, steps: int, most: int) -> None:
    check_count("steps", steps, 1)
    if steps > most:
        raise GenerateError(f"steps={steps} is more than the {most} the model was trained on; {name} takes 1 to {most}")


def _labels(config: Any, classes: Tensor | Sequence[int] | None, count: int) -> list[int]:
    if classes is None:
        check_count("count", count, 1)
        if config.num_classes is not None and config.num_labels == config.num_classes:
            raise GenerateError(
                f"this model knows no image without a class; give classes, of 0…{config.num_classes - 1}"
            )
        return [config.num_classes or 0] * count
    labels = classes.tolist() if isinstance(classes, Tensor) else list(classes)
    if config.num_classes is None:
        raise GenerateError("this model's images have no classes; leave classes out and give count")
    if not labels or not all(type(label) is int for label in labels):
        raise GenerateError(f"classes={classes!r} must be whole numbers, one for each image")
    for label in labels:
        if not 0 <= label < config.num_labels:
            none = f", or {config.num_classes}: no class" if config.num_labels > config.num_classes else ""
            raise GenerateError(f"class {label} is not one of the model's, 0…{config.num_classes - 1}{none}")
    return labels


def _check_guidance(config: Any, guidance: object) -> None:
    if isinstance(guidance, bool) or not isinstance(guidance, int | float) or not math.isfinite(guidance):
        raise GenerateError(f"guidance={guidance!r} must be a number: 1 is off, try 1.5 or 4")
    if guidance != 1 and config.num_labels in (0, config.num_classes):
        raise GenerateError(
            f"guidance={guidance} compares with images of no class, which this model was not trained for "
            f"(num_classes={config.num_classes}, class_dropout={config.class_dropout:g}); leave guidance at 1"
        )
