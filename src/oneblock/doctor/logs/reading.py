"""`read_log(path)`: a log of ours, JSON lines, JSON, CSV, a W&B export or a TensorBoard event file."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from oneblock.doctor.errors import DoctorError
from oneblock.doctor.logs.log import Log, from_rows, number
from oneblock.doctor.logs.ours import is_ours, of_run
from oneblock.doctor.logs.tensorboard import event_files, is_events, read_events

KINDS = "metrics.jsonl of a run, JSON lines, JSON, CSV, a W&B export, or a TensorBoard event file"
INSIDE = ("history", "log_history", "data", "rows", "logs", "records", "metrics")
"""Keys under which others keep the rows in one JSON object."""


def read_log(path: Path | str) -> Log:
    """The log at a path: a file, a run's folder (its metrics.jsonl), or a folder of TensorBoard event files.

    A line torn off at the end is left out and noted. DoctorError where the file is empty, binary of another kind, of
    no known form, or has no loss.
    """
    path = Path(path)
    if path.is_dir():
        if (path / "metrics.jsonl").is_file():
            return read_log(path / "metrics.jsonl")
        if event_files(path):
            return _of_events(path)
        raise DoctorError(f"{path} is a folder without metrics.jsonl or TensorBoard event files; give a file: {KINDS}")
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        raise DoctorError(f"{path} is not there; give a log: {KINDS}") from None
    except OSError as error:
        raise DoctorError(f"{path} cannot be read: {error.strerror or error}") from error
    if not data.strip():
        raise DoctorError(f"{path} is empty; give a log of at least a few steps")
    if is_events(data):
        return _of_events(path)
    text = _text(path, data)
    start = text.lstrip("\ufeff \r\n\t")[:1]
    if start == "[" or (start == "{" and _whole(text) is not None):
        return _of_json(path, text)
    return _of_lines(path, text) if start == "{" else _of_csv(path, text)


def _text(path: Path, data: bytes) -> str:
    for encoding in ("utf-8-sig", "utf-16") if data[:2] in (b"\xff\xfe", b"\xfe\xff") else ("utf-8-sig",):
        try:
            text = data.decode(encoding)
        except UnicodeDecodeError as error:
            # A character torn in two at the very end is a torn line, and no binary file.
            text = data[: error.start].decode(encoding, "ignore") if error.start > len(data) - 4 else "\0"
        if "\0" not in text:
            return text
    raise DoctorError(f"{path} is binary and no TensorBoard event file; give a log: {KINDS}")


def _whole(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return None


def _of_events(path: Path) -> Log:
    rows, notes = read_events(path)
    if not rows:
        raise DoctorError(f"{path} has no scalars; log some with add_scalar, or give another file")
    return from_rows(str(path), rows, notes)


def _of_json(path: Path, text: str) -> Log:
    """A list of rows, an object that holds one, or an object of columns."""
    found = _whole(text)
    if found is None:
        raise DoctorError(f"{path} begins like JSON and is damaged; write it anew, or one object a line")
    if isinstance(found, Mapping):
        rows = next((found[key] for key in INSIDE if isinstance(found.get(key), list)), None)
        columns = {key: value for key, value in found.items() if isinstance(value, list)}
        lengths = {len(value) for value in columns.values()}
        if rows is None and columns and len(lengths) == 1 and lengths != {0}:
            rows = [dict(zip(columns, values, strict=True)) for values in zip(*columns.values(), strict=True)]
        found = [found] if rows is None else rows
    rows = [row for row in found if isinstance(row, Mapping)]
    if not rows:
        raise DoctorError(f"{path} is JSON without rows; give a list of objects, one for each logged step")
    return of_run(path, rows, []) if is_ours(rows) else from_rows(str(path), rows)


def _of_lines(path: Path, text: str) -> Log:
    rows: list[dict[str, Any]] = []
    damaged: list[int] = []
    lines = text.splitlines()
    for place, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        row = _whole(line)
        if isinstance(row, dict):
            rows.append(row)
        else:
            damaged.append(place)
    if not rows:
        raise DoctorError(f"no line of {path} is a JSON object; give a log: {KINDS}")
    notes = []
    if damaged == [len(lines)]:
        notes.append(f"the last line ({len(lines)}) is torn off and left out")
    elif damaged:
        shown = ", ".join(map(str, damaged[:5])) + (" …" if len(damaged) > 5 else "")
        notes.append(f"{len(damaged)} damaged lines are left out: {shown}")
    return of_run(path, rows, notes) if is_ours(rows) else from_rows(str(path), rows, notes)


def _of_csv(path: Path, text: str) -> Log:
    """Columns under one header; separated by comma, semicolon or tab. A header that comes again is a restart."""
    lines = [line for line in text.splitlines() if line.strip() and not line.startswith("#")]
    head = lines[0] if lines else ""
    mark = max(",;\t", key=head.count)
    if not head.count(mark) and len(head.split()) > 1:
        lines, mark = [",".join(line.split()) for line in lines], ","
    table = list(csv.reader(io.StringIO("\n".join(lines)), delimiter=mark))
    if len(table) < 2:
        raise DoctorError(f"{path} has no rows; give a log of at least a few steps: {KINDS}")
    names = [name.strip() for name in table[0]]
    if all(number(name) is not None for name in names):
        raise DoctorError(f"{path} has no header; put the columns' names into its first line, e.g. step,loss,grad_norm")
    rows: list[dict[str, Any]] = []
    notes, restarts = [], []
    for place, cells in enumerate(table[1:], start=2):
        if [cell.strip() for cell in cells] == names:
            restarts.append(len(rows))
            notes.append(f"the header comes again in line {place}: the log was begun anew there")
            continue
        if len(cells) != len(names):
            torn = place == len(table)
            notes.append(f"the last line ({place}) is torn off and left out" if torn else f"line {place} has "
                         f"{len(cells)} cells instead of {len(names)} and is left out")  # fmt: skip
            continue
        rows.append(dict(zip(names, cells, strict=True)))
    if not rows or not any(number(cell) is not None for row in rows for cell in row.values()):
        raise DoctorError(f"{path} has no numbers under a header; give a log: {KINDS}")
    return from_rows(str(path), rows, notes[:6], restarts)
