"""Images as tokens: cut into patches, put together again, and where each patch stands."""

from __future__ import annotations

import torch
from torch import Tensor

from oneblock.config import position as config
from oneblock.config.images import PatchPosition
from oneblock.nn.context import Context
from oneblock.nn.position import Learned, Position


def patchify(images_BCHW: Tensor, patch: int) -> Tensor:
    """B × C × H × W -> B × N × (patch·patch·C): rows of patches first; in a patch rows, columns, then channels."""
    tiles = images_BCHW.unflatten(3, (-1, patch)).unflatten(2, (-1, patch))  # B, C, rows, patch, columns, patch
    return tiles.permute(0, 2, 4, 3, 5, 1).flatten(3).flatten(1, 2)


def unpatchify(tokens_BTP: Tensor, patch: int, grid: tuple[int, int]) -> Tensor:
    """The inverse of `patchify`; `grid`: rows and columns of patches."""
    tiles = tokens_BTP.unflatten(2, (patch, patch, -1)).unflatten(1, grid)  # B, rows, columns, patch, patch, C
    return tiles.permute(0, 5, 1, 3, 2, 4).flatten(4).flatten(2, 3)


def waves_2d(grid: tuple[int, int], width: int) -> Tensor:
    """[sin(w·ω) | cos(w·ω) | sin(h·ω) | cos(h·ω)] of column w and row h, ω_k = 10000^(−4k/D): N × D in float64.

    He et al. 2022, as DiT takes it. People get wrong that the column comes first.
    """
    rows, columns = (torch.arange(count, dtype=torch.float64) for count in grid)
    omega = 10_000.0 ** -(torch.arange(width // 4, dtype=torch.float64) / (width // 4))
    h_HW, w_HW = torch.meshgrid(rows, columns, indexing="ij")
    return torch.cat(
        [wave(place_HW.flatten().outer(omega)) for place_HW in (w_HW, h_HW) for wave in (torch.sin, torch.cos)], dim=1
    )


class Sinusoidal2D(Position):
    """x + the table of `waves_2d`, which is fixed and no parameter."""

    def __init__(self, grid: tuple[int, int], width: int) -> None:
        super().__init__()
        self.table_TD = waves_2d(grid, width)

    def embed(self, x_BTD: Tensor, ctx: Context) -> Tensor:
        self.table_TD = self.table_TD.to(ctx.device)
        return x_BTD + self.table_TD.to(x_BTD.dtype)


def patch_position(option: PatchPosition, grid: tuple[int, int], width: int) -> Position:
    """The position scheme of a grid of patches."""
    match option:
        case config.NoPosition():
            return Position()
        case config.Learned():
            return Learned(grid[0] * grid[1], width)
        case _:
            return Sinusoidal2D(grid, width)
