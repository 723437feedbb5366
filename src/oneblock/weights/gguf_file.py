"""GGUF files, the form in which llama.cpp keeps a model: its description, its tokenizer and its tensors in one file.

Magic, version, two counts; then `key type value` for the description; then `name shape type offset` for each tensor;
then, aligned, the tensors themselves, most of them quantised in blocks. All numbers are little-endian.
"""

from __future__ import annotations

import functools
import struct
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from oneblock.weights.errors import WeightsError

MAGIC, VERSIONS, ALIGNMENT = b"GGUF", (2, 3), 32
NUMBERS = dict(zip((0, 1, 2, 3, 4, 5, 6, 7, 10, 11, 12), "BbHhIif?Qqd", strict=True))
"""Type of a value in the description -> how `struct` reads it."""
STRING, ARRAY = 8, 9
# No model has as many; a damaged file may claim any number.
MOST_DIMENSIONS, LONGEST_NAME = 8, 1 << 16


class Info(NamedTuple):
    """Where a tensor stands: its shape as PyTorch gives it, the number of its type, its first byte."""

    shape: tuple[int, ...]
    type: int
    begin: int


class GGUFFile:
    """A GGUF file as a source of tensors: `fields` is its description, `get` dequantises a tensor to float32.

    WeightsError where the file is something else, cut short, or damaged, and where the `gguf` package, which knows
    the quantisations, is not installed.
    """

    def __init__(self, path: Path) -> None:
        self.where = str(path)
        self._gguf = _package(self.where)
        try:
            status = path.stat()
            self._bytes = np.memmap(path, np.uint8, mode="r")
        except (OSError, ValueError) as error:
            raise WeightsError(f"{path} cannot be read: {error}; fetch it again") from error
        try:
            self.fields, self._infos = _header(path.absolute(), status.st_size, status.st_mtime_ns)
        except (struct.error, UnicodeDecodeError, OverflowError, MemoryError, RecursionError) as error:
            raise self._damaged("its description ends before it is complete") from error
        for name, info in self._infos.items():
            if info.begin + self._length(name, info) > len(self._bytes):
                raise self._damaged(f"{name} reaches beyond its end")
        for kind, name in {info.type: name for name, info in self._infos.items()}.items():
            self._check_quantisation(kind, name)
        self.shapes: Mapping[str, tuple[int, ...]] = {name: info.shape for name, info in self._infos.items()}

    def get(self, name: str) -> Tensor:
        """The tensor of that name in float32."""
        info = self._infos[name]
        kind = self._gguf.GGMLQuantizationType(info.type)
        raw = self._bytes[info.begin : info.begin + self._length(name, info)]
        if kind.name in WHOLE:
            numbers = raw.view(WHOLE[kind.name]).astype(np.float32)
        else:
            numbers = self._gguf.dequantize(raw, kind)
        return torch.from_numpy(np.ascontiguousarray(numbers).reshape(info.shape))

    def _length(self, name: str, info: Info) -> int:
        """Its bytes."""
        try:
            block, size = self._gguf.GGML_QUANT_SIZES[self._gguf.GGMLQuantizationType(info.type)]
        except (ValueError, KeyError):
            raise self._damaged(f"{name} is of a type {info.type} that is not known") from None
        if info.shape[-1] % block:
            raise self._damaged(f"{name} has rows of {info.shape[-1]}, not a multiple of {block}")
        count = 1
        for side in info.shape:
            count *= side
        return count // block * size

    def _check_quantisation(self, number: int, name: str) -> None:
        """WeightsError for a type that the package knows the size of and cannot dequantise.

        It tells by this error alone, so that one block is tried before anything is read.
        """
        kind = self._gguf.GGMLQuantizationType(number)
        try:
            self._gguf.dequantize(np.zeros((1, self._gguf.GGML_QUANT_SIZES[kind][1]), np.uint8), kind)
        except NotImplementedError as error:
            if kind.name not in WHOLE:
                raise WeightsError(
                    f"{self.where}: {name} is quantised as {kind.name}, which is not supported; supported: what the "
                    "gguf package can dequantise, such as Q8_0, Q4_K or BF16"
                ) from error

    def _damaged(self, why: str) -> WeightsError:
        return WeightsError(
            f"{self.where} is damaged or cut short: {why}. It has {len(self._bytes):,} bytes; fetch it again"
        )


WHOLE = {"F32": "<f4", "F16": "<f2", "F64": "<f8"}


def _package(where: str) -> Any:
    try:
        import gguf
    except ImportError:
        raise WeightsError(
            f"{where}: a GGUF file is read with the gguf package, which is not installed: pip install 'oneblock[gguf]'"
        ) from None
    return gguf


@functools.lru_cache(maxsize=1)
def _header(path: Path, size: int, changed: int) -> tuple[Mapping[str, Any], Mapping[str, Info]]:
    """The description and where the tensors stand.

    Kept until the file is another one, for a model, its configuration and its tokenizer each ask for it.
    """
    data, where = np.memmap(path, np.uint8, mode="r").data, str(path)
    if bytes(data[:4]) != MAGIC:
        raise WeightsError(f"{where} is no GGUF file: it begins with {bytes(data[:4])!r} and not with {MAGIC!r}")
    reader = _Reader(data, 4)
    version = reader.number("I")
    if version not in VERSIONS:
        known = " and ".join(map(str, VERSIONS))
        raise WeightsError(f"{where} is of GGUF's version {version}; versions {known}, little-endian, are read")
    num_tensors, num_fields = reader.number("Q"), reader.number("Q")
    fields = {}
    for _ in range(num_fields):
        name = reader.string(LONGEST_NAME)
        fields[name] = reader.value(reader.number("I"))
    found = {}
    for _ in range(num_tensors):
        name, dimensions = reader.string(LONGEST_NAME), reader.number("I")
        if not 1 <= dimensions <= MOST_DIMENSIONS:
            raise struct.error
        # The fastest-changing side stands first there.
        shape = tuple(reader.number("Q") for _ in range(dimensions))[::-1]
        found[name] = Info(shape, reader.number("I"), reader.number("Q"))
    alignment = fields.get("general.alignment", ALIGNMENT)
    if not isinstance(alignment, int) or alignment < 1:
        raise struct.error
    begin = -(-reader.place // alignment) * alignment
    return fields, {name: info._replace(begin=begin + info.begin) for name, info in found.items()}


class _Reader:
    """Reads on from a place; struct.error where there is not enough left."""

    def __init__(self, data: memoryview, place: int) -> None:
        self.data, self.place = data, place

    def number(self, form: str) -> Any:
        (value,) = struct.unpack_from("<" + form, self.data, self.place)
        self.place += struct.calcsize("<" + form)
        return value

    def string(self, longest: int | None = None) -> str:
        length = self.number("Q")
        if length > (len(self.data) - self.place if longest is None else longest):
            raise struct.error
        return str(self._take(length), "utf-8")

    def value(self, kind: int) -> Any:
        if kind in NUMBERS:
            return self.number(NUMBERS[kind])
        if kind == STRING:
            return self.string()
        if kind != ARRAY:
            raise struct.error
        inner, count = self.number("I"), self.number("Q")
        if count > len(self.data) - self.place:
            raise struct.error
        if inner in NUMBERS:
            form = f"<{count}{NUMBERS[inner]}"
            return list(struct.unpack(form, self._take(struct.calcsize(form))))
        return [self.value(inner) for _ in range(count)]

    def _take(self, length: int) -> memoryview:
        if length > len(self.data) - self.place:
            raise struct.error
        self.place += length
        return self.data[self.place - length : self.place]
