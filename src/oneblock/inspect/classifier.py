"""A small convolutional classifier: the measure of generated images, trained on the real ones."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from torch import Tensor, nn

BATCH = 100
EVALUATED = 500
SHIFT = 2
RATE = 4e-3


class Classifier(nn.Module):
    """Images B × 1 × H × W in 0…1 -> logits B × classes: three convolutions, pooled, then one linear map."""

    def __init__(self, num_classes: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Conv2d(1, 16, 3, padding=1),
            nn.ReLU(),
            nn.MaxPool2d(2, ceil_mode=True),
            nn.Conv2d(16, 32, 3, padding=1),
            nn.ReLU(),
            nn.MaxPool2d(2, ceil_mode=True),
            nn.Conv2d(32, 64, 3, padding=1),
            nn.ReLU(),
            nn.AdaptiveMaxPool2d(3),
            nn.Flatten(),
            nn.Dropout(0.2),
            nn.Linear(64 * 9, num_classes),
        )

    def forward(self, images_BCHW: Tensor) -> Tensor:
        return self.layers(images_BCHW)


def train_classifier(
    images: npt.NDArray[Any], labels: npt.NDArray[Any], seed: int = 0, *, epochs: int = 12
) -> Classifier:
    """A classifier of uint8 images N × H × W with labels 0…, in eval mode; on the CPU, torch's generator untouched.

    AdamW under one cycle of the learning rate, each batch shifted by up to 2 pixels. Seconds for 5,000 digits.
    """
    _check(images, labels)
    if not len(images):
        raise ValueError("there are no images to learn from")
    num_classes = int(np.max(labels)) + 1
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = Classifier(num_classes)
        inputs, targets = _inputs(images), torch.tensor(np.asarray(labels), dtype=torch.int64)
        batches = -(-len(inputs) // BATCH)
        optimizer = torch.optim.AdamW(model.parameters(), lr=RATE, weight_decay=0.01)
        schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, RATE, total_steps=epochs * batches)
        for _ in range(epochs):
            for rows in torch.randperm(len(inputs)).split(BATCH):
                loss = F.cross_entropy(model(_shifted(inputs[rows])), targets[rows], label_smoothing=0.05)
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
                schedule.step()
    return model.eval()


@torch.no_grad()
def classify(model: Classifier, images: npt.NDArray[Any]) -> npt.NDArray[np.int64]:
    """The class of each uint8 image N × H × W."""
    told = [model(part).argmax(1) for part in _inputs(images).split(EVALUATED)]
    return torch.cat(told).numpy() if told else np.empty(0, np.int64)


def accuracy(model: Classifier, images: npt.NDArray[Any], labels: npt.NDArray[Any]) -> float:
    """The share of uint8 images N × H × W that are classified as their labels say.

    Of generated images this measures whether their class can be told, and nothing about their variety: a hundred
    copies of one good 7 score 1. Beside it belongs the accuracy on held-out real images, its ceiling.
    """
    _check(images, labels)
    if not len(images):
        raise ValueError("there are no images to classify")
    return float((classify(model, images) == np.asarray(labels)).mean())


def _check(images: npt.NDArray[Any], labels: npt.NDArray[Any]) -> None:
    if images.ndim != 3 or images.dtype != np.uint8 or np.shape(labels) != (len(images),):
        raise ValueError(
            f"images must be uint8 of shape N × H × W with N labels, got {images.dtype} {images.shape} "
            f"and labels {np.shape(labels)}"
        )


def _inputs(images: npt.NDArray[Any]) -> Tensor:
    return torch.tensor(images, dtype=torch.float32).unsqueeze(1) / 255


def _shifted(images_BCHW: Tensor) -> Tensor:
    # One shift for each batch: many batches see many shifts, and a slice is cheap.
    height, width = images_BCHW.shape[2:]
    down, right = torch.randint(0, 2 * SHIFT + 1, (2,)).tolist()
    return F.pad(images_BCHW, [SHIFT] * 4)[:, :, down : down + height, right : right + width]
