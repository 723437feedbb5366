"""The command as a person runs it, in a process of its own."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest


class Command:
    """One run of the command: `status`, `out`, `err`, and `result`, the JSON of stdout's last line."""

    def __init__(
        self, nursery: subprocess.Popen[str], folder: Path, arguments: list[str], largest_file: int = 0
    ) -> None:
        number = len(list(folder.glob(".out-*")))
        self.files = {name: folder / f".{name}-{number}" for name in ("out", "err")}
        for path in self.files.values():
            path.touch()
        self.nursery = nursery
        files = {name: str(path) for name, path in self.files.items()}
        order = {"arguments": arguments, "folder": str(folder), "environment": {}, "largest_file": largest_file}
        nursery.stdin.write(json.dumps(order | files) + "\n")
        self.process = int(nursery.stdout.readline())
        self.status: int | None = None

    def send(self, number: signal.Signals) -> None:
        os.kill(self.process, number)

    def wait_for(self, happened: Callable[[], Any], seconds: float = 60) -> None:
        """Until something has happened; a command that ended before is an error of the test."""
        end = time.monotonic() + seconds
        while not happened():
            assert Path(f"/proc/{self.process}").exists() and time.monotonic() < end, self.err
            time.sleep(0.005)

    def end(self) -> "Command":
        if self.status is None:
            self.status = int(self.nursery.stdout.readline())
        return self

    def kill(self) -> None:
        """Where a test failed before the end, the nursery must not wait for it."""
        if self.status is None:
            self.send(signal.SIGKILL)
            self.end()

    @property
    def out(self) -> str:
        return self.files["out"].read_text()

    @property
    def err(self) -> str:
        return self.files["err"].read_text()

    @property
    def result(self) -> dict[str, Any]:
        (line,) = self.out.splitlines()
        return json.loads(line, parse_constant=lambda word: pytest.fail(f"{word} is not JSON"))


@pytest.fixture(scope="session")
def nursery() -> Iterator[subprocess.Popen[str]]:
    if not (hasattr(os, "fork") and Path("/proc/self").exists()):
        pytest.skip("no fork or no /proc here")
    command = [sys.executable, str(Path(__file__).with_name("nursery.py"))]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1)
    assert process.stdout.readline() == "ready\n"
    yield process
    process.stdin.close()
    process.wait(timeout=20)


@pytest.fixture
def begin(nursery: subprocess.Popen[str], tmp_path: Path) -> Iterator[Callable[..., Command]]:
    """`begin("train", …)`: the command at work in tmp_path; then `.end()`."""
    begun: list[Command] = []

    def begin(*arguments: str, **options: Any) -> Command:
        begun.append(Command(nursery, tmp_path, list(arguments), **options))
        return begun[-1]

    yield begin
    for command in begun:
        command.kill()


@pytest.fixture
def oneblock(begin: Callable[..., Command]) -> Callable[..., Command]:
    """`oneblock("train", …)`: the command, run to its end."""
    return lambda *arguments, **options: begin(*arguments, **options).end()


@pytest.fixture(scope="session")
def oneblock_in(nursery: subprocess.Popen[str]) -> Callable[..., Command]:
    """`oneblock_in(folder, "train", …)`: the same in a given folder, for what several tests share."""
    return lambda folder, *arguments: Command(nursery, folder, list(arguments)).end()
