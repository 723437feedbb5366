"""The two norms with switches: without any they are right; each variant sets one or more."""

import functools
import math

import torch
from torch import Tensor

AXES = {"features": (-1,), "tokens": (-2,), "first": (0,), "two": (-2, -1), "all": None}


def _axes(x: Tensor, axis: str) -> tuple[int, ...]:
    wanted = AXES[axis] or tuple(range(x.dim()))
    return tuple(sorted({max(-x.dim(), at) % x.dim() for at in wanted}))


def _rooted(square: Tensor, given: float, where: str) -> Tensor:
    """What is divided by, of a variance or a mean square."""
    eps = {"fixed": 1e-5, "ignored": 0.0}.get(where, given)
    if where == "outside":
        return square.sqrt() + eps
    if where == "clamped":
        return square.clamp_min(eps).sqrt()
    if where == "squared":
        return (square + eps**2).sqrt()
    return (square + eps).sqrt()


def layer_norm(
    x: Tensor,
    weight: Tensor,
    bias: Tensor,
    eps: float,
    *,
    axis: str = "features",
    keepdim: bool = True,
    centre: str = "mean",
    about: str = "mean",
    divisor: str = "D",
    spread: str = "variance",
    eps_at: str = "inside",
    power: float = 0.5,
    gain: str = "weight",
    shift: str = "after",
    detached: str = "",
    form: str = "plain",
    dtype: str = "kept",
    in_place: bool = False,
) -> Tensor:
    came = x.dtype
    x = x.float() if dtype == "float32" else x.double() if dtype == "float64, and back" else x
    axes = _axes(x, axis)
    mean = x.mean(dim=axes, keepdim=keepdim)
    if form == "matrix":
        mean = (x @ torch.ones(x.shape[-1], 1, dtype=x.dtype)) / x.shape[-1]
    mean = mean.detach() if detached == "mean" else mean
    if centre == "median":
        mean = x.median(dim=-1, keepdim=True).values
    centred = x - mean if centre != "none" else x
    apart = x - mean if about == "mean" else x
    square = apart.square().mean(dim=axes, keepdim=True)
    if divisor == "D − 1":
        count = apart.numel() // square.numel()
        square = square * (count / (count - 1))
    elif divisor == "none":
        square = apart.square().sum(dim=axes, keepdim=True)
    if form == "moments":
        square = x.square().mean(dim=axes, keepdim=True) - mean.square()
    elif form == "var":
        square = x.var(dim=-1, correction=0, keepdim=True)
    elif form == "std":
        square = x.std(dim=-1, correction=0, keepdim=True) ** 2
    elif form == "root and back":
        square = square.sqrt() ** 2
    elif form == "einsum":
        square = torch.einsum("...d,...d->...", apart, apart)[..., None] / x.shape[-1]
    if spread == "absolute":
        square = apart.abs().mean(dim=axes, keepdim=True) ** 2
    elif spread == "range":
        square = (x.amax(-1, keepdim=True) - x.amin(-1, keepdim=True)) ** 2
    square = square.detach() if detached == "variance" else square
    scaled = centred / _rooted(square, eps, eps_at) if power == 0.5 else centred / (square + eps)
    if form == "rsqrt":
        scaled = centred * torch.rsqrt(square + eps)
    factor = {"weight": weight, "none": torch.ones_like(weight), "one plus": 1 + weight}
    if shift == "before":
        given = (scaled + bias) * factor[gain]
    else:
        given = scaled * factor[gain] + (bias if shift == "after" else 0)
    if detached == "weight":
        given = scaled * weight.detach() + bias
    elif detached == "all":
        given = given.detach()
    if form == "own copy":
        given = x.clone()
        given -= mean
        given /= (square + eps).sqrt()
        given *= weight
        given += bias
    if in_place:
        x.sub_(mean)
    return given.to(came) if dtype == "float64, and back" else given


def rms_norm(
    x: Tensor,
    weight: Tensor,
    eps: float,
    *,
    rms_axis: str = "features",
    rms_centre: str = "none",
    rms_spread: str = "mean square",
    rms_eps_at: str = "inside",
    rms_gain: str = "weight",
    rms_form: str = "plain",
    rms_detached: bool = False,
    rms_in_place: bool = False,
    rms_power: float = 0.5,
    rms_dtype: str = "kept",
) -> Tensor:
    came = x.dtype
    x = x.float() if rms_dtype == "float32" else x.double() if rms_dtype == "float64, and back" else x
    axes = _axes(x, rms_axis)
    base = x - x.mean(dim=-1, keepdim=True) if rms_centre != "none" else x
    square = {"mean square": base, "variance": x - x.mean(dim=-1, keepdim=True)}.get(rms_spread, base)
    square = square.square().mean(dim=axes, keepdim=True)
    if rms_spread == "sum":
        square = base.square().sum(dim=axes, keepdim=True)
    elif rms_spread == "absolute":
        square = base.abs().mean(dim=axes, keepdim=True) ** 2
    elif rms_spread == "square of mean":
        square = base.mean(dim=axes, keepdim=True) ** 2
    if rms_form == "norm":
        square = (x.norm(dim=-1, keepdim=True) / math.sqrt(x.shape[-1])) ** 2
    elif rms_form == "einsum":
        square = torch.einsum("...d,...d->...", x, x)[..., None] / x.shape[-1]
    square = square.detach() if rms_detached else square
    scaled = base / _rooted(square, eps, rms_eps_at) if rms_power == 0.5 else base / (square + eps)
    if rms_form == "rsqrt":
        scaled = base * torch.rsqrt(square + eps)
    given = scaled * {"weight": weight, "none": torch.ones_like(weight), "one plus": 1 + weight}[rms_gain]
    if rms_in_place:
        x.mul_(torch.rsqrt(square.detach() + eps))
    return given.to(came) if rms_dtype == "float64, and back" else given


def make(**switches: object) -> dict[str, object]:
    """The names a learner would write."""
    rms = {name: value for name, value in switches.items() if name.startswith("rms_")}
    layer = {name: value for name, value in switches.items() if name not in rms}
    return {
        "layer_norm": functools.partial(layer_norm, **layer),  # type: ignore[arg-type]
        "rms_norm": functools.partial(rms_norm, **rms),  # type: ignore[arg-type]
    }
