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
        elif _shell_of_peft(thing):
            # The adapters stay in its layers; only the shell that hides the signature is left.
            inner = getattr(thing.base_model, "model", None)
            thing = inner if isinstance(inner, nn.Module) else thing.base_model
            layers.append(kind)
        else:
            break
    notes = [f"taken out of {', '.join(layers)}"] if layers else []
    if isinstance(thing, nn.Module):
        _refuse(thing)
        # Copies of a module do not keep what compile() put in it.
        notes += ["compile() left out"] if any(m._compiled_call_impl is not None for m in thing.modules()) else []
    return thing, "; ".join(notes)


def _shell_of_peft(thing: nn.Module) -> bool:
    """Whether it is PEFT's outer class: the model inside has a `peft_config` and a `base_model` too."""
    own = any(kind.__module__.partition(".")[0] == "peft" for kind in type(thing).__mro__)
    return own and hasattr(thing, "peft_config") and isinstance(getattr(thing, "base_model", None), nn.Module)


def _refuse(module: nn.Module) -> None:
    for name, tensor in [*module.named_parameters(), *module.named_buffers()]:
        if tensor.is_meta:
            raise DoctorError(f"{name} is on the meta device and has no numbers: load the weights first")
        if "DTensor" in (type(tensor).__name__, type(tensor.data).__name__):
            raise DoctorError(
                f"{name} is a sharded DTensor (fully_shard, tensor parallel): one process holds a part of it; gather a "
                "full state dict into an unsharded model and give that"
            )
