"""The diffusion transformer: patches, blocks that read time and class, what was added to each pixel."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from oneblock.config.diffusion import RectifiedFlow
from oneblock.config.dit import DiT as DiTConfig
from oneblock.config.init import Xavier
from oneblock.models.diffusion import make_process
from oneblock.models.images import check_images, draw_table, image_blocks, patch_embedding
from oneblock.nn.condition import ClassEmbedding, Condition, NoClasses, TimeEmbedding
from oneblock.nn.context import Context
from oneblock.nn.init import initialise
from oneblock.nn.linear import Linear
from oneblock.nn.modulation import AdaLN
from oneblock.nn.norm import make_norm
from oneblock.nn.patches import patch_position, patchify, unpatchify
from oneblock.nn.position import Learned
from oneblock.nn.record import Record


class DiT(nn.Module):
    """unpatchify(head(norm(block_L(… block_1(embed(images))))·(1 + scale) + shift)) (Peebles and Xie 2023).

    Blocks and the last norm read c = time + class. `process` is how its images are noised; no forward reads it or
    `config`. At first every block is the identity and the answer 0. `fused=False` writes attention out.
    """

    def __init__(self, config: DiTConfig, *, fused: bool = True) -> None:
        super().__init__()
        self.config, self.process = config, make_process(config.process)
        self.patch, self.grid = config.patch, config.grid
        self.shape = (config.channels, *config.sides)
        self.embedding = patch_embedding(config)
        self.position = patch_position(config.position, config.grid, config.width)
        scale = config.process.time_scale if isinstance(config.process, RectifiedFlow) else 1.0
        time = TimeEmbedding(config.time_width, config.width, scale)
        if config.num_classes is None:
            self.condition = Condition(time, NoClasses())
        else:
            self.condition = Condition(time, ClassEmbedding(config.num_classes, config.width, config.class_dropout))
        self.blocks = image_blocks(config, fused=fused)
        self.norm = make_norm(config.final_norm, config.width)
        self.modulation = AdaLN(["head"], config.width, gated=False)
        self.head = Linear(config.width, config.patch**2 * config.answer_channels)
        self._initialise()

    def forward(
        self, images_BCHW: Tensor, time_B: Tensor, classes_B: Tensor | None = None, record: Record | None = None
    ) -> Tensor:
        """What the process asks for, B × C' × H × W, for noisy images B × C × H × W at their times.

        time_B: the process's own, a step 0 … num_steps − 1 or a share 0 … 1. classes_B: whole numbers; the number of
        classes itself, or None for all, says "no class". record: is told by experts what they did. ValueError for
        other shapes and classes that are none.
        """
        self._check(images_BCHW, time_B, classes_B)
        ctx = self._context(images_BCHW, time_B, classes_B, record)
        x_BTD = self.embed(images_BCHW, ctx)
        for block in self.blocks:
            x_BTD = block(x_BTD, ctx)
        x_BTD = self.modulation(ctx)["head"].enter(self.norm(x_BTD))
        return unpatchify(self.head(x_BTD), self.patch, self.grid)

    def embed(self, images_BCHW: Tensor, ctx: Context) -> Tensor:
        """What enters the first block: patches, mapped, with positions."""
        return self.position.embed(self.embedding(patchify(images_BCHW, self.patch)), ctx)

    def _context(
        self, images_BCHW: Tensor, time_B: Tensor, classes_B: Tensor | None, record: Record | None = None
    ) -> Context:
        return Context(
            self.grid[0] * self.grid[1],
            images_BCHW.device,
            position=self.position,
            causal=False,
            condition_BD=self.condition(time_B, classes_B),
            record=record,
        )

    def _check(self, images_BCHW: Tensor, time_B: Tensor, classes_B: Tensor | None) -> None:
        check_images(images_BCHW, self.shape)
        rows = images_BCHW.shape[:1]
        if time_B.shape != rows:
            raise ValueError(f"time must be one number for each of the {rows[0]} images, got {tuple(time_B.shape)}")
        if classes_B is not None and (classes_B.shape != rows or classes_B.is_floating_point()):
            raise ValueError(
                f"classes must be one whole number for each of the {rows[0]} images, "
                f"got {classes_B.dtype} {tuple(classes_B.shape)}"
            )

    @torch.no_grad()
    def _initialise(self) -> None:
        """Xavier for matrices; tables and the time's matrices N(0, 0.02²); modulation and head 0 (section 3.2)."""
        initialise(self, Xavier(), tied=False)
        for module in (*self.condition.time.children(), self.condition.classes, self.position):
            if isinstance(module, Linear | ClassEmbedding | Learned):
                draw_table(module.weight)
        self.head.weight.zero_()
