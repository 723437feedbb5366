"""The norm of all gradients together, and clipping by it."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor

from oneblock.config.errors import ConfigError
from oneblock.train.sharding import add_up, is_sharded, local


def global_norm(parameters: Iterable[Tensor]) -> Tensor:
    """The Euclidean norm of all gradients taken as one vector, a 0-d tensor on their device.

    ‖g‖ = √(Σ ‖gᵢ‖²), added up in float32 (float64 for float64 gradients), whatever the gradients' type:
    a bfloat16 sum would be off by percents. Parameters without a gradient count as zero. Of sharded gradients each
    process adds up its own rows, so all must ask.
    """
    return _norm([parameter.grad for parameter in parameters if parameter.grad is not None])


def clip_gradients(parameters: Iterable[Tensor], max_norm: float) -> Tensor:
    """Scale all gradients in place so that their common norm is at most `max_norm`; returns the norm before.

    g ← g · min(1, max_norm / (‖g‖ + 1e-6))

    `max_norm` = inf measures without clipping. A norm that is not finite is returned as it is and makes the
    gradients NaN: look at the norm before stepping. Pascanu et al. 2013, algorithm 1.
    """
    if not max_norm > 0:
        raise ConfigError("max_norm", max_norm, "must be more than 0; inf turns clipping off")
    grads = [parameter.grad for parameter in parameters if parameter.grad is not None]
    norm = _norm(grads)
    # On an accelerator asking for the value would wait for the backward pass; there one always multiplies.
    if grads and not (norm.device.type == "cpu" and bool(norm + 1e-6 <= max_norm)):
        torch._foreach_mul_([local(grad) for grad in grads], (max_norm / (norm + 1e-6)).clamp(max=1.0))
    return norm


@torch.no_grad()
def _norm(grads: list[Tensor]) -> Tensor:
    if not grads:
        return torch.zeros(())
    dtype = torch.float64 if any(grad.dtype == torch.float64 for grad in grads) else torch.float32
    norms = list(torch._foreach_norm([local(grad) for grad in grads], 2, dtype=dtype))
    norms = [norm.to(norms[0].device) for norm in norms]
    sharded = [norm for norm, grad in zip(norms, grads, strict=True) if is_sharded(grad)]
    if sharded:
        everywhere = [norm for norm, grad in zip(norms, grads, strict=True) if not is_sharded(grad)]
        norms = [*everywhere, add_up(torch.stack(sharded).square().sum(), grads).sqrt()]
    total: Tensor = torch.linalg.vector_norm(torch.stack(norms))
    return total
