"""What was added to images."""

from __future__ import annotations

import functools
from dataclasses import replace
from typing import ClassVar, Self

import numpy as np
import torch
from torch import Tensor, nn

from oneblock.config.config import Config
from oneblock.config.dit import DiT
from oneblock.data.errors import DataError
from oneblock.data.images import ImageSet, ImageSplit, load_images, sample_images
from oneblock.decoding.diffusion import draw
from oneblock.inspect.classifier import accuracy, train_classifier
from oneblock.models.diffusion import from_pixels, make_process, to_pixels
from oneblock.runs.folder import Run
from oneblock.train.evaluate import evaluating
from oneblock.train.precision import InPrecision
from oneblock.train.seeds import step_seed
from oneblock.train.tasks.task import Arrays, Forward, Task, check_unchanged, on_device

SAMPLES_A_CLASS = 50
GUIDANCE = 2.0
DRAWING_STEPS = 25
"""Of Heun's sampler, two answers each."""
NOISES = 4
"""Times and noises that each held-out image is judged at."""
LIGHT = " .:-=+*#%@"


class DenoiseTask(Task):
    """Images, their classes, and for each a time and noise drawn from (seed, step)."""

    measure_names: ClassVar[tuple[str, ...]] = ("sample_accuracy", "classifier_accuracy")
    has_perplexity = False

    def __init__(self, config: Config, images: ImageSet) -> None:
        assert isinstance(config.model, DiT)
        self.model_config, self.images, self.batch_size = config.model, images, config.recipe.batch_size
        self.process = make_process(config.model.process)
        self.name, self.origin, self.sha256 = images.name, images.origin, images.sha256
        self.files = {
            "data.json": {
                "name": images.name,
                "origin": images.origin,
                "sha256": images.sha256,
                "classes": list(images.classes),
            }
        }

    @classmethod
    def begin(cls, config: Config) -> tuple[Config, Self]:
        images, option = load_images(config.recipe.data), config.model
        assert isinstance(option, DiT)
        side = images.train.images.shape[1:]
        if option.channels != 1 or option.sides != side:
            wanted = f"{side[0]} × {side[1]} with 1 channel"
            given = f"{option.sides[0]} × {option.sides[1]} with {option.channels}"
            raise DataError(
                f"the images of {images.name} are {wanted}, the model's {given}; set image_height and so on"
            )
        if option.num_classes is not None:
            config = replace(config, model=replace(option, num_classes=len(images.classes)))
        return config, cls(config, images)

    @classmethod
    def reopen(cls, config: Config, run: Run) -> Self:
        images = load_images(config.recipe.data)
        check_unchanged(run, images.sha256, images.origin)
        return cls(config, images)

    @property
    def tokens_a_step(self) -> int:
        return self.batch_size * self.model_config.context

    def size(self, split: str) -> int:
        return NOISES * len(self.images.splits[split])

    def batch(self, step: int, seed: int, whole: bool) -> Arrays:
        split = self._whole if whole else self.images.train
        images, labels = sample_images(split, seed=seed, step=step, batch_size=self.batch_size)
        generator = torch.Generator().manual_seed(step_seed(seed, step, 1))
        pixels_BCHW = from_pixels(torch.tensor(images))
        time_B, noise_BCHW = self.process.draw(pixels_BCHW, generator)
        return pixels_BCHW.numpy(), labels, time_B.numpy(), noise_BCHW.numpy()

    def loss(self, forward: Forward, *batch: Tensor) -> Tensor:
        images_BCHW, classes_B, time_B, noise_BCHW = batch
        answer_BCHW = forward(
            self.process.noised(images_BCHW, time_B, noise_BCHW),
            time_B,
            None if self.model_config.num_classes is None else classes_B,
        )
        return self.process.losses(answer_BCHW.float(), images_BCHW, time_B, noise_BCHW).mean()

    def num_targets(self, *batch: Tensor) -> int:
        return len(batch[0])

    def loss_on(self, model: nn.Module, split: str, precision: torch.dtype) -> float:
        """The mean over all images, each at the same NOISES times and noises in every evaluation."""
        chosen = self.images.splits[split]
        most = len(self.images.validation)
        rows = np.linspace(0, len(chosen) - 1, min(most, len(chosen))).astype(int) if split == "train" else slice(None)
        images, labels = chosen.images[rows], chosen.labels[rows]
        device = next(model.parameters()).device
        forward, total = InPrecision(model, precision), 0.0
        with evaluating(model):
            for repeat in range(NOISES):
                for start in range(0, len(labels), 128):
                    pixels_BCHW = from_pixels(torch.tensor(images[start : start + 128]))
                    generator = torch.Generator().manual_seed(step_seed(repeat, start, 2))
                    drawn = self.process.draw(pixels_BCHW, generator)
                    batch = (pixels_BCHW.numpy(), labels[start : start + 128], *(one.numpy() for one in drawn))
                    total += float(self.loss(forward, *on_device(batch, device))) * len(pixels_BCHW)
        return total / (NOISES * len(labels))

    def measures_cost(self) -> float:
        if self.model_config.num_classes is None:
            return 0.0
        answers = 2 * DRAWING_STEPS * SAMPLES_A_CLASS * len(self.images.classes) * (2 if self._guidance != 1 else 1)
        # An answer is about a third of a training step on an image.
        return answers / (3 * self.batch_size)

    def measures(self, model: nn.Module) -> dict[str, float]:
        """sample_accuracy: share of the model's images that a classifier of real images sees as their class.

        classifier_accuracy: that classifier's own on held-out real images, the ceiling. Says nothing of variety.
        """
        if self.model_config.num_classes is None:
            return {}
        judge = train_classifier(self._whole.images, self._whole.labels)
        labels = np.repeat(np.arange(len(self.images.classes)), SAMPLES_A_CLASS)
        drawn_BCHW = draw(model, labels.tolist(), steps=DRAWING_STEPS, guidance=self._guidance, seed=0)
        held_out = self.images.validation
        return {
            "sample_accuracy": accuracy(judge, to_pixels(drawn_BCHW)[:, 0].cpu().numpy(), labels),
            "classifier_accuracy": accuracy(judge, held_out.images, held_out.labels),
        }

    def sample(self, model: nn.Module) -> str:
        """The first classes' images, side by side, in characters."""
        classes = None if self.model_config.num_classes is None else list(range(min(5, self.model_config.num_classes)))
        drawn = to_pixels(draw(model, classes, count=5, guidance=self._guidance, seed=0))[:, 0].cpu().numpy()
        # Two rows of pixels in one of characters, which are twice as high as wide.
        dark = drawn.reshape(len(drawn), -1, 2, drawn.shape[2]).mean(2) if drawn.shape[1] % 2 == 0 else drawn
        rows = np.concatenate(list(dark), axis=1).astype(int)
        return "\n".join("".join(LIGHT[value * len(LIGHT) // 256] for value in row).rstrip() for row in rows)

    def try_it(self, run: Run) -> str:
        return f"{super().try_it(run)} --image samples.png"

    @property
    def _guidance(self) -> float:
        return GUIDANCE if self.model_config.num_classes is not None and self.model_config.class_dropout else 1.0

    @functools.cached_property
    def _whole(self) -> ImageSplit:
        parts = self.images.train, self.images.selection
        return ImageSplit(
            images=np.concatenate([part.images for part in parts]),
            labels=np.concatenate([part.labels for part in parts]),
        )
