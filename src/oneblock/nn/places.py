"""Where the patches of an image stand, behind a class token: learned, and interpolated for other sizes."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class Places(nn.Module):
    """x + table[place], B × T × D, T = 1 + N; the class token's row comes first (Dosovitskiy et al. 2021, eq. 1).

    For another grid of patches their rows are interpolated, bicubic, in float32 or wider; the class token's stays.
    People get wrong: interpolating the table with the class token's row in it.
    """

    def __init__(self, grid: tuple[int, int], width: int) -> None:
        super().__init__()
        self.grid = grid
        self.weight = nn.Parameter(torch.zeros(1 + grid[0] * grid[1], width))

    def forward(self, x_BTD: Tensor, grid: tuple[int, int]) -> Tensor:
        return x_BTD + (self.weight if grid == self.grid else self._for(grid))

    def _for(self, grid: tuple[int, int]) -> Tensor:
        class_1D, patches_ND = self.weight.split([1, self.weight.shape[0] - 1])
        wide = torch.promote_types(patches_ND.dtype, torch.float32)
        image_1DHW = patches_ND.to(wide).T.unflatten(1, self.grid).unsqueeze(0)
        other_1DHW = F.interpolate(image_1DHW, size=grid, mode="bicubic", align_corners=False)
        return torch.cat([class_1D, other_1DHW[0].flatten(1).T.to(patches_ND.dtype)])


class NoPlaces(nn.Module):
    """x: the patches of an image are a set."""

    def forward(self, x_BTD: Tensor, grid: tuple[int, int]) -> Tensor:
        return x_BTD
