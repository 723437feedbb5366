"""What modulated blocks read: a time and a class as one vector."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from oneblock.nn.linear import Linear


class TimeEmbedding(nn.Module):
    """down(SiLU(up([cos(t·ω) | sin(t·ω)]))), ω_k = 10000^(−k/n) for n = half of the waves: B -> B × D.

    Phases are taken in float64. `scale` multiplies t first. People get wrong that here the cosines come first.
    """

    def __init__(self, num_waves: int, width: int, scale: float = 1.0) -> None:
        super().__init__()
        half = num_waves // 2
        self.omega = scale * 10_000.0 ** -(torch.arange(half, dtype=torch.float64) / half)
        self.up = Linear(num_waves, width)
        self.down = Linear(width, width)

    def waves(self, time_B: Tensor) -> Tensor:
        """The cosines and sines, B × num_waves, in float64."""
        self.omega = self.omega.to(time_B.device)
        phase = time_B.to(torch.float64).unsqueeze(1) * self.omega
        return torch.cat([phase.cos(), phase.sin()], dim=1)

    def forward(self, time_B: Tensor) -> Tensor:
        return self.down(F.silu(self.up(self.waves(time_B).to(self.up.weight.dtype))))


class ClassEmbedding(nn.Embedding):
    """c + table[class], B × D. In training a share `dropout` of the labels becomes the last one, "no class".

    That is what classifier-free guidance is trained by (Ho and Salimans 2022). Without dropout there is no such label.
    """

    def __init__(self, num_classes: int, width: int, dropout: float) -> None:
        super().__init__(num_classes + (dropout > 0), width)
        self.no_class, self.dropout = num_classes, dropout

    def forward(self, c_BD: Tensor, classes_B: Tensor | None) -> Tensor:  # type: ignore[override]
        if classes_B is None:
            classes_B = torch.full((c_BD.shape[0],), self.no_class, device=c_BD.device)
        self._check(classes_B)
        if self.training and self.dropout:
            dropped_B = torch.rand(classes_B.shape, device=classes_B.device) < self.dropout
            classes_B = classes_B.masked_fill(dropped_B, self.no_class)
        return c_BD + super().forward(classes_B)

    def _check(self, classes_B: Tensor) -> None:
        if torch.compiler.is_compiling() or not classes_B.numel():
            return
        wrong = [int(number) for number in (classes_B.min(), classes_B.max()) if not 0 <= number < self.num_embeddings]
        if wrong:
            none = f", or {self.no_class}: no class" if self.dropout else "; this model knows no image without a class"
            raise ValueError(f"class {wrong[0]} is not one of the model's, 0…{self.no_class - 1}{none}")


class NoClasses(nn.Module):
    """c: images have no classes."""

    def forward(self, c_BD: Tensor, classes_B: Tensor | None) -> Tensor:
        if classes_B is not None:
            raise ValueError("classes were given to a model without classes; give none, or build it with num_classes")
        return c_BD


class Condition(nn.Module):
    """c = time embedding + class embedding, B × D."""

    def __init__(self, time: TimeEmbedding, classes: ClassEmbedding | NoClasses) -> None:
        super().__init__()
        self.time, self.classes = time, classes

    def forward(self, time_B: Tensor, classes_B: Tensor | None) -> Tensor:
        c_BD: Tensor = self.classes(self.time(time_B), classes_B)
        return c_BD
