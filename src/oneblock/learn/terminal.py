"""A terminal's keys one by one, and its screen; as it was when one leaves."""

from __future__ import annotations

import os
import select
import shutil
import signal
import sys
from types import FrameType, TracebackType
from typing import Any, Protocol


class Keys(Protocol):
    """What a loop needs of a terminal."""

    colour: bool
    woken: bool

    @property
    def size(self) -> tuple[int, int]: ...
    def key(self, seconds: float) -> str: ...
    def write(self, text: str) -> None: ...


class Terminal:
    """`with Terminal() as terminal:` keys come at once and unseen; Ctrl-C stays Ctrl-C."""

    def __init__(self) -> None:
        self.into, self.out = sys.stdin.fileno(), sys.stdout.fileno()
        self.colour = "NO_COLOR" not in os.environ and os.environ.get("TERM") != "dumb"
        self.before: Any = None
        self.typed = ""
        self.woken = False

    def __enter__(self) -> Terminal:
        import termios

        self.before = termios.tcgetattr(self.into)
        self._single()
        # After Ctrl-Z and fg the terminal has to be set once more.
        self.handler = signal.signal(signal.SIGCONT, self._woken)
        self.write("\x1b[?25l")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        import termios

        signal.signal(signal.SIGCONT, self.handler)
        termios.tcsetattr(self.into, termios.TCSADRAIN, self.before)
        self.write("\x1b[?25h\x1b[0m\r\n")

    @property
    def size(self) -> tuple[int, int]:
        """Columns and rows."""
        return tuple(shutil.get_terminal_size())  # type: ignore[return-value]

    def key(self, seconds: float) -> str:
        """The next key; "" where none comes in time. Cursor keys and the like are none."""
        if self.typed:
            first, self.typed = self.typed[0], self.typed[1:]
            return first
        if not select.select([self.into], [], [], seconds)[0]:
            return ""
        data = os.read(self.into, 32)
        if not data:
            raise EOFError
        if data.startswith(b"\x1b"):
            return ""
        # Who types fast, or pastes, sends several at once.
        text = data.decode(errors="replace")
        self.typed = text[1:]
        return text[0]

    def write(self, text: str) -> None:
        """All of it, at once."""
        data = text.encode()
        while data:
            data = data[os.write(self.out, data) :]

    def _single(self) -> None:
        import tty

        tty.setcbreak(self.into)

    def _woken(self, number: int, frame: FrameType | None) -> None:
        self._single()
        self.write("\x1b[?25l")
        self.woken = True


def is_terminal() -> bool:
    """Whether a person sits at both ends."""
    try:
        import termios  # noqa: F401
    except ImportError:
        return False
    return sys.stdin.isatty() and sys.stdout.isatty()
