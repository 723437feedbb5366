"""Tensors in a safetensors file, written in one pass: hashed on the way, never twice in memory.

The format is eight bytes of header length, a JSON header, and the tensors' bytes one after another.
Reading is the safetensors library's. Writing is here because the library's writer wants all
tensors in CPU memory at once, and reports a full disk as an error of its own.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open
from torch import Tensor

from oneblock.runs.durable import Chunk, Seal, write_new

_DTYPES = {
    torch.float64: "F64", torch.float32: "F32", torch.float16: "F16", torch.bfloat16: "BF16",
    torch.int64: "I64", torch.int32: "I32", torch.int16: "I16", torch.int8: "I8",
    torch.uint64: "U64", torch.uint32: "U32", torch.uint16: "U16", torch.uint8: "U8",
    torch.bool: "BOOL", torch.complex64: "C64",
    torch.float8_e4m3fn: "F8_E4M3", torch.float8_e5m2: "F8_E5M2",
}  # fmt: skip


def num_bytes(tensors: Mapping[str, Tensor]) -> int:
    """Bytes that the tensors take in a file, names and header left out; a tied tensor counts once."""
    stored, _ = _untie(tensors)
    return sum(tensor.numel() * tensor.element_size() for tensor in stored.values())


def write_tensors(path: Path, tensors: Mapping[str, Tensor], meta: str = "") -> Seal:
    """Write named tensors, and one text about them, to a new file on the disk itself.

    Bits, dtype and shape are kept; any stride and device is taken and comes back contiguous on the CPU.
    Tensors that are the same memory in the same shape (a tied head) are stored once and come back tied.
    TypeError for what the format cannot hold: sparse, quantised or meta tensors, complex128.
    """
    stored, tied = _untie(tensors)
    return write_new(path, _chunks(stored, {"format": "pt", "tied": json.dumps(tied), "meta": meta}))


def read_tensors(path: Path) -> tuple[dict[str, Tensor], str]:
    """The tensors of `write_tensors` on the CPU, and the text; a plain safetensors file reads as well."""
    with safe_open(path, framework="pt", device="cpu") as file:
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - not a dict
        metadata: dict[str, str] = file.metadata() or {}
    for name, original in json.loads(metadata.get("tied") or "{}").items():
        tensors[name] = tensors[original]
    return tensors, metadata.get("meta", "")


def _untie(tensors: Mapping[str, Tensor]) -> tuple[dict[str, Tensor], dict[str, str]]:
    stored: dict[str, Tensor] = {}
    tied: dict[str, str] = {}
    first: dict[tuple[Any, ...], str] = {}
    for name, tensor in tensors.items():
        if name == "__metadata__":
            raise TypeError("no tensor can have the name __metadata__ in a safetensors file")
        if tensor.dtype not in _DTYPES or tensor.layout != torch.strided or tensor.is_meta:
            form = f"{tensor.dtype}, {tensor.layout}, {tensor.device}"
            raise TypeError(f"a safetensors file cannot hold {name} ({form})")
        # A conjugate shares its original's memory and is another number.
        same = (tensor.data_ptr(), tensor.device, tensor.dtype, tuple(tensor.shape), tensor.stride())
        key = (*same, tensor.is_conj(), tensor.is_neg())
        if key in first:
            tied[name] = first[key]
        else:
            stored[name] = tensor
            first[key] = name
    return stored, tied


def _chunks(tensors: dict[str, Tensor], metadata: dict[str, str]) -> Iterator[Chunk]:
    # The widest elements first, so that each tensor starts at a multiple of its own element size.
    names = sorted(tensors, key=lambda name: (-tensors[name].element_size(), name))
    header: dict[str, Any] = {"__metadata__": metadata}
    end = 0
    for name in names:
        tensor = tensors[name]
        start, end = end, end + tensor.numel() * tensor.element_size()
        header[name] = {
            "dtype": _DTYPES[tensor.dtype],
            "shape": list(tensor.shape),
            "data_offsets": [start, end],
        }
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    yield len(text).to_bytes(8, "little") + text
    for name in names:
        tensor = tensors[name].detach().to("cpu").resolve_conj().resolve_neg().contiguous()
        if tensor.numel():
            yield tensor.reshape(-1).view(torch.uint8).numpy().data
