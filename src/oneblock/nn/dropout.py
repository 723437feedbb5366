"""Dropout whose mask is a hash of each element's place and one random seed."""

from __future__ import annotations

import torch
from torch import Tensor, nn

_ROUNDS = ((16, 0xFFFF, 0x7FEB352D), (15, 0x1FFFF, 0x846CA68B - (1 << 32)))


def _hash(x: Tensor) -> Tensor:
    """A permutation of the 32-bit integers whose high bits are well mixed (xor, multiply, wrapping)."""
    for shift, low_bits, factor in _ROUNDS:
        x = (x ^ ((x >> shift) & low_bits)) * factor
    return x


def noise(x: Tensor) -> Tensor:
    """A random int32 for each element of x: hash(place ^ hash(seed)), the seed one number from torch's generator."""
    seed = torch.randint(-(2**31), 2**31 - 1, (), dtype=torch.int32, device=x.device)
    place = torch.arange(x.numel(), dtype=torch.int32, device=x.device).view(x.shape)
    return _hash(place ^ _hash(seed))


class Dropout(nn.Module):
    """x · keep / (1 − p), keep drawn for each element with probability 1 − p; the identity in eval mode.

    The mask is hash(place ^ hash(seed)) against p·2³², the seed one number from torch's generator: as cheap as the
    arithmetic around it once compiled, the same on every device and number of threads, and nothing to store for
    the backward pass but the seed. PyTorch's own draws one number after another on a CPU and halves a run's speed.
    """

    def __init__(self, p: float) -> None:
        super().__init__()
        self.p = p
        self.threshold = min(round(p * 2**32), 2**32 - 1) - 2**31

    def forward(self, x: Tensor) -> Tensor:
        if not self.training or self.p == 0:
            return x
        return torch.where(noise(x) >= self.threshold, x * (1 / (1 - self.p)), 0.0)

    def extra_repr(self) -> str:
        return f"p={self.p}"


def make_dropout(p: float) -> nn.Module:
    """Dropout, or the identity at p = 0."""
    return Dropout(p) if p else nn.Identity()
