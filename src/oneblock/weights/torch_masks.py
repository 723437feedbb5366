"""PyTorch's attention masks, in their opposite senses, and a context that carries them.

    F.scaled_dot_product_attention                    boolean: True = may attend
    nn.MultiheadAttention, nn.Transformer*, padding   boolean: True = blocked
    both                                              float: added to the scores; −∞ = blocked

Here and in `Mask.allowed`: True = may attend.
"""

from __future__ import annotations

import torch
from torch import Tensor

from oneblock.nn.context import Context, Mask, Memory
from oneblock.nn.position import Position

SENSES = ("blocked", "allowed")


def allowed_from_torch(mask: Tensor, sense: str = "blocked") -> Tensor:
    """True = may attend, from one of PyTorch's masks; of the same shape.

    sense: what True means in a boolean mask: "blocked" in nn.MultiheadAttention, nn.Transformer* and every key
    padding mask, "allowed" in F.scaled_dot_product_attention. In a float mask −∞ is blocked in both; its finite
    numbers are `bias_from_torch`. Raises TypeError for other kinds of tensors, ValueError for another sense.
    """
    if sense not in SENSES:
        raise ValueError(f"sense={sense!r} must be one of {', '.join(SENSES)}: what True means in the mask")
    _check(mask)
    if mask.is_floating_point():
        return mask != -torch.inf
    return mask.clone() if sense == "allowed" else ~mask


def bias_from_torch(mask: Tensor) -> Tensor | None:
    """What a float mask adds to the scores where it blocks nothing, 0 elsewhere; None where it adds nothing."""
    _check(mask)
    if not mask.is_floating_point():
        return None
    bias = mask.masked_fill(mask == -torch.inf, 0.0)
    return bias if bias.any() else None


def torch_from_allowed(allowed: Tensor, sense: str = "blocked") -> Tensor:
    """A boolean mask for PyTorch from True = may attend; `sense` as in `allowed_from_torch`."""
    if allowed.dtype != torch.bool:
        raise TypeError(f"allowed must be boolean, True = may attend; got {allowed.dtype}")
    return allowed_from_torch(allowed, sense)


class _Added(Position):
    """A bias that is there already."""

    def __init__(self, bias: Tensor | None) -> None:
        super().__init__()
        self.added = bias

    def bias(self, ctx: Context) -> Tensor | None:
        return self.added


class TorchContext(Context):
    """A context whose masks are given, not derived: what PyTorch's layers take as arguments."""

    def __init__(self, x_BTD: Tensor, *, mask: Mask, bias: Tensor | None, memory: Memory | None, across: Mask) -> None:
        super().__init__(x_BTD.shape[1], x_BTD.device, position=_Added(bias), causal=False, memory=memory)
        self.mask, self.across = mask, across

    def visible(self, window: int | None) -> Mask:
        """The given mask."""
        return self.mask

    def visible_memory(self) -> Mask:
        """The given mask of the memory."""
        return self.across


def torch_context(
    x_BTD: Tensor,
    *,
    mask: Tensor | None = None,
    key_padding_mask: Tensor | None = None,
    memory_BSD: Tensor | None = None,
    memory_mask: Tensor | None = None,
    memory_key_padding_mask: Tensor | None = None,
) -> Context:
    """What a converted block reads beside its stream, from the masks that PyTorch's own layer would be given.

    mask:                     T × T or (B·heads) × T × T; boolean True = blocked, or float, added to the scores
    key_padding_mask:         B × T, likewise; memory_mask: T × S or (B·heads) × T × S; its padding B × S
    memory_BSD:               an encoder's output, for a block with cross-attention
    A query with nothing to attend to gives zeros or NaN here, by the kernel; PyTorch's layers give NaN. A finite
    bias on a memory is refused (ValueError): our cross-attention adds nothing to its scores.
    """
    batch = x_BTD.shape[0]
    own, bias = _joined(batch, mask, key_padding_mask)
    across, across_bias = _joined(batch, memory_mask, memory_key_padding_mask)
    if across_bias is not None:
        raise ValueError(
            "memory_mask adds finite numbers to the scores, and our cross-attention adds none; "
            "give a boolean mask (True = blocked), or a float one of 0 and −∞ only"
        )
    memory = None if memory_BSD is None else Memory(memory_BSD)
    return TorchContext(x_BTD, mask=Mask(False, own), bias=bias, memory=memory, across=Mask(False, across))


def _joined(batch: int, mask: Tensor | None, padding: Tensor | None) -> tuple[Tensor | None, Tensor | None]:
    # Each as … × T × S for B × H × T × S: PyTorch keeps a mask for each head as (B·H) × T × S, rows first.
    parts = []
    if mask is not None:
        if mask.dim() not in (2, 3) or (mask.dim() == 3 and mask.shape[0] % batch):
            raise ValueError(
                f"a mask is T × S or (B·heads) × T × S with B={batch}; got {' × '.join(map(str, mask.shape))}"
            )
        parts.append(mask if mask.dim() == 2 else mask.unflatten(0, (batch, -1)))
    if padding is not None:
        if padding.dim() != 2 or padding.shape[0] != batch:
            raise ValueError(f"a key padding mask is B × S with B={batch}; got {' × '.join(map(str, padding.shape))}")
        parts.append(padding[:, None, None, :])
    allowed, bias = None, None
    for part in parts:
        own, added = allowed_from_torch(part), bias_from_torch(part)
        allowed = own if allowed is None else allowed & own
        if added is not None:
            bias = added if bias is None else bias + added
    return allowed, bias


def _check(mask: Tensor) -> None:
    if mask.dtype != torch.bool and not mask.is_floating_point():
        raise TypeError(
            f"a mask is boolean or float, got {mask.dtype}: numbers 0 and 1 say not which of them is blocked"
        )
