"""recall.jsonl: everything that was answered, a line each, in the order in which it happened. It is only added to."""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any

from oneblock.learn.errors import LearnError
from oneblock.learn.recall.schedule import Answer, Rating
from oneblock.runs.durable import sync_folder, write_all
from oneblock.runs.errors import RunError
from oneblock.runs.lock import RunLock

FILE = "recall.jsonl"
LOCK = ".recall.lock"
TORN = "recall.torn"
HEAD = {"oneblock": "recall", "version": 1}
"""The first line. Later versions may add kinds of lines: those that are not known are passed over."""
AHEAD = timedelta(minutes=5)
"""Two clocks may differ by so much and both be right."""


def clock() -> datetime:
    """Now, as the learner's own clock shows it."""
    return datetime.now().astimezone()


@dataclass(frozen=True, kw_only=True)
class Event:
    """One line. do: answer, undo, read, begin, asked, verdict; of: a card, lesson, question or tier.

    when: as it counts (UTC offsets compare); day: the learner's own date then; more: the other fields of the line.
    """

    do: str
    of: str
    when: datetime
    day: date
    more: dict[str, Any] = field(default_factory=dict)


class Journal:
    """What stands in the file. notes: what was odd about it, in words."""

    def __init__(self, folder: Path, now: Callable[[], datetime] = clock) -> None:
        self.path, self.now = folder / FILE, now
        self.notes: list[str] = []
        self.events = _dated(_lines(self.path, self.notes), now(), self.notes)

    def answers(self) -> list[Answer]:
        """All that was answered and not taken back, in order."""
        found: list[Answer] = []
        for event in self.events:
            if event.do == "answer":
                seconds = float(event.more.get("seconds", 0.0))
                rating = Rating(event.more["rating"])
                found.append(Answer(card=event.of, rating=rating, when=event.when, day=event.day, seconds=seconds))
            elif event.do == "undo":
                last = next((at for at in reversed(range(len(found))) if found[at].card == event.of), None)
                if last is not None:
                    del found[last]
        return found

    def of(self, *kinds: str) -> list[Event]:
        """The events of these kinds, in order."""
        return [event for event in self.events if event.do in kinds]

    def add(self, do: str, of: str, **more: Any) -> None:
        """Write a line. When this returns it is on the disk itself."""
        now = self.now()
        append(self.path, {"do": do, "of": of, "when": now.isoformat(timespec="seconds"), **more})
        when = max([now, *(event.when for event in self.events[-1:])])
        self.events.append(Event(do=do, of=of, when=when, day=now.date(), more=more))

    @contextlib.contextmanager
    def alone(self) -> Iterator[None]:
        """Only one session at a time; what a crash has torn off is put aside first."""
        lock = RunLock(self.path.with_name(LOCK))
        try:
            lock.__enter__()
        except RunError as error:
            raise LearnError(_taken(self.path, error)) from None
        try:
            _mend(self.path)
            yield
        finally:
            lock.__exit__(None, None, None)


def append(path: Path, line: dict[str, Any]) -> None:
    """Add a line, whole or not at all; the file is begun where it is not there. LearnError where it cannot be."""
    try:
        new = not path.exists() or not path.stat().st_size
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND | getattr(os, "O_BINARY", 0), 0o644)
        try:
            size = os.fstat(descriptor).st_size
            text = (_text(HEAD) if not size else "" if _ends(path) else "\n") + _text(line)
            try:
                write_all(descriptor, text.encode())
                os.fsync(descriptor)
            except BaseException:
                # Of a line that did not fit on the disk nothing is left behind.
                with contextlib.suppress(OSError):
                    os.ftruncate(descriptor, size)
                raise
        finally:
            os.close(descriptor)
        if new:
            sync_folder(path.parent)
    except OSError as error:
        raise LearnError(
            f"{path} cannot be written ({error.strerror or error}); the last answer was not kept"
        ) from None


def _text(line: dict[str, Any]) -> str:
    return json.dumps(line, ensure_ascii=False) + "\n"


def _ends(path: Path) -> bool:
    with path.open("rb") as file:
        file.seek(-1, os.SEEK_END)
        return file.read(1) == b"\n"


def _lines(path: Path, notes: list[str]) -> list[dict[str, Any]]:
    """The lines that can be read. LearnError where the file is not ours, or a newer one's."""
    try:
        text = path.read_bytes().decode("utf-8", errors="replace")
    except (FileNotFoundError, NotADirectoryError):
        return []
    except OSError as error:
        raise LearnError(f"{path} cannot be read ({error.strerror or error})") from None
    whole = text.endswith("\n")
    rows = text.split("\n")[:-1] if whole else text.split("\n")
    if not text or (len(rows) == 1 and not whole and _text(HEAD).startswith(text)):
        return []
    head = _object(rows[0])
    if head is None or head.get("oneblock") != HEAD["oneblock"] or not isinstance(head.get("version"), int):
        raise LearnError(f"{path} is not what `oneblock recall` writes; nothing was changed. Move it elsewhere first")
    if head["version"] > HEAD["version"]:
        raise LearnError(
            f"{path} was written by a newer oneblock (version {head['version']}, this one knows {HEAD['version']}); "
            "update oneblock. Nothing was changed"
        )
    found, odd = [], []
    for number, row in enumerate(rows[1:], 2):
        line = _object(row)
        if line is not None and _good(line):
            found.append(line)
        elif number == len(rows) and not whole:
            notes.append(f"the last line of {path.name} was torn off, by a crash or a full disk: that is asked again")
        elif row.strip():
            odd.append(str(number))
    if odd:
        where = f"line{'s' * (len(odd) > 1)} {', '.join(odd[:5])}{', …' * (len(odd) > 5)}"
        notes.append(f"{path.name}, {where}: cannot be read, passed over and left as it is")
    return found


def _object(row: str) -> dict[str, Any] | None:
    try:
        found = json.loads(row)
    except (ValueError, RecursionError):
        return None
    return found if isinstance(found, dict) else None


def _good(line: dict[str, Any]) -> bool:
    """Whether a line has what its kind must have."""
    if not (isinstance(line.get("do"), str) and isinstance(line.get("of"), str)):
        return False
    try:
        if datetime.fromisoformat(line["when"]).tzinfo is None:
            return False
    except (KeyError, TypeError, ValueError):
        return False
    if line["do"] == "answer":
        seconds, rating = line.get("seconds", 0.0), line.get("rating")
        return type(rating) is int and 1 <= rating <= 4 and type(seconds) in (int, float) and 0 <= seconds < 1e9
    return line["do"] != "asked" or type(line.get("right")) is bool


def _dated(lines: list[dict[str, Any]], now: datetime, notes: list[str]) -> list[Event]:
    """Lines with the time that counts: their order is the truth, and a clock may have gone wrong.

    A time before the line above counts as that line's; one that is still to come, too.
    """
    events: list[Event] = []
    ahead = 0
    for line in lines:
        said = datetime.fromisoformat(line["when"])
        last = events[-1].when if events else None
        if said > now + AHEAD:
            ahead += 1
            when = last or now
        else:
            when = said if last is None else max(said, last)
        more = {key: value for key, value in line.items() if key not in ("do", "of", "when")}
        events.append(Event(do=line["do"], of=line["of"], when=when, day=said.date(), more=more))
    if ahead:
        notes.append(
            f"{ahead} line{'s' * (ahead > 1)} of {FILE} lie{'s' * (ahead == 1)} in the future: this machine's clock "
            f"({now:%Y-%m-%d %H:%M}) has gone backwards, or was ahead before. They count as given earlier"
        )
    return events


def _mend(path: Path) -> None:
    """Put a torn last line aside, into recall.torn."""
    if not path.exists() or not path.stat().st_size or _ends(path):
        return
    data = path.read_bytes()
    keep = data.rfind(b"\n") + 1
    line = _object(data[keep:].decode("utf-8", errors="replace"))
    if line is not None:
        return  # Only its end is missing: `append` gives it one.
    try:
        with path.with_name(TORN).open("ab") as file:
            file.write(data[keep:] + b"\n")
        os.truncate(path, keep)
    except OSError as error:
        raise LearnError(f"{path} cannot be written ({error.strerror or error})") from None


def _taken(path: Path, error: RunError) -> str:
    said = str(error)
    if " is being written by " not in said:
        return said
    holder = said.partition(" is being written by ")[2].partition(";")[0]
    return f"another session is at {path.parent} ({holder}); go on there, or leave it with q first"
