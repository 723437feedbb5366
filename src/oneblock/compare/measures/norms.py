"""What a norm takes against LayerNorm: its kernel alone, both written out, and in a step of the model."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from oneblock.compare.measures.subject import Found, Subject
from oneblock.compare.measures.turns import Do, forward_and_backward, in_turns, longer, training_step
from oneblock.config.norm import LayerNorm, Norm, PartialRMSNorm, RMSNorm
from oneblock.config.override import override
from oneblock.models.build import build
from oneblock.nn.norm import make_norm

ALONE, STEPS = 60, 20
"""Rounds of a norm alone, and of a step."""
SHARES = (0.25, 0.5, 1.0, 2.0, 4.0)
"""Widths of the curve, as shares of the model's."""


def measure(subject: Subject) -> Found:
    """How much longer LayerNorm takes than the model's own norm, forward and backward, as medians of ln ratios.

    Alone they get as many tokens as a batch has. A model with LayerNorm is compared with itself: how far it is from 0
    is what the clock is worth. Fused kernels read and write once; written out, every operation does.
    """
    config: Any = subject.config
    norm, width, device = config.model.blocks[0].norm, config.model.width, next(subject.model.parameters()).device
    rows = config.recipe.batch_size
    kernels = {at: _in_turns(_kernels(norm, at, device), rows * subject.context, at, device) for at in _widths(width)}
    written = _in_turns(_written(norm, width, device), rows * subject.context, width, device)
    with torch.random.fork_rng(devices=[]):
        steps = in_turns(_steps(subject, rows, device), STEPS, device)
    of = {"norm_gain": kernels[width], "written_norm_gain": written, "norm_step_gain": steps}
    points = [[float(at), 1e6 * statistics.median(seconds["own"])] for at, seconds in kernels.items()]
    return Found(
        measures={name: longer(seconds["layer"], seconds["own"]) for name, seconds in of.items()},
        curves={"norm by width": points},
    )


def _widths(width: int) -> list[int]:
    return sorted({max(1, int(share * width)) for share in SHARES})


def _in_turns(layers: Mapping[str, nn.Module], rows: int, width: int, device: torch.device) -> dict[str, list[float]]:
    x_ND = torch.randn(rows, width, generator=torch.Generator().manual_seed(0)).to(device)
    things = {
        name: forward_and_backward(lambda x_ND, of=of: (of(x_ND),), x_ND, list(of.parameters()))  # type: ignore[misc]
        for name, of in layers.items()
    }
    return in_turns(things, ALONE, device)


def _kernels(norm: Norm, width: int, device: torch.device) -> dict[str, nn.Module]:
    return {"own": make_norm(norm, width).to(device), "layer": make_norm(LayerNorm(), width).to(device)}


def _written(norm: Norm, width: int, device: torch.device) -> dict[str, nn.Module]:
    return {"own": WrittenOut(norm, width).to(device), "layer": WrittenOut(LayerNorm(), width).to(device)}


def _steps(subject: Subject, rows: int, device: torch.device) -> dict[str, Do]:
    tokens = subject.windows(subject.context, rows)
    configs = {"own": subject.config, "layer": override(subject.config, "block.norm=layer")}
    return {name: training_step(build(of, seed=subject.seed).to(device), tokens) for name, of in configs.items()}


class WrittenOut(nn.Module):
    """A norm operation by operation, as its formula stands, with no kernel of its own."""

    def __init__(self, norm: Norm, width: int) -> None:
        super().__init__()
        self.norm, self.formula = norm, FORMULAS.get(type(norm), _as_it_is)
        self.own = make_norm(norm, width)

    def forward(self, x_ND: Tensor) -> Tensor:
        """… × D -> … × D."""
        return self.formula(x_ND, self.own, self.norm)


def _as_it_is(x_ND: Tensor, own: Any, norm: Any) -> Tensor:
    return x_ND


def _layer(x_ND: Tensor, own: Any, norm: Any) -> Tensor:
    centred_ND = x_ND - x_ND.mean(-1, keepdim=True)
    normed_ND = centred_ND * torch.rsqrt(centred_ND.square().mean(-1, keepdim=True) + norm.eps)
    return _scaled(normed_ND, own.weight, own.bias)


def _rms(x_ND: Tensor, own: Any, norm: Any) -> Tensor:
    gain = own.weight + 1.0 if norm.one_plus and own.weight is not None else own.weight
    return _scaled(x_ND * torch.rsqrt(x_ND.square().mean(-1, keepdim=True) + norm.eps), gain, None)


def _partial(x_ND: Tensor, own: Any, norm: Any) -> Tensor:
    square_N1 = x_ND[..., : own.measured].square().mean(-1, keepdim=True)
    return _scaled(x_ND * torch.rsqrt(square_N1 + norm.eps), own.weight, None)


def _scaled(x_ND: Tensor, gain_D: Tensor | None, bias_D: Tensor | None) -> Tensor:
    x_ND = x_ND if gain_D is None else x_ND * gain_D
    return x_ND if bias_D is None else x_ND + bias_D


FORMULAS: dict[type, Callable[[Tensor, Any, Any], Tensor]] = {
    LayerNorm: _layer,
    RMSNorm: _rms,
    PartialRMSNorm: _partial,
}
