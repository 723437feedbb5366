"""Other people's models and ours: converted from and to, weight for weight."""

from oneblock.weights.torch_export import to_torch
from oneblock.weights.torch_layers import convert
from oneblock.weights.torch_masks import allowed_from_torch, torch_from_allowed

__all__ = ["allowed_from_torch", "convert", "to_torch", "torch_from_allowed"]
