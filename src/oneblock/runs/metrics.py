"""A run's metrics: one JSON object a line, appended and never rewritten while the run goes on."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from oneblock.runs.durable import replace, write_all
from oneblock.runs.errors import RunError, storing
from oneblock.runs.jsonform import from_words, to_words


class MetricsLog:
    """The lines of `metrics.jsonl`, oldest first.

    NaN and the infinities are written as the words "NaN", "Infinity", "-Infinity" (each line is valid
    JSON) and read back as floats. A line is in the system's hands when `append` returns, so it
    outlives the process; `sync` makes it outlive a power cut as well.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._descriptor: int | None = None

    def append(self, values: Mapping[str, Any]) -> None:
        """Add one line; numbers of torch and numpy are taken as Python's. RunError where the disk is full."""
        plain = {key: value.item() if hasattr(value, "item") else value for key, value in values.items()}
        line = json.dumps(to_words(plain), allow_nan=False).encode() + b"\n"
        with storing("a line of metrics", self.path, len(line), "The lines before it are untouched."):
            if self._descriptor is None:
                self._descriptor = self._open()
            end = os.fstat(self._descriptor).st_size
            try:
                write_all(self._descriptor, line)
            except BaseException:
                # Half a line at the end is bearable, but not in the middle once the next one follows.
                os.ftruncate(self._descriptor, end)
                raise

    def read(self) -> list[dict[str, Any]]:
        """All lines; one torn off at the end is left out. RunError where a line before the end is damaged."""
        return [from_words(line) for line, _ in self._parse()[0]]

    def rewind(self, step: int) -> None:
        """Drop what lies beyond `step`, in one step; a line without "step" belongs to the one before it."""
        self.close()
        kept: list[bytes] = []
        current = 0
        for line, text in self._parse()[0]:
            current = line.get("step", current)
            if current <= step:
                kept.append(text)
        data = b"".join(kept)
        with storing("the metrics", self.path, len(data), "The file is as it was."):
            if data or self.path.exists():
                replace(self.path, data)

    def sync(self) -> None:
        """Put all lines on the disk itself, before a checkpoint that stands for them is written."""
        if self._descriptor is not None:
            os.fsync(self._descriptor)

    def close(self) -> None:
        """Close the file; the next `append` opens it again."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None

    def _open(self) -> int:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        whole = self._parse()[1]
        flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | getattr(os, "O_BINARY", 0)
        descriptor = os.open(self.path, flags, 0o644)
        # A line torn off by a crash would swallow the beginning of the next one.
        if os.fstat(descriptor).st_size > whole:
            os.ftruncate(descriptor, whole)
        return descriptor

    def _parse(self) -> tuple[list[tuple[dict[str, Any], bytes]], int]:
        """The whole lines with their bytes, and how many bytes of the file they are."""
        lines: list[tuple[dict[str, Any], bytes]] = []
        damaged = end = offset = 0
        texts = self.path.read_bytes().splitlines(keepends=True) if self.path.exists() else []
        for number, text in enumerate(texts, start=1):
            offset += len(text)
            line = _line(text)
            if line is None:
                damaged = damaged or number
            elif damaged:
                raise RunError(
                    f"line {damaged} of {self.path} is damaged, though good lines follow it; "
                    "correct or remove that line"
                )
            else:
                lines.append((line, text))
                end = offset
        return lines, end


def _line(text: bytes) -> dict[str, Any] | None:
    try:
        line = json.loads(text) if text.endswith(b"\n") else None
    except ValueError:
        return None
    return line if isinstance(line, dict) else None
