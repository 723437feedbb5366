"""TensorBoard's event files, read without TensorBoard: records of (length, CRC, bytes, CRC), each an `Event`.

Event: wall_time = 1 (double), step = 2 (varint), summary = 5; Summary: value = 1; Value: tag = 1, simple_value = 2
(float), tensor = 8; TensorProto: tensor_content = 4, float_val = 5, double_val = 6.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any

HEAD = 12


def event_files(folder: Path) -> list[Path]:
    """The event files in a folder and below, oldest first: their names begin with the second they were made in."""
    return sorted(path for path in folder.rglob("*tfevents*") if path.is_file())


def is_events(data: bytes) -> bool:
    """Whether bytes begin as an event file does: a record that says its version."""
    if len(data) < HEAD:
        return False
    length = struct.unpack_from("<Q", data)[0]
    return 0 < length < len(data) and b"brain.Event:" in data[HEAD : HEAD + length]


def read_events(path: Path) -> tuple[list[dict[str, Any]], list[str]]:
    """Rows of scalars, one for each record, and what was odd; of a folder all its files, one after another."""
    rows: list[dict[str, Any]] = []
    notes = []
    for each in event_files(path) if path.is_dir() else [path]:
        data = each.read_bytes()
        place = 0
        while place + HEAD <= len(data):
            length = struct.unpack_from("<Q", data, place)[0]
            end = place + HEAD + length
            if end + 4 > len(data):
                break
            rows += _scalars(data[place + HEAD : end])
            place = end + 4
        if place < len(data):
            notes.append(f"the last record of {each.name} is torn off and left out")
    joined: list[dict[str, Any]] = []
    for row in rows:
        # Scalars of one step come one by one: a step is one row, unless a name comes again.
        if (
            joined
            and joined[-1]["step"] == row["step"]
            and not (row.keys() - {"step", "wall_time"}) & joined[-1].keys()
        ):
            joined[-1] |= row
        else:
            joined.append(row)
    return joined, notes


def _scalars(event: bytes) -> Iterator[dict[str, Any]]:
    step, wall, found = 0, None, {}
    for field, value in _fields(event):
        if field == 1:
            wall = struct.unpack("<d", value)[0]
        elif field == 2:
            step = value
        elif field == 5:
            for inner, content in _fields(value):
                if inner == 1:
                    tag, scalar = _value(content)
                    if tag and scalar is not None:
                        found[tag] = scalar
    if found:
        yield {"step": step, **({"wall_time": wall} if wall else {}), **found}


def _value(data: bytes) -> tuple[str, float | None]:
    tag, scalar = "", None
    for field, value in _fields(data):
        if field == 1:
            tag = value.decode("utf-8", "replace")
        elif field == 2:
            scalar = struct.unpack("<f", value)[0]
        elif field == 8:
            scalar = _tensor(value)
    return tag, scalar


def _tensor(data: bytes) -> float | None:
    """A TensorProto of one float (type 1) or double (type 2)."""
    kind, found = 1, None
    for field, value in _fields(data):
        if field == 1:
            kind = value
        elif field in (4, 5, 6) and isinstance(value, bytes):
            wide = field == 6 or (field == 4 and kind == 2)
            if len(value) == (8 if wide else 4):
                found = struct.unpack("<d" if wide else "<f", value)[0]
    return found


def _fields(data: bytes) -> Iterator[tuple[int, Any]]:
    """Numbers and contents of a message's fields: varints as int, everything else as bytes."""
    place = 0
    while place < len(data):
        key, place = _varint(data, place)
        field, kind = key >> 3, key & 7
        if kind == 0:
            value, place = _varint(data, place)
            yield field, value
            continue
        if kind == 2:
            size, place = _varint(data, place)
        else:
            size = {1: 8, 5: 4}.get(kind, len(data))
        yield field, data[place : place + size]
        place += size


def _varint(data: bytes, place: int) -> tuple[int, int]:
    value = shift = 0
    while place < len(data):
        byte = data[place]
        value |= (byte & 127) << shift
        place, shift = place + 1, shift + 7
        if byte < 128:
            break
    return value, place
