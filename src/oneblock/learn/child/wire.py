"""Values as bytes, both ways: a JSON tree whose tensors follow as raw numbers. Nothing that is read is ever run.

A message is its length (8 bytes, little-endian), the length of its JSON (4 bytes), the JSON, the tensors' bytes.
"""

from __future__ import annotations

import json
import math
import os
import struct
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

LIMIT = 64 * 2**20
"""The largest message, in bytes."""
DTYPES = {
    str(dtype): dtype
    for dtype in (
        torch.float64, torch.float32, torch.float16, torch.bfloat16, torch.bool, torch.uint8, torch.int8, torch.int16,
        torch.int32, torch.int64, torch.complex64, torch.complex128,
    )
}  # fmt: skip


class WireError(Exception):
    """Bytes that are no message."""


@dataclass(frozen=True)
class Handle:
    """Something that stays where it is: an object of the learner's, by number; `kind` is its class."""

    number: int
    kind: str = ""


@dataclass(frozen=True)
class Seeded:
    """A `torch.Generator` that starts at `seed`, made anew for each call; or, under a number, once, and kept."""

    seed: int
    kept: int = 0


@dataclass(frozen=True)
class Lent:
    """A function that stands with who asks, under a number; called here, it is asked there."""

    number: int


LENT: dict[int, Any] = {}
"""Functions lent by this process."""


def pack(value: Any) -> bytes:
    """A value as a message. WireError for what has no form here, or is too large."""
    parts: list[bytes] = []
    tree = json.dumps(_tree(value, parts)).encode()
    body = struct.pack("<I", len(tree)) + tree + b"".join(parts)
    if len(body) > LIMIT:
        raise WireError(f"{len(body) / 2**20:.0f} MB in one message; {LIMIT // 2**20} MB are allowed")
    return struct.pack("<Q", len(body)) + body


def unpack(body: bytes | bytearray) -> Any:
    """The value of a message without its first 8 bytes. WireError where it is none."""
    try:
        (length,) = struct.unpack_from("<I", body)
        tree = json.loads(bytes(body[4 : 4 + length]))
        return _value(tree, memoryview(body)[4 + length :])
    except WireError:
        raise
    except Exception as error:
        raise WireError(f"{type(error).__name__}: {error}") from None


def write_all(descriptor: int, data: bytes) -> None:
    """All of it, however often the pipe is full."""
    view = memoryview(data)
    while view:
        view = view[os.write(descriptor, view) :]


def plain(value: Any) -> bool:
    """Whether a value travels as it is; what does not becomes a `Handle`."""
    if isinstance(value, Tensor):
        return value.layout == torch.strided and str(value.dtype) in DTYPES and value.device.type == "cpu"
    if isinstance(value, list | tuple):
        return all(plain(entry) for entry in value)
    if isinstance(value, dict):
        return all(isinstance(key, str | int) and plain(entry) for key, entry in value.items())
    return value is None or isinstance(value, bool | int | float | str | Handle | Seeded)


def _tree(value: Any, parts: list[bytes]) -> Any:
    if isinstance(value, Tensor):
        if value.numel() * value.element_size() > LIMIT:
            raise WireError(f"a tensor of {value.numel():,} numbers; {LIMIT // 2**20} MB are allowed")
        numbers = value.detach().resolve_conj().resolve_neg().contiguous().reshape(-1)
        data = numbers.view(torch.uint8).numpy().tobytes() if numbers.numel() else b""
        at = sum(map(len, parts))
        parts.append(data)
        return {"tensor": [str(value.dtype), list(value.shape), at, len(data)]}
    if isinstance(value, list | tuple):
        return {"list" if isinstance(value, list) else "tuple": [_tree(entry, parts) for entry in value]}
    if isinstance(value, dict):
        return {"dict": [[key, _tree(entry, parts)] for key, entry in value.items()]}
    if isinstance(value, Handle):
        return {"handle": [value.number, value.kind]}
    if isinstance(value, Seeded):
        return {"seeded": [value.seed, value.kept]}
    if isinstance(value, Lent):
        return {"lent": value.number}
    if value is None or isinstance(value, bool | int | float | str):
        return value
    raise WireError(f"a {type(value).__name__} cannot be sent")


def _value(tree: Any, data: memoryview) -> Any:
    if not isinstance(tree, dict):
        return tree
    ((kind, held),) = tree.items()
    if kind == "tensor":
        name, shape, at, length = held
        dtype = DTYPES[name]
        if length != math.prod(shape) * dtype.itemsize or not 0 <= at <= at + length <= len(data):
            raise WireError(f"{length} bytes for a tensor {shape} of {name}")
        if not length:
            return torch.empty(shape, dtype=dtype)
        return torch.frombuffer(bytearray(data[at : at + length]), dtype=dtype).reshape(shape)
    if kind == "list":
        return [_value(entry, data) for entry in held]
    if kind == "tuple":
        return tuple(_value(entry, data) for entry in held)
    if kind == "dict":
        return {key: _value(entry, data) for key, entry in held}
    if kind == "handle":
        return Handle(int(held[0]), str(held[1]))
    if kind == "lent":
        return Lent(int(held))
    if kind == "seeded":
        return Seeded(int(held[0]), int(held[1]))
    raise WireError(f"unknown kind {kind!r}")
