"""A model inside another thing: DDP, compiled, PEFT; and what cannot be examined as it stands, with the reason."""

from __future__ import annotations

from typing import Any

from torch import nn

from oneblock.doctor.errors import DoctorError

INSIDE = {
    "OptimizedModule": "_orig_mod",
    "DistributedDataParallel": "module",
    "DataParallel": "module",
}
"""Class of a wrapper -> where it holds the model."""


def unwrapped(thing: Any) -> tuple[Any, str]:
    """(the model itself, what it was taken out of). DoctorError for shards and tensors without numbers."""
    layers: list[str] = []
    while isinstance(thing, nn.Module):
        kind = type(thing).__name__
        if kind == "FullyShardedDataParallel":
            raise DoctorError(
                "this model's parameters are flattened and sharded by FSDP, so that one process holds a part of it; "
                "gather them (FSDP.summon_full_params, or a full state dict) and give the model inside"
            )
        if kind in INSIDE and isinstance(getattr(thing, INSIDE[kind], None), nn.Module):
            thing = getattr(thing, INSIDE[kind])
            layers.append(kind)
        elif hasattr(thing, "peft_config") and isinstance(getattr(thing, "base_model", None), nn.Module):
            # The adapters stay in its layers; only the shell that hides the signature is left.
            inner = getattr(thing.base_model, "model", None)
            thing = inner if isinstance(inner, nn.Module) else thing.base_model
            layers.append(kind)
        else:
            break
    if isinstance(thing, nn.Module):
        _refuse(thing)
    return thing, f"taken out of {', '.join(layers)}" if layers else ""


def _refuse(module: nn.Module) -> None:
    for name, tensor in [*module.named_parameters(), *module.named_buffers()]:
        if tensor.is_meta:
            raise DoctorError(f"{name} is on the meta device and has no numbers: load the weights first")
        if "DTensor" in (type(tensor).__name__, type(tensor.data).__name__):
            raise DoctorError(
                f"{name} is a sharded DTensor (fully_shard, tensor parallel): one process holds a part of it; gather a "
                "full state dict into an unsharded model and give that"
            )
