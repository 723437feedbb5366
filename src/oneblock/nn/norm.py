"""Norms over the features of one token. Statistics are taken in float32 or wider."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from oneblock.config import norm as config


def _wide(x: Tensor) -> Tensor:
    return x.to(torch.promote_types(x.dtype, torch.float32))


def _parameter(width: int, start: float, wanted: bool) -> nn.Parameter | None:
    return nn.Parameter(torch.full((width,), start)) if wanted else None


class LayerNorm(nn.Module):
    """gain · (x − mean) / sqrt(var + eps) + bias, population variance (Ba et al. 2016, eq. 4).

    Shapes: … × D -> … × D. People get wrong: the sample variance (n − 1), and eps outside the root.
    """

    def __init__(self, option: config.LayerNorm, width: int) -> None:
        super().__init__()
        self.width, self.eps = (width,), option.eps
        self.weight = _parameter(width, 1.0, option.gain)
        self.bias = _parameter(width, 0.0, option.bias)

    def forward(self, x_BTD: Tensor) -> Tensor:
        wide_BTD = _wide(x_BTD)
        # torch's kernel takes no parameters narrower than its input, as a model in bfloat16 has them.
        gain_D, bias_D = (None if p is None else p.to(wide_BTD.dtype) for p in (self.weight, self.bias))
        return F.layer_norm(wide_BTD, self.width, gain_D, bias_D, self.eps).to(x_BTD.dtype)


class RMSNorm(nn.Module):
    """gain · x / sqrt(mean(x²) + eps) (Zhang and Sennrich 2019, eq. 4).

    Shapes: … × D -> … × D. With `one_plus`, the gain is 1 + weight. It does not take the mean away: inputs that share
    a large mean stay alike.
    """

    def __init__(self, option: config.RMSNorm, width: int) -> None:
        super().__init__()
        self.width, self.eps, self.offset = (width,), option.eps, 1.0 if option.one_plus else 0.0
        self.weight = _parameter(width, 1.0 - self.offset, option.gain)

    def forward(self, x_BTD: Tensor) -> Tensor:
        wide_BTD = _wide(x_BTD)
        gain_D = None if self.weight is None else self.weight.to(wide_BTD.dtype)
        if gain_D is not None and self.offset:
            gain_D = gain_D + self.offset
        return F.rms_norm(wide_BTD, self.width, gain_D, self.eps).to(x_BTD.dtype)


class PartialRMSNorm(nn.Module):
    """gain · x / sqrt(mean(x²_{1…p}) + eps): the mean square of the first p features scales all D of them.

    p = ⌊fraction · D⌋, at least 1 (Zhang and Sennrich 2019, section 4.2, pRMSNorm).
    """

    def __init__(self, option: config.PartialRMSNorm, width: int) -> None:
        super().__init__()
        self.eps, self.measured = option.eps, max(1, int(option.fraction * width))
        self.weight = _parameter(width, 1.0, option.gain)

    def forward(self, x_BTD: Tensor) -> Tensor:
        wide_BTD = _wide(x_BTD)
        square_BT1 = wide_BTD[..., : self.measured].square().mean(-1, keepdim=True)
        normed_BTD = wide_BTD * torch.rsqrt(square_BT1 + self.eps)
        return (normed_BTD if self.weight is None else normed_BTD * self.weight).to(x_BTD.dtype)


class NoNorm(nn.Identity):
    """x."""

    def __init__(self, option: config.NoNorm, width: int) -> None:
        super().__init__()


NORMS: dict[type, type[nn.Module]] = {
    config.NoNorm: NoNorm,
    config.LayerNorm: LayerNorm,
    config.RMSNorm: RMSNorm,
    config.PartialRMSNorm: PartialRMSNorm,
}


def make_norm(option: config.Norm, width: int) -> nn.Module:
    """The norm an option asks for."""
    return NORMS[type(option)](option, width)
