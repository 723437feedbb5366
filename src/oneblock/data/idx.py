"""The IDX format of MNIST and its relatives: a magic number, the sizes, then bytes; gzipped or not."""

from __future__ import annotations

import gzip
import math
import zlib
from pathlib import Path

import numpy as np
import numpy.typing as npt

from oneblock.data.errors import DataError

UNSIGNED_BYTE = 8

Bytes = npt.NDArray[np.uint8]


def find_idx(folder: Path, part: str, what: str) -> Path | None:
    """The file of "train" or "t10k" that holds "images" or "labels", under the names in use; None if there is none."""
    dimensions = {"images": 3, "labels": 1}[what]
    for joint in ("-", "."):
        for end in ("", ".gz"):
            path = folder / f"{part}-{what}{joint}idx{dimensions}-ubyte{end}"
            if path.is_file():
                return path
    return None


def read_idx(raw: bytes, where: str, dimensions: int) -> Bytes:
    """The array of an IDX file's bytes; raises `DataError` where they are damaged, cut short, or of another kind."""
    raw = unzipped(raw, where)
    if len(raw) < 4 or raw[:2] != b"\0\0":
        raise DataError(f"{where} is not an IDX file: it begins with {raw[:4].hex(' ') or 'nothing'}, not 00 00")
    if raw[2] != UNSIGNED_BYTE or raw[3] != dimensions:
        raise DataError(
            f"{where} is an IDX file of kind 0x{raw[2]:02x} with {raw[3]} dimensions; wanted are unsigned bytes "
            f"(0x08) with {dimensions} ({'images' if dimensions == 3 else 'labels'}). Check that files are not swapped"
        )
    header = 4 + 4 * dimensions
    sizes = [int.from_bytes(raw[at : at + 4], "big") for at in range(4, header, 4)]
    wanted = header + math.prod(sizes)
    if len(raw) < header or len(raw) != wanted:
        shape = " × ".join(map(str, sizes))
        raise DataError(f"{where} says {shape}, which takes {wanted} bytes, and has {len(raw)}. Copy it again")
    return np.frombuffer(raw, np.uint8, offset=header).reshape(sizes)


def unzipped(raw: bytes, where: str) -> bytes:
    """Bytes out of gzip, where they are in it."""
    if not raw.startswith(b"\x1f\x8b"):
        return raw
    try:
        return gzip.decompress(raw)
    except (OSError, EOFError, zlib.error) as error:
        raise DataError(f"{where} is damaged: gzip says {error}. Copy it again") from None
