"""The vision encoder: patches and a class token, the same blocks without a causal mask, vectors or classes."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from oneblock.config.position import NoPosition
from oneblock.config.vision import Vision as VisionConfig
from oneblock.models.images import check_images, draw_table, image_blocks, in_words, patch_embedding
from oneblock.nn.context import Context
from oneblock.nn.init import initialise
from oneblock.nn.linear import Linear
from oneblock.nn.norm import make_norm
from oneblock.nn.patches import patchify
from oneblock.nn.places import NoPlaces, Places
from oneblock.nn.position import Position
from oneblock.nn.record import Record


class Vision(nn.Module):
    """head(norm(block_L(… block_1([class | embed(patches)] + places)))) (Dosovitskiy et al. 2021, eq. 1–4).

    B × C × H × W -> B × (1 + N) × D, the class token first, or B × classes. `config` is kept for those who ask what
    this is; no forward reads it. `fused=False` writes attention out.
    """

    def __init__(self, config: VisionConfig, *, fused: bool = True) -> None:
        super().__init__()
        self.config, self.patch = config, config.patch
        self.shape = (config.channels, *config.sides)
        self.any_size = config.other_sizes == "bicubic" or isinstance(config.position, NoPosition)
        self.embedding = patch_embedding(config)
        self.class_token = ClassToken(config.width)
        learned = not isinstance(config.position, NoPosition)
        self.position = Places(config.grid, config.width) if learned else NoPlaces()
        self.nowhere = Position()
        self.blocks = image_blocks(config, fused=fused)
        self.norm = make_norm(config.final_norm, config.width)
        self.head = nn.Identity() if config.num_classes is None else HEADS[config.head_reads](config)
        initialise(self, config.init, tied=False)
        for table in (self.class_token, self.position):
            for weight in table.parameters():
                draw_table(weight)

    def forward(self, images_BCHW: Tensor, record: Record | None = None) -> Tensor:
        """Vectors B × (1 + N) × D for images B × C × H × W, or logits B × classes where it has a head.

        record: is told by experts what they did. ValueError for other shapes, also where sides are no multiple of a
        patch or the size is another than the positions were learned for, unless they are interpolated.
        """
        self._check(images_BCHW)
        height, width = images_BCHW.shape[2:]
        x_BTD = self.embed(images_BCHW, (height // self.patch, width // self.patch))
        ctx = Context(x_BTD.shape[1], x_BTD.device, position=self.nowhere, causal=False, record=record)
        for block in self.blocks:
            x_BTD = block(x_BTD, ctx)
        return self.head(self.norm(x_BTD))

    def embed(self, images_BCHW: Tensor, grid: tuple[int, int]) -> Tensor:
        """What enters the first block: the class token and the patches, mapped, with their places."""
        return self.position(self.class_token(self.embedding(patchify(images_BCHW, self.patch))), grid)

    def _check(self, images_BCHW: Tensor) -> None:
        check_images(images_BCHW, self.shape, any_size=True)
        given = tuple(images_BCHW.shape)
        if any(side % self.patch or not side for side in given[2:]):
            raise ValueError(f"images must have sides that are multiples of patch={self.patch}, got {given}")
        if given[1:] != self.shape and not self.any_size:
            raise ValueError(
                f"images must be of shape {in_words(self.shape)}, for which positions were learned, got {given}; "
                "resize them, or build the model with other_sizes=bicubic"
            )


class ClassToken(nn.Module):
    """[weight | x]: a learned vector in front of the patches, B × N × D -> B × (1 + N) × D."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(width))

    def forward(self, x_BND: Tensor) -> Tensor:
        return torch.cat([self.weight.to(x_BND.dtype).expand(x_BND.shape[0], 1, -1), x_BND], dim=1)


class ClassHead(Linear):
    """Logits of the class token's vector, B × T × D -> B × classes."""

    def __init__(self, config: VisionConfig) -> None:
        assert config.num_classes is not None
        super().__init__(config.head_width, config.num_classes)

    def forward(self, x_BTD: Tensor) -> Tensor:
        return super().forward(x_BTD[:, 0])


class ClassAndMeanHead(ClassHead):
    """Logits of [the class token's vector | the mean over the patches'], as DINOv2's."""

    def forward(self, x_BTD: Tensor) -> Tensor:
        features_BTD = torch.cat([x_BTD[:, 0], x_BTD[:, 1:].mean(dim=1)], dim=1)
        return super().forward(features_BTD.unsqueeze(1))


HEADS: dict[str, type[ClassHead]] = {"class": ClassHead, "class_and_mean": ClassAndMeanHead}
