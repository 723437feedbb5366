"""Tensors as Hugging Face lays them out: one file, or several and an index that says what is where."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path

from torch import Tensor

from oneblock.runs.durable import write_new
from oneblock.runs.tensors import write_tensors
from oneblock.weights.source import INDEX, SINGLE


def write_shards(folder: Path, tensors: Mapping[str, Tensor], shard_bytes: int) -> list[Path]:
    """Write tensors as one safetensors file, or where they take more than `shard_bytes` as shards of at most that.

    A single tensor that is larger has a shard of its own.
    """
    shards: list[dict[str, Tensor]] = [{}]
    filled = 0
    for name, tensor in tensors.items():
        size = tensor.numel() * tensor.element_size()
        if filled and filled + size > shard_bytes:
            shards.append({})
            filled = 0
        shards[-1][name] = tensor
        filled += size
    if len(shards) == 1:
        write_tensors(folder / SINGLE, tensors)
        return [folder / SINGLE]
    stem, suffix = os.path.splitext(SINGLE)  # noqa: PTH122
    names = [f"{stem}-{number:05d}-of-{len(shards):05d}{suffix}" for number in range(1, len(shards) + 1)]
    for name, shard in zip(names, shards, strict=True):
        write_tensors(folder / name, shard)
    total = sum(tensor.numel() * tensor.element_size() for tensor in tensors.values())
    where = {key: name for name, shard in zip(names, shards, strict=True) for key in shard}
    index = {"metadata": {"total_size": total}, "weight_map": dict(sorted(where.items()))}
    write_new(folder / INDEX, [(json.dumps(index, indent=2) + "\n").encode()])
    return [folder / name for name in names]
